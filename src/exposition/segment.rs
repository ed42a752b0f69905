//! One job and type, or one job as a whole, rendered and compressed: the part of the exposition that a poll makes and a scrape only joins.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use super::Config;
use super::families::Id;
use super::gzip::{Block, Deflater};
use super::labels::write_label;
use super::pages::Drawn;
use crate::model::{
    Change, GroupKey, JobId, JobReport, Listing, Outcome, PollStatus, Progress, Report, States, seconds,
};

/// The samples of one job and type, family by family; a family without samples is not there.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    blocks: BTreeMap<Id, Block>,
    objects: Option<Drawn>,
}

/// The families that tell of a listing; they stay as they are until there is another one.
const OF_LISTING: [Id; 8] = [
    Id::Objects,
    Id::ObjectsByState,
    Id::ObjectsSuppressed,
    Id::ProgressAverage,
    Id::ProgressMinimum,
    Id::LastChange,
    Id::DataTimestamp,
    Id::Eta,
];

impl Segment {
    /// Renders what a report says, and of a listing the `objects`. What the report leaves as it was comes from the segment `before`.
    ///
    /// # Errors
    /// When the compressor fails, which it has no reason to do.
    pub(super) fn render(
        report: &Report,
        objects: Option<Drawn>,
        before: Option<&Self>,
        config: &Config,
        deflater: &mut Deflater,
    ) -> io::Result<Self> {
        let mut writer = Writer::new(labels_of_group(&report.key, config), config, deflater);
        match &report.change {
            Change::Listing(listing, progress) => writer.listing(listing, progress.as_ref(), objects)?,
            Change::Keep => writer.segment.take_listing(before),
            Change::Drop => {}
        }
        writer.status(&report.status)?;
        Ok(writer.segment)
    }

    /// Renders what a report says of a job as a whole.
    ///
    /// # Errors
    /// When the compressor fails, which it has no reason to do.
    pub(super) fn render_job(report: &JobReport, config: &Config, deflater: &mut Deflater) -> io::Result<Self> {
        let mut writer = Writer::new(label_of_job(&report.job, config), config, deflater);
        writer.job(report)?;
        Ok(writer.segment)
    }

    /// The same with other samples of the objects.
    ///
    /// # Errors
    /// When the compressor fails, which it has no reason to do.
    pub(super) fn with_objects(
        &self,
        key: &GroupKey,
        objects: Drawn,
        config: &Config,
        deflater: &mut Deflater,
    ) -> io::Result<Self> {
        let mut writer = Writer::new(labels_of_group(key, config), config, deflater);
        writer.segment = self.clone();
        writer.objects(Some(objects))?;
        Ok(writer.segment)
    }

    /// The samples of one family.
    pub(super) fn block(&self, id: Id) -> Option<&Block> {
        match id {
            Id::ObjectProgress => self.objects.as_ref().map(|objects| &objects.block),
            _ => self.blocks.get(&id),
        }
    }

    /// The samples of the objects.
    pub(super) fn objects(&self) -> Option<&Drawn> {
        self.objects.as_ref()
    }

    fn take_listing(&mut self, before: Option<&Self>) {
        for id in OF_LISTING {
            if let Some(block) = before.and_then(|before| before.block(id)) {
                self.blocks.insert(id, block.clone());
            }
        }
        self.objects = before.and_then(|before| before.objects.clone());
    }
}

/// The label that every sample of a job has.
fn label_of_job(job: &JobId, config: &Config) -> Vec<u8> {
    let mut label = Vec::new();
    write_label(&mut label, &config.job_label.0, job.as_str(), config.max_label_bytes);
    label
}

/// The labels that every sample of a job and type has, such as `job="…",type="…"`.
pub(super) fn labels_of_group(key: &GroupKey, config: &Config) -> Vec<u8> {
    let mut labels = label_of_job(&key.job, config);
    labels.push(b',');
    write_label(&mut labels, "type", key.object_type.as_str(), config.max_label_bytes);
    labels
}

/// Writes samples of one job.
struct Writer<'a> {
    config: &'a Config,
    /// Those that every sample has.
    labels: Vec<u8>,
    deflater: &'a mut Deflater,
    segment: Segment,
}

impl<'a> Writer<'a> {
    fn new(labels: Vec<u8>, config: &'a Config, deflater: &'a mut Deflater) -> Self {
        Self { config, labels, deflater, segment: Segment::default() }
    }

    fn listing(&mut self, listing: &Listing, progress: Option<&Progress>, objects: Option<Drawn>) -> io::Result<()> {
        self.plain(Id::Objects, Some(listing.count))?;
        // An empty listing has nothing else to tell.
        let Some(progress) = progress else { return Ok(()) };
        self.objects(objects)?;
        let States { not_started, in_progress, stalled, completed } = progress.states;
        let states = [
            ("not_started", not_started),
            ("in_progress", in_progress),
            ("stalled", stalled),
            ("completed", completed),
        ];
        self.labelled(Id::ObjectsByState, "state", states)?;
        self.plain(Id::ProgressAverage, Some(progress.average))?;
        self.plain(Id::ProgressMinimum, Some(progress.minimum.get()))?;
        self.plain(Id::LastChange, Some(seconds(progress.last_change.time())))?;
        self.plain(Id::DataTimestamp, listing.data_time.map(seconds))?;
        self.plain(Id::Eta, progress.left.map(|left| left.as_secs_f64()))
    }

    fn objects(&mut self, objects: Option<Drawn>) -> io::Result<()> {
        self.plain(Id::ObjectsSuppressed, objects.as_ref().map(|objects| objects.suppressed))?;
        self.segment.objects = objects.filter(|objects| objects.series > 0);
        Ok(())
    }

    fn status(&mut self, status: &PollStatus) -> io::Result<()> {
        self.plain(Id::Regressions, status.regressions)?;
        self.plain(Id::Disappeared, status.disappeared)?;
        // A type that the job cannot list is neither a success nor a failure.
        let judged = status.last.filter(|&outcome| outcome != Outcome::Unsupported);
        self.plain(Id::PollSuccess, judged.map(|outcome| u8::from(outcome.is_success())))?;
        self.plain(Id::PollLastSuccess, status.last_success.map(seconds))?;
        self.plain(Id::PollDuration, status.last_duration.map(|duration| duration.as_secs_f64()))?;
        self.labelled(Id::Polls, "outcome", status.polls.iter().map(|(outcome, polls)| (outcome.as_str(), polls)))?;
        self.plain(Id::PollsSkipped, Some(status.skipped))?;
        self.labelled(Id::RowsDropped, "reason", status.dropped.iter().map(|(reason, rows)| (reason.as_str(), rows)))?;
        self.labelled(Id::ApiErrors, "error_code", status.errors.iter().map(|(code, times)| (code.as_str(), times)))
    }

    fn job(&mut self, report: &JobReport) -> io::Result<()> {
        let JobReport { details, view, .. } = report;
        let facts = [
            ("name", &details.name),
            ("account", &report.account),
            ("region", &report.region),
            ("job_type", &details.job_type),
            ("engine_type", &details.engine_type),
            ("task_type", &details.task_type),
        ];
        let mut text = Vec::new();
        text.extend_from_slice(Id::JobInfo.family().name.as_bytes());
        text.push(b'{');
        text.extend_from_slice(&self.labels);
        for (name, value) in facts {
            text.push(b',');
            write_label(&mut text, name, value, self.config.max_label_bytes);
        }
        text.extend_from_slice(b"} 1\n");
        self.put(Id::JobInfo, text)?;
        self.labelled(Id::JobStatus, "status", view.status.iter().map(|status| (status.as_str(), 1)))?;
        self.plain(Id::JobProgress, view.progress)?;
        self.plain(Id::JobIncrementalDelay, view.incremental_delay.map(|delay| delay.as_secs_f64()))?;
        self.plain(Id::JobRemaining, view.remaining.map(|left| left.as_secs_f64()))
    }

    /// The sample of a family that has no labels but those that every sample has; none where there is no value.
    fn plain(&mut self, id: Id, value: Option<impl Display>) -> io::Result<()> {
        let Some(value) = value else { return Ok(()) };
        let mut text = Vec::new();
        text.extend_from_slice(id.family().name.as_bytes());
        text.push(b'{');
        text.extend_from_slice(&self.labels);
        writeln!(text, "}} {value}")?;
        self.put(id, text)
    }

    /// The samples of a family that has one label more.
    fn labelled<'v>(
        &mut self,
        id: Id,
        label: &str,
        samples: impl IntoIterator<Item = (&'v str, impl Display)>,
    ) -> io::Result<()> {
        let mut text = Vec::new();
        for (label_value, value) in samples {
            text.extend_from_slice(id.family().name.as_bytes());
            text.push(b'{');
            text.extend_from_slice(&self.labels);
            text.push(b',');
            write_label(&mut text, label, label_value, self.config.max_label_bytes);
            writeln!(text, "}} {value}")?;
        }
        self.put(id, text)
    }

    fn put(&mut self, id: Id, text: Vec<u8>) -> io::Result<()> {
        if !text.is_empty() {
            self.segment.blocks.insert(id, self.deflater.block(text)?);
        }
        Ok(())
    }
}
