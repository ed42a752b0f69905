//! Samples of the text format, by the whole series.

use std::collections::BTreeMap;

/// Every series and its value.
#[derive(Debug)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads text 0.0.4 whose label values hold no newline; that is what the exposition promises.
    ///
    /// # Panics
    /// When a series stands twice.
    pub fn parse(text: &str) -> Self {
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            let value = value.parse().unwrap_or_else(|_| panic!("no value: {line}"));
            let before = samples.insert(series.to_owned(), value);
            assert_eq!(before, None, "stands twice: {series}");
        }
        Self(samples)
    }

    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// The value of a metric that has only a job and a type.
    pub fn of(&self, name: &str, job: &str, object_type: &str) -> Option<f64> {
        self.get(&format!(r#"{name}{{job="{job}",type="{object_type}"}}"#))
    }

    /// The value of a metric of a job and type with one label more.
    pub fn labelled(&self, name: &str, job: &str, object_type: &str, label: &str, value: &str) -> Option<f64> {
        self.get(&format!(r#"{name}{{job="{job}",type="{object_type}",{label}="{value}"}}"#))
    }

    /// How many polls ended in this way.
    pub fn polls(&self, job: &str, object_type: &str, outcome: &str) -> f64 {
        self.labelled("drs_polls_total", job, object_type, "outcome", outcome).unwrap_or_default()
    }

    /// How many requests failed for this reason.
    pub fn errors(&self, job: &str, object_type: &str, code: &str) -> f64 {
        self.labelled("drs_api_errors_total", job, object_type, "error_code", code).unwrap_or_default()
    }

    /// Rows that are not shown.
    pub fn dropped(&self, job: &str, object_type: &str, reason: &str) -> f64 {
        self.labelled("drs_rows_dropped_total", job, object_type, "reason", reason).unwrap_or_default()
    }

    /// The series that begin like this.
    pub fn beginning(&self, prefix: &str) -> Vec<(&str, f64)> {
        self.0
            .iter()
            .filter(|(series, _)| series.starts_with(prefix))
            .map(|(series, value)| (&series[..], *value))
            .collect()
    }

    /// How many objects of a job and type have a series.
    pub fn objects(&self, job: &str, object_type: &str) -> usize {
        self.beginning(&format!(r#"drs_object_progress{{job="{job}",type="{object_type}","#)).len()
    }
}
