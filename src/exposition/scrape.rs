//! A scrape: what is ready is joined, in the order of the families, and nothing of it is rendered or compressed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::{fmt, io};

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

use super::body::Body;
use super::draft::Draft;
use super::families::Id;
use super::gzip::{Block, Deflater, Deflaters};
use super::process::Configured;
use super::quota::Quota;
use super::segment::{Segment, labels_of_group};
use super::{Config, Encoding, Format, openmetrics, process, text};
use crate::model::{Change, GroupKey, JobId, JobReport, ObjectType, Report, Shard, Shown};
use crate::store::Store;

/// All that `/metrics` shows.
#[derive(Debug)]
pub struct Exposition {
    config: Arc<Config>,
    quota: Quota,
    groups: Store<GroupKey, Segment>,
    jobs: Store<JobId, Segment>,
    deflaters: Arc<Deflaters>,
    registry: Registry,
    configured: Configured,
    text: Frame,
    openmetrics: Frame,
}

/// The part of the exposition that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Everything.
    #[default]
    Everything,
    /// The exporter's own metrics.
    Exporter,
    /// The families of jobs and types.
    Jobs {
        /// Of these jobs; of all where none is named.
        jobs: BTreeSet<JobId>,
        /// Of these types; of all, and of the jobs as a whole, where none is named.
        types: BTreeSet<ObjectType>,
    },
}

impl Selection {
    fn has_group(&self, key: &GroupKey) -> bool {
        match self {
            Self::Everything => true,
            Self::Exporter => false,
            Self::Jobs { jobs, types } => {
                (jobs.is_empty() || jobs.contains(&key.job)) && (types.is_empty() || types.contains(&key.object_type))
            }
        }
    }

    /// Whether what is told of the job as a whole is wanted, which belongs to no type.
    fn has_job(&self, job: &JobId) -> bool {
        match self {
            Self::Everything => true,
            Self::Exporter => false,
            Self::Jobs { jobs, types } => types.is_empty() && (jobs.is_empty() || jobs.contains(job)),
        }
    }

    fn has_own(&self) -> bool {
        matches!(self, Self::Everything | Self::Exporter)
    }
}

/// What stands around the samples in one of the formats, compressed once.
#[derive(Debug)]
struct Frame {
    heads: Vec<(Id, Block)>,
    end: Block,
}

impl Frame {
    fn new(format: Format, deflater: &mut Deflater) -> io::Result<Self> {
        let (head, end): (fn(&_) -> String, _) = match format {
            Format::Text => (text::head, ""),
            Format::OpenMetrics => (openmetrics::head, openmetrics::EOF),
        };
        let heads = Id::ALL.into_iter().map(|id| Ok((id, deflater.block(head(&id.family()).into_bytes())?)));
        Ok(Self { heads: heads.collect::<io::Result<_>>()?, end: deflater.block(end.into())? })
    }
}

impl Exposition {
    /// Shows nothing yet but what `registry` has. With `own_metrics` it also tells of the build and the process.
    ///
    /// # Errors
    /// When the compressor fails, which it has no reason to do.
    pub fn new(config: Config, mut registry: Registry, own_metrics: bool) -> io::Result<Self> {
        let configured = Configured::new();
        if own_metrics {
            process::register(&mut registry, &configured);
        }
        let deflaters = Arc::<Deflaters>::default();
        let text = deflaters.with(|deflater| Frame::new(Format::Text, deflater))?;
        let openmetrics = deflaters.with(|deflater| Frame::new(Format::OpenMetrics, deflater))?;
        let (quota, config) = (Quota::new(config.max_series_per_job.into()), Arc::new(config));
        let (groups, jobs) = (Store::default(), Store::default());
        Ok(Self { config, quota, groups, jobs, deflaters, registry, configured, text, openmetrics })
    }

    /// Begins to draw up the objects of a listing, which nobody sees before it is published.
    pub fn draft(&self, key: &GroupKey, shown: Shown) -> Draft {
        let before = self.groups.get(key).and_then(|before| before.objects().cloned());
        let labels = labels_of_group(key, &self.config);
        Draft::new(Arc::clone(&self.config), Arc::clone(&self.deflaters), &labels, shown, before)
    }

    /// Shows what a report says, from the next scrape on, and with a listing its objects.
    ///
    /// # Errors
    /// When the compressor fails, which it has no reason to do; then all stays as it was.
    pub fn publish(&self, report: &Report, draft: Option<Draft>) -> io::Result<()> {
        let key = &report.key;
        let shares = self.quota.of(&key.job);
        // Held until what the report says is shown, or another type of the job could bring back what is cut here.
        let mut shares = shares.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = match (draft, &report.change) {
            (Some(draft), _) => {
                shares.set(key.object_type, Some(draft.wanted()));
                let fair = shares.fair(self.quota.most());
                self.cut_others(key, &fair)?;
                Some(draft.finish(fair.get(&key.object_type).copied().unwrap_or_default())?)
            }
            (None, Change::Keep) => None,
            (None, Change::Listing(..) | Change::Drop) => {
                shares.set(key.object_type, None);
                None
            }
        };
        let before = self.groups.get(key);
        let render = |deflater: &mut _| Segment::render(report, drawn, before.as_deref(), &self.config, deflater);
        let segment = self.deflaters.with(render)?;
        self.groups.publish(key.clone(), segment);
        Ok(())
    }

    /// Has the other types of a job show no more than is fair now, so that all together are never too many.
    fn cut_others(&self, key: &GroupKey, fair: &BTreeMap<ObjectType, u64>) -> io::Result<()> {
        for (&object_type, &most) in fair.iter().filter(|(object_type, _)| **object_type != key.object_type) {
            let other = GroupKey { job: key.job.clone(), object_type };
            let Some(segment) = self.groups.get(&other) else { continue };
            if let Some(objects) = segment.objects().filter(|objects| objects.series > most) {
                let objects = objects.cut_to(most, &self.deflaters)?;
                let cut = |deflater: &mut _| segment.with_objects(&other, objects, &self.config, deflater);
                self.groups.publish(other.clone(), self.deflaters.with(cut)?);
            }
        }
        Ok(())
    }

    /// Shows what a report says of a job as a whole, from the next scrape on.
    ///
    /// # Errors
    /// When the compressor fails, which it has no reason to do; then all stays as it was.
    pub fn publish_job(&self, report: &JobReport) -> io::Result<()> {
        let segment = self.deflaters.with(|deflater| Segment::render_job(report, &self.config, deflater))?;
        self.jobs.publish(report.job.clone(), segment);
        Ok(())
    }

    /// The configuration was to be reread; tells whether it was taken over.
    pub fn reloaded(&self, success: bool) {
        self.configured.tell(success);
    }

    /// Tells which of several exporters this one is, if it shares the jobs with others.
    pub fn share(&self, shard: Shard) {
        self.configured.share(shard);
    }

    /// Gives each job so many series at most, each type from its next listing on.
    pub fn set_max_series_per_job(&self, most: u32) {
        self.quota.set_most(most.into());
    }

    /// Shows nothing of one type of a job any more.
    pub fn forget_type(&self, key: &GroupKey) {
        let shares = self.quota.of(&key.job);
        // Held meanwhile, or another type of the job could bring back what goes here.
        let mut shares = shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.set(key.object_type, None);
        self.groups.retain(|known| known != key);
    }

    /// Shows nothing of a job any more.
    pub fn forget(&self, job: &JobId) {
        self.groups.retain(|key| key.job != *job);
        self.jobs.retain(|known| known != job);
        self.quota.forget(job);
    }

    /// Whether the job is followed.
    pub fn follows(&self, job: &JobId) -> bool {
        self.groups.any(|key| key.job == *job)
    }

    /// The metrics that were asked for.
    ///
    /// # Errors
    /// When one of the exporter's own metrics cannot be written.
    pub fn scrape(&self, selection: &Selection, format: Format, encoding: Encoding) -> Result<Body, fmt::Error> {
        let mut segments = self.groups.select(|key| selection.has_group(key));
        segments.extend(self.jobs.select(|job| selection.has_job(job)));
        let frame = match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.openmetrics,
        };
        let own = if selection.has_own() { self.own(format)? } else { Block::default() };
        let families = frame.heads.iter().flat_map(|(id, head)| {
            let mut samples = segments.iter().filter_map(|segment| segment.block(*id)).peekable();
            // A family without samples is not mentioned.
            let head = samples.peek().map(|_| head);
            head.into_iter().chain(samples)
        });
        Ok(Body::of(families.chain([&own, &frame.end]), encoding))
    }

    fn own(&self, format: Format) -> Result<Block, fmt::Error> {
        let mut written = String::new();
        encode_registry(&mut written, &self.registry)?;
        let written = match format {
            Format::Text => text::from_openmetrics(&written),
            Format::OpenMetrics => written,
        };
        self.deflaters.with(|deflater| deflater.block(written.into_bytes())).map_err(|_| fmt::Error)
    }
}
