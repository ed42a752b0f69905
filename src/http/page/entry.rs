//! One job on the page: what is wrong with it first, then how it stands, then each type and the objects to look at.

use askama::Template;

use super::query::{self, View};
use super::words::{self, Clock, Cut, When, cut, grouped, list};
use crate::board::{Condition, Job, Standing, States, Summary, Type};

/// How many objects that stand still are named at once; the others are inside.
const NAMED_AT_ONCE: u64 = 3;

/// One job.
#[derive(Template)]
#[template(path = "job.html")]
pub(super) struct Entry<'a> {
    job: &'a Job,
    condition: Condition,
    title: Cut,
    link: String,
    facts: Vec<String>,
    summary: Told,
    reasons: Vec<Reason>,
    /// Its types and objects; a link to them where there are too many jobs for that.
    inside: Option<Inside<'a>>,
    open: bool,
}

/// Its types and objects.
#[derive(Template)]
#[template(path = "inside.html")]
struct Inside<'a> {
    job: &'a str,
    metrics: String,
    types: Vec<Row<'a>>,
    objects: Vec<Objects>,
    notes: Vec<String>,
}

/// A type in the table of types.
struct Row<'a> {
    name: &'a str,
    condition: Condition,
    summary: Told,
    read: When,
}

/// Objects to look at, of all types.
struct Objects {
    caption: &'static str,
    objects: Vec<Object>,
}

/// An object that stands still, or is slow.
struct Object {
    object_type: &'static str,
    name: Name,
    percent: String,
    since: When,
}

/// Source and target of an object.
#[derive(Template)]
#[template(
    source = r#"<bdi{% if let Some(whole) = src.whole %} title="{{ whole }}"{% endif %}>{{ src.text }}</bdi> → <bdi{% if let Some(whole) = dst.whole %} title="{{ whole }}"{% endif %}>{{ dst.text }}</bdi>"#,
    ext = "html"
)]
struct Name {
    src: Cut,
    dst: Cut,
}

/// Something that is wrong.
struct Reason {
    text: String,
    when: Option<When>,
    objects: Vec<Object>,
}

/// A summary in words.
struct Told {
    percent: Option<Percent>,
    /// What stands where there is no percent.
    no_percent: &'static str,
    states: String,
    pace: String,
    left: String,
    changed: When,
    data: When,
}

/// A percentage, as a number and in words.
struct Percent {
    value: String,
    words: String,
}

impl Condition {
    /// What it is called.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Failed => "Failed",
            Self::Stalled => "Stalled",
            Self::Stale => "No fresh data",
            Self::Failing => "Polls fail",
            Self::Gone => "Gone",
            Self::Paused => "Paused",
            Self::InProgress => "In progress",
            Self::NotStarted => "Not started",
            Self::Waiting => "First poll to come",
            Self::Finished => "Finished",
            Self::Empty => "No objects",
            Self::Unsupported => "Not listed",
        }
    }

    /// The class of its colours; it says nothing that the words do not.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Failed | Self::Stalled | Self::Stale | Self::Failing => "bad",
            Self::Gone | Self::Paused => "warn",
            Self::InProgress => "go",
            Self::Finished => "done",
            Self::NotStarted | Self::Waiting | Self::Empty | Self::Unsupported => "idle",
        }
    }
}

impl<'a> Entry<'a> {
    /// A job as it is shown, with its types and objects inside where there is room for them.
    pub(super) fn new(job: &'a Job, view: &View, clock: Clock, room: bool, telemetry_path: &str) -> Self {
        let open = !view.jobs.is_empty();
        Self {
            job,
            condition: job.condition,
            title: cut(query::title(job)),
            link: view.of_job(&job.job),
            facts: facts(job),
            summary: Told::new(job.condition, &job.summary, clock),
            reasons: reasons(job, clock),
            inside: (room || open).then(|| Inside::new(job, clock, telemetry_path)),
            open,
        }
    }
}

impl<'a> Inside<'a> {
    fn new(job: &'a Job, clock: Clock, telemetry_path: &str) -> Self {
        let of = |condition| -> Vec<&'a str> {
            job.types.iter().filter(|one| one.condition == condition).map(|one| one.object_type).collect()
        };
        let mut notes = Vec::new();
        for (condition, what) in [
            (Condition::Waiting, "First poll to come"),
            (Condition::Empty, "Without objects"),
            (Condition::Unsupported, "Not listed by DRS for this job"),
        ] {
            let types = of(condition);
            if !types.is_empty() {
                notes.push(format!("{what}: {}.", types.join(", ")));
            }
        }
        notes.extend(job.types.iter().flat_map(|one| events(one)));
        let quiet = [Condition::Waiting, Condition::Empty, Condition::Unsupported];
        let shown = job.types.iter().filter(|one| !quiet.contains(&one.condition));
        let table = |caption, objects: Vec<(&Type, &Standing)>| Objects {
            caption,
            objects: objects.into_iter().map(|(one, object)| Object::new(one, object, clock)).collect(),
        };
        let tables = [
            table("Objects that stand still, the longest first", stalled_objects(job)),
            table("Slowest objects on their way", slowest_objects(job)),
        ];
        Self {
            job: &job.job,
            metrics: format!("{telemetry_path}?job={}", job.job),
            types: shown.map(|one| Row::new(one, clock)).collect(),
            objects: tables.into_iter().filter(|table| !table.objects.is_empty()).collect(),
            notes,
        }
    }
}

impl<'a> Row<'a> {
    fn new(one: &'a Type, clock: Clock) -> Self {
        let read = one.poll.last_success_timestamp_seconds;
        Self {
            name: one.object_type,
            condition: one.condition,
            summary: Told::new(one.condition, &one.summary, clock),
            read: read.map_or_else(|| When::none("never since the start"), |at| clock.ago(at)),
        }
    }
}

impl Object {
    fn new(one: &Type, object: &Standing, clock: Clock) -> Self {
        let name =
            |db: &str, object: &str| cut(&if object.is_empty() { db.to_owned() } else { format!("{db}.{object}") });
        Self {
            object_type: one.object_type,
            name: Name { src: name(&object.src_db, &object.src_tb), dst: name(&object.dst_db, &object.dst_tb) },
            percent: words::percent(object.progress_percent.into()),
            since: clock.since(object.since_timestamp_seconds),
        }
    }
}

impl Told {
    fn new(condition: Condition, summary: &Summary, clock: Clock) -> Self {
        let no_percent = match condition {
            Condition::Waiting => "not known yet",
            Condition::Empty => "nothing to move",
            _ => "not known",
        };
        let value = summary.progress_percent;
        Self {
            percent: value.map(|value| Percent { value: format!("{value:.2}"), words: words::percent(value) }),
            no_percent,
            states: states(summary),
            pace: summary.pace_percent_per_hour.map_or_else(|| "nothing moves".to_owned(), words::pace),
            left: left(condition, summary),
            changed: changed(summary, clock),
            data: summary.data_timestamp_seconds.map_or_else(|| When::none("not known"), |at| clock.ago(at)),
        }
        .without_listing(condition, summary)
    }

    /// What is not known has no pace either.
    fn without_listing(mut self, condition: Condition, summary: &Summary) -> Self {
        if summary.objects_by_state.is_none() {
            "not known".clone_into(&mut self.pace);
        } else if condition == Condition::Finished {
            "nothing left".clone_into(&mut self.pace);
        }
        self
    }
}

/// What a job is, beside its name.
fn facts(job: &Job) -> Vec<String> {
    let mut facts = Vec::new();
    if job.name.is_some() {
        facts.push(job.job.clone());
    }
    facts.extend(job.account.as_ref().map(|account| format!("account {}", cut(account).text)));
    let kind = [&job.job_type, &job.engine_type, &job.task_type].into_iter().flatten();
    facts.extend(kind.map(|word| cut(word).text));
    facts.extend(job.status.as_ref().map(|status| format!("DRS says {status}")));
    facts.extend(job.cloud_incremental_delay_seconds.map(|delay| format!("increments {} behind", words::span(delay))));
    facts
}

/// How many objects there are in each state that any is in.
fn states(summary: &Summary) -> String {
    let Some(States { not_started, in_progress, stalled, completed }) = summary.objects_by_state else {
        return match summary.objects {
            None => "objects not known".to_owned(),
            Some(0) => "no objects".to_owned(),
            Some(objects) => format!("{} objects, none of which can be read", grouped(objects)),
        };
    };
    let of = [(stalled, "stalled"), (in_progress, "in progress"), (not_started, "not started"), (completed, "done")];
    let told: Vec<String> = of
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", grouped(count)))
        .collect();
    told.join(", ")
}

/// How long it takes, or why that cannot be said.
fn left(condition: Condition, summary: &Summary) -> String {
    match (condition, summary.eta_seconds) {
        (Condition::Finished, _) => "nothing left".to_owned(),
        (_, Some(left)) if summary.eta_is_minimum => format!("at least {}", words::span(left)),
        (_, Some(left)) => format!("about {}", words::span(left)),
        _ if summary.objects_by_state.is_none() => "not known".to_owned(),
        _ if summary.pace_percent_per_hour.is_none() => "not known: nothing moves".to_owned(),
        _ if summary.progress_percent.is_some_and(|percent| percent < 1.0) => "not known below 1 %".to_owned(),
        _ => "not known at this pace".to_owned(),
    }
}

/// When something last moved, as far as that was watched.
fn changed(summary: &Summary, clock: Clock) -> When {
    match (summary.last_change_timestamp_seconds, summary.last_change_seen) {
        (Some(at), Some(true)) => clock.ago(at),
        (Some(at), _) => clock.ago(at).between("none since the first look ", ""),
        (None, _) => When::none("not known"),
    }
}

/// What happened to a type since the start, that its numbers do not show.
fn events(one: &Type) -> Vec<String> {
    let mut events = Vec::new();
    if let (Some(problem), true) = (&one.poll.problem, one.poll.outcome == Some("inconsistent")) {
        events.push(format!("{}: {problem}.", one.object_type));
    }
    let counted = |count: Option<u64>, one: &str, more: &str| match count {
        None | Some(0) => None,
        Some(1) => Some(format!("1 {one}")),
        Some(count) => Some(format!("{} {more}", grouped(count))),
    };
    if let Some(times) = counted(one.regressions, "time", "times") {
        events.push(format!("{}: a percent fell {times} since the start.", one.object_type));
    }
    if let Some(objects) = counted(one.objects_disappeared, "object", "objects") {
        events.push(format!("{}: {objects} below 100 % left the listing since the start.", one.object_type));
    }
    events
}

/// What is wrong with a job, in words.
fn reasons(job: &Job, clock: Clock) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let said = job.status.as_deref().unwrap_or_default();
    match job.condition {
        Condition::Failed => reasons.push(Reason::new(format!("DRS says that the job failed: {said}."))),
        Condition::Paused => reasons.push(Reason::new(format!("DRS says that the job is paused: {said}."))),
        _ => {}
    }
    reasons.extend(standstill(job, clock));
    reasons.extend(faults(job, clock));
    reasons
}

/// The objects that stand still, of all types together.
fn standstill(job: &Job, clock: Clock) -> Option<Reason> {
    let stalled = |one: &Type| one.summary.objects_by_state.map_or(0, |states| states.stalled);
    let types: Vec<&Type> = job.types.iter().map(|one| &**one).filter(|one| stalled(one) > 0).collect();
    let all: u64 = types.iter().map(|one| stalled(one)).sum();
    let of_type = |one: &&Type| format!("{} of type {}", grouped(stalled(one)), one.object_type);
    let text = match (all, &types[..]) {
        (0, _) => return None,
        (1, _) => "1 object stands still:".to_owned(),
        (2..=NAMED_AT_ONCE, _) => format!("{all} objects stand still:"),
        (_, [one]) => format!("{} objects of type {} stand still. The longest:", grouped(all), one.object_type),
        _ => {
            let types: Vec<String> = types.iter().map(of_type).collect();
            format!("{} objects stand still: {}. The longest:", grouped(all), list(&types))
        }
    };
    let longest = stalled_objects(job).into_iter().take(NAMED_AT_ONCE as usize);
    Some(Reason {
        objects: longest.map(|(one, object)| Object::new(one, object, clock)).collect(),
        ..Reason::new(text)
    })
}

/// Those that are known by name, the longest first.
fn stalled_objects(job: &Job) -> Vec<(&Type, &Standing)> {
    let mut objects: Vec<_> =
        job.types.iter().flat_map(|one| one.stalled.iter().map(|object| (&**one, object))).collect();
    objects.sort_by(|(_, a), (_, b)| a.since_timestamp_seconds.total_cmp(&b.since_timestamp_seconds));
    objects
}

/// The slowest on their way, the one that is least far first.
fn slowest_objects(job: &Job) -> Vec<(&Type, &Standing)> {
    let mut objects: Vec<_> =
        job.types.iter().flat_map(|one| one.slowest.iter().map(|object| (&**one, object))).collect();
    objects.sort_by_key(|(_, object)| object.progress_percent);
    objects
}

/// A sentence of the cloud without its full stop, as there follows one of ours.
fn ended(text: &str) -> &str {
    text.trim_end_matches(['.', ' '])
}

/// What is wrong with the polls; types with the same fault are told together.
fn faults(job: &Job, clock: Clock) -> Vec<Reason> {
    let wrong = |one: &&Type| matches!(one.condition, Condition::Stale | Condition::Failing | Condition::Gone);
    let mut groups: Vec<(&Type, Vec<&str>, Option<f64>)> = Vec::new();
    for one in job.types.iter().map(|one| &**one).filter(wrong) {
        let read = one.poll.last_success_timestamp_seconds;
        let same = |first: &Type| (first.condition, &first.poll.problem) == (one.condition, &one.poll.problem);
        match groups.iter_mut().find(|(first, ..)| same(first)) {
            Some((_, types, oldest)) => {
                types.push(one.object_type);
                *oldest = oldest.zip(read).map(|(a, b)| a.min(b));
            }
            None => groups.push((one, vec![one.object_type], read)),
        }
    }
    let told = |(first, types, read): (&Type, Vec<&str>, Option<f64>)| {
        let (types, problem) = (list(&types), first.poll.problem.as_deref());
        let text = match (first.condition, problem) {
            (Condition::Gone, problem) => {
                format!("DRS has no {types} of this job any more: {}.", ended(problem.unwrap_or("gone")))
            }
            (_, Some(problem)) => format!("Polls of {types} fail: {}.", ended(problem)),
            (_, None) => format!("None of the objects that DRS lists of {types} can be read."),
        };
        let when = match (read, first.condition) {
            (None, _) => When::none("Nothing was read since the start."),
            (Some(at), Condition::Stale) => {
                clock.ago(at).between("It was last read ", ", which is too old to be shown.")
            }
            (Some(at), _) => clock.ago(at).between("It was last read ", "."),
        };
        Reason { when: Some(when), ..Reason::new(text) }
    };
    groups.into_iter().map(told).collect()
}

impl Reason {
    fn new(text: String) -> Self {
        Self { text, when: None, objects: Vec::new() }
    }
}
