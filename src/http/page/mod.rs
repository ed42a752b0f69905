//! The status page: what the board shows, in words. It needs no script, and loads nothing from anywhere.

mod entry;
mod query;
mod words;

pub(super) use query::View;

use std::time::SystemTime;

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::board::{Condition, Job, Part};
use crate::model::JobId;
use entry::Entry;
use query::{Filter, Refresh, Sort};
use words::Clock;

/// Time between two renewals of the page.
const REFRESH_SECONDS: u32 = 15;

/// With how many jobs on the page each has its types and objects in it, from the first on; the others have a link to them.
const WITH_INSIDE: usize = 50;

const STYLE: &str = include_str!("../../../templates/style.css");

/// What the page shows beside the jobs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// The path of the metrics.
    pub(super) telemetry_path: &'a str,
    /// Which part of the jobs there is to show, where it is not all of them.
    pub(super) part: Option<Part>,
    /// How many first polls are still to come.
    pub(super) first_polls: usize,
    pub(super) now: SystemTime,
}

#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    style: &'static str,
    version: &'static str,
    refresh_seconds: u32,
    telemetry_path: &'a str,
    view: &'a View,
    /// Where the page stands still or renews itself instead.
    refresh_link: String,
    clock: Clock,
    part: Option<Part>,
    first_polls: usize,
    followed: usize,
    attention: usize,
    chips: Vec<Chip>,
    states: Vec<Choice>,
    orders: Vec<Choice>,
    /// Jobs that were asked for and are not there.
    missing: Vec<&'a JobId>,
    entries: Vec<Entry<'a>>,
}

/// A state that jobs are in, and how many.
struct Chip {
    jobs: usize,
    label: &'static str,
    tone: &'static str,
    link: String,
    chosen: bool,
}

/// One of several that a form lets choose.
struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

/// What a browser may do with the page: use its own style, send its form here, and nothing else.
pub(super) fn security_policy() -> String {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// The page of these jobs, which are all that are followed, or those that the view names.
pub(super) fn render(jobs: &[Job], view: &View, around: Surroundings<'_>) -> askama::Result<String> {
    let clock = Clock::new(around.now);
    let room = |place: usize| place < WITH_INSIDE;
    let chosen = view.choose(jobs).into_iter().enumerate();
    let entries = chosen.map(|(place, job)| Entry::new(job, view, clock, room(place), around.telemetry_path)).collect();
    let known = |id: &JobId| jobs.iter().any(|job| job.job == id.as_str());
    let page = Page {
        style: STYLE,
        version: env!("CARGO_PKG_VERSION"),
        refresh_seconds: REFRESH_SECONDS,
        telemetry_path: around.telemetry_path,
        view,
        refresh_link: view.with_refresh(if view.refreshes() { Refresh::Off } else { Refresh::On }),
        clock,
        part: around.part,
        first_polls: around.first_polls,
        followed: jobs.len(),
        attention: jobs.iter().filter(|job| job.condition.needs_attention()).count(),
        chips: chips(jobs, view),
        states: Filter::all().map(|filter| choice(filter.as_str(), filter.words(), filter == view.filter)).collect(),
        orders: Sort::ALL.map(|sort| choice(sort.as_str(), sort.words(), sort == view.sort)).into(),
        missing: view.jobs.iter().filter(|id| !known(id)).collect(),
        entries,
    };
    page.render()
}

/// The states that jobs are in, of those that the search finds.
fn chips(jobs: &[Job], view: &View) -> Vec<Chip> {
    let conditions: Vec<Condition> = jobs.iter().filter(|job| view.finds(job)).map(|job| job.condition).collect();
    let chip = |filter: Filter| Chip {
        jobs: conditions.iter().filter(|condition| filter.takes(**condition)).count(),
        label: filter.words(),
        tone: filter.tone(),
        link: view.with_filter(filter),
        chosen: filter == view.filter,
    };
    // The one that was chosen stays, as the way back to it would be gone.
    Filter::all().map(chip).filter(|chip| chip.jobs > 0 || chip.chosen).collect()
}

fn choice(value: &'static str, label: &'static str, chosen: bool) -> Choice {
    Choice { value, label, chosen }
}

impl Filter {
    const fn words(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Attention => "Need attention",
            Self::One(condition) => condition.words(),
        }
    }

    const fn tone(self) -> &'static str {
        match self {
            Self::All => "idle",
            Self::Attention => "bad",
            Self::One(condition) => condition.tone(),
        }
    }
}

impl Sort {
    const fn words(self) -> &'static str {
        match self {
            Self::Urgency => "Most urgent first",
            Self::Name => "By name",
            Self::Progress => "Least progress first",
            Self::TimeLeft => "Longest time left first",
        }
    }
}
