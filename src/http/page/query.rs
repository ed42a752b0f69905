//! What of the page is asked for, and the addresses that ask for something else of it.

use std::collections::BTreeSet;

use url::form_urlencoded::Serializer;

use crate::board::{Condition, Job};
use crate::model::JobId;

/// What of the page is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::http) struct View {
    /// These jobs with all that is known of them; all jobs where none is named.
    pub(super) jobs: BTreeSet<JobId>,
    /// What a job's name, id or account has in it.
    pub(super) search: String,
    pub(super) filter: Filter,
    pub(super) sort: Sort,
    pub(super) refresh: Refresh,
}

/// Which jobs are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Filter {
    #[default]
    All,
    /// Those that somebody has to look at.
    Attention,
    One(Condition),
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Urgency,
    Name,
    Progress,
    TimeLeft,
}

/// Whether the page renews itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Refresh {
    #[default]
    On,
    /// For whoever reads by keyboard or ear, and must not be thrown back to the top.
    Off,
}

impl Filter {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [Self::All, Self::Attention].into_iter().chain(Condition::ALL.map(Self::One))
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Attention => "attention",
            Self::One(condition) => condition.as_str(),
        }
    }

    pub(super) fn takes(self, condition: Condition) -> bool {
        match self {
            Self::All => true,
            Self::Attention => condition.needs_attention(),
            Self::One(one) => one == condition,
        }
    }
}

impl Sort {
    pub(super) const ALL: [Self; 4] = [Self::Urgency, Self::Name, Self::Progress, Self::TimeLeft];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Urgency => "urgency",
            Self::Name => "name",
            Self::Progress => "progress",
            Self::TimeLeft => "time_left",
        }
    }
}

impl View {
    /// Reads the parameters of an address. One that is empty is as good as none, since a form sends all it has.
    ///
    /// # Errors
    /// When a parameter has a value that it cannot have; the text says which.
    pub(in crate::http) fn parse(query: &[(String, String)]) -> Result<Self, String> {
        let mut view = Self::default();
        for (key, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
            let wrong = |expected: &str| format!("?{key}={value}: expected {expected}\n");
            match key.as_str() {
                "job" => {
                    view.jobs.insert(value.parse().map_err(|error| format!("?job={value}: {error}\n"))?);
                }
                "q" => view.search.clone_from(value),
                "state" => {
                    let known = Filter::all().find(|filter| filter.as_str() == value);
                    view.filter = known.ok_or_else(|| {
                        wrong(&format!("attention, {}", Condition::ALL.map(Condition::as_str).join(", ")))
                    })?;
                }
                "sort" => {
                    let known = Sort::ALL.into_iter().find(|sort| sort.as_str() == value);
                    view.sort = known.ok_or_else(|| wrong(&Sort::ALL.map(Sort::as_str).join(", ")))?;
                }
                "refresh" if value == "off" => view.refresh = Refresh::Off,
                "refresh" => return Err(wrong("off")),
                _ => {}
            }
        }
        Ok(view)
    }

    /// The jobs that are named.
    pub(in crate::http) fn jobs(&self) -> &BTreeSet<JobId> {
        &self.jobs
    }

    /// Whether some jobs are named, which are shown with all that is known of them.
    pub(super) fn names_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether the page renews itself.
    pub(super) fn refreshes(&self) -> bool {
        self.refresh == Refresh::On
    }

    /// The jobs of these that are asked for, in the order that is asked for.
    pub(super) fn choose<'j>(&self, jobs: &'j [Job]) -> Vec<&'j Job> {
        let mut chosen: Vec<&Job> = jobs.iter().filter(|job| !self.jobs.is_empty() || self.takes(job)).collect();
        let by_name = |job: &&Job| (title(job).to_lowercase(), job.job.clone());
        match self.sort {
            Sort::Urgency => chosen.sort_by_cached_key(|job| (job.condition, by_name(job))),
            Sort::Name => chosen.sort_by_cached_key(by_name),
            Sort::Progress => {
                chosen.sort_by_cached_key(by_name);
                // What is not known comes last.
                let percent = |job: &Job| job.summary.progress_percent.unwrap_or(f64::INFINITY);
                chosen.sort_by(|a, b| percent(a).total_cmp(&percent(b)));
            }
            Sort::TimeLeft => {
                chosen.sort_by_cached_key(by_name);
                let left = |job: &Job| job.summary.eta_seconds.unwrap_or(-1.0);
                chosen.sort_by(|a, b| left(b).total_cmp(&left(a)));
            }
        }
        chosen
    }

    /// Whether a job has what is searched for in its name, id or account.
    pub(super) fn finds(&self, job: &Job) -> bool {
        let wanted = self.search.trim().to_lowercase();
        let texts = [Some(&job.job), job.name.as_ref(), job.account.as_ref()];
        texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&wanted))
    }

    fn takes(&self, job: &Job) -> bool {
        self.filter.takes(job.condition) && self.finds(job)
    }

    /// The address of the same with all jobs.
    pub(super) fn all_jobs(&self) -> String {
        Self { jobs: BTreeSet::new(), ..self.clone() }.link()
    }

    /// The address of one job, which knows the way back to this.
    pub(super) fn of_job(&self, job: &str) -> String {
        Self { jobs: job.parse().into_iter().collect(), ..self.clone() }.link()
    }

    pub(super) fn with_filter(&self, filter: Filter) -> String {
        Self { filter, ..self.clone() }.link()
    }

    pub(super) fn without_filter(&self) -> String {
        Self { filter: Filter::All, search: String::new(), ..self.clone() }.link()
    }

    pub(super) fn with_refresh(&self, refresh: Refresh) -> String {
        Self { refresh, ..self.clone() }.link()
    }

    fn link(&self) -> String {
        let mut query = Serializer::new(String::new());
        for job in &self.jobs {
            query.append_pair("job", job.as_str());
        }
        let refresh = if self.refresh == Refresh::Off { "off" } else { "" };
        let sort = if self.sort == Sort::default() { "" } else { self.sort.as_str() };
        let named = [("q", &self.search[..]), ("state", self.filter.as_str()), ("sort", sort), ("refresh", refresh)];
        query.extend_pairs(named.into_iter().filter(|(_, value)| !value.is_empty()));
        match query.finish() {
            query if query.is_empty() => "/".to_owned(),
            query => format!("/?{query}"),
        }
    }
}

/// What a job is called.
pub(super) fn title(job: &Job) -> &str {
    job.name.as_deref().unwrap_or(&job.job)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<View, String> {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        View::parse(&pairs)
    }

    #[test]
    fn an_address_comes_back_as_it_was() {
        for query in ["", "job=a&job=b", "q=a+%26+%3Cb%3E", "state=attention&sort=name", "job=a&q=x&refresh=off"] {
            let link = parsed(query).unwrap().link();
            assert_eq!(link.trim_start_matches(['/', '?']), query);
        }
        assert_eq!(parsed("q=&state=&sort=urgency&other=1").unwrap(), View::default());
    }

    #[test]
    fn links_change_what_they_say_and_keep_the_rest() {
        let view = parsed("q=x&state=stalled&sort=name&refresh=off").unwrap();
        assert_eq!(view.of_job("j"), "/?job=j&q=x&state=stalled&sort=name&refresh=off");
        assert_eq!(parsed("job=j&q=x").unwrap().all_jobs(), "/?q=x");
        assert_eq!(view.with_filter(Filter::All), "/?q=x&sort=name&refresh=off");
        assert_eq!(view.without_filter(), "/?sort=name&refresh=off");
        assert_eq!(view.with_refresh(Refresh::On), "/?q=x&state=stalled&sort=name");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (query, word) in
            [("job=..", "job id"), ("state=x", "stalled"), ("sort=x", "time_left"), ("refresh=1", "off")]
        {
            assert!(parsed(query).unwrap_err().contains(word), "{query}");
        }
    }
}
