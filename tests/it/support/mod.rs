//! What the tests share: the exporter as a process, a scripted DRS, a real Prometheus, and ways to read what they say.

pub mod alertmanager;
pub mod chart;
pub mod chromium;
pub mod drs;
pub mod exporter;
pub mod metrics;
pub mod project;
pub mod prometheus;
pub mod samples;
pub mod simulator;
pub mod states;
pub mod tools;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything that will come may take, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none in time; says what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    eventually_within(PATIENCE, what, ask).await
}

/// The same, for what takes its time.
pub async fn eventually_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + patience;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while Instant::now() < deadline {
        ticks.tick().await;
        if let Some(answer) = ask().await {
            return answer;
        }
    }
    panic!("waited {patience:?} in vain for {what}");
}
