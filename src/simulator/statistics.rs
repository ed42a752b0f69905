//! What the simulator has seen: how fast it was asked, who logged in and who was turned away. For tests that must know the
//! server's side.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

/// How far back it remembers.
const SECONDS: u64 = 3600;

/// What happened since the start, or in the last hour.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Statistics {
    /// The second after the start that comes first in `seconds`.
    first_second: u64,
    seconds: VecDeque<Second>,
    /// When somebody logged in, in milliseconds after the start.
    log_ins: VecDeque<u64>,
    /// When somebody was not let in, in milliseconds after the start.
    authentication_failures: VecDeque<u64>,
}

/// The requests to DRS in one second.
#[derive(Clone, Debug, Default, Serialize)]
struct Second {
    requests: u32,
    /// Those of them that were over the quota.
    refused: u32,
}

impl Statistics {
    /// Counts a request to DRS; says whether it is within the quota, which is by whole seconds.
    pub(super) fn request(&mut self, elapsed: Duration, quota: Option<u32>) -> bool {
        let place = self.reach(elapsed);
        let Some(second) = self.seconds.get_mut(place) else { return true };
        second.requests = second.requests.saturating_add(1);
        let within = quota.is_none_or(|quota| second.requests <= quota);
        second.refused += u32::from(!within);
        within
    }

    /// Notes that somebody logged in.
    pub(super) fn log_in(&mut self, elapsed: Duration) {
        note(&mut self.log_ins, elapsed);
    }

    /// Notes that somebody was not let in.
    pub(super) fn authentication_failure(&mut self, elapsed: Duration) {
        note(&mut self.authentication_failures, elapsed);
    }

    /// All of it, up to this second.
    pub(super) fn report(&mut self, elapsed: Duration) -> Self {
        self.reach(elapsed);
        self.clone()
    }

    /// Makes room for a second; gives its place.
    fn reach(&mut self, elapsed: Duration) -> usize {
        let second = elapsed.as_secs();
        while self.first_second + (self.seconds.len() as u64) <= second {
            self.seconds.push_back(Second::default());
            if self.seconds.len() as u64 > SECONDS {
                self.seconds.pop_front();
                self.first_second += 1;
            }
        }
        usize::try_from(second.saturating_sub(self.first_second)).unwrap_or(usize::MAX)
    }
}

fn note(times: &mut VecDeque<u64>, elapsed: Duration) {
    let now = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    while times.front().is_some_and(|time| time + SECONDS * 1000 <= now) {
        times.pop_front();
    }
    times.push_back(now);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn seconds_without_requests_count_as_well() {
        let mut statistics = Statistics::default();
        let mut ask = |millis| statistics.request(Duration::from_millis(millis), Some(1));
        assert_eq!([ask(0), ask(999), ask(2000)], [true, false, true]);
        statistics.log_in(Duration::from_millis(1500));
        statistics.authentication_failure(Duration::from_millis(2500));
        let expected = json!({
            "first_second": 0,
            "seconds": [
                {"requests": 2, "refused": 1},
                {"requests": 0, "refused": 0},
                {"requests": 1, "refused": 0},
                {"requests": 0, "refused": 0},
            ],
            "log_ins": [1500],
            "authentication_failures": [2500],
        });
        assert_eq!(serde_json::to_value(statistics.report(Duration::from_secs(3))).unwrap(), expected);
    }

    #[test]
    fn an_hour_is_remembered() {
        let mut statistics = Statistics::default();
        for second in [0, 3599, 3600] {
            statistics.request(Duration::from_secs(second), None);
            statistics.log_in(Duration::from_secs(second));
        }
        let report = statistics.report(Duration::from_secs(3600));
        assert_eq!((report.first_second, report.seconds.len(), report.log_ins.len()), (1, 3600, 2));
        assert_eq!(report.seconds.iter().map(|second| second.requests).sum::<u32>(), 2);
    }
}
