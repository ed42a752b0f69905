//! Which jobs are one exporter's, where several share them.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::JobId;

/// One of so many exporters that share the jobs. Each job is exactly one's, and each of them finds out by itself which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    total: u32,
}

/// The number of exporters, or which of them this one is, makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum InvalidShard {
    /// There are too few or too many.
    #[error("expected a number from 1 to {most}; found {total}", most = Shard::MAX_TOTAL)]
    Total {
        /// How many there would be.
        total: u32,
    },
    /// There are not so many.
    #[error("expected a number from 0 to {}, as there are {total} in all; found {index}", total - 1)]
    Index {
        /// Which it would be.
        index: u32,
        /// How many there are.
        total: u32,
    },
}

impl Shard {
    /// Most exporters that can share the jobs.
    pub const MAX_TOTAL: u32 = 1000;

    /// The only one: every job is its own.
    pub const ONLY: Self = Self { index: 0, total: 1 };

    /// The one with this index, from 0 on, of so many.
    ///
    /// # Errors
    /// When there cannot be so many, or the index is not below their number.
    pub const fn new(index: u32, total: u32) -> Result<Self, InvalidShard> {
        if total == 0 || total > Self::MAX_TOTAL {
            return Err(InvalidShard::Total { total });
        }
        if index < total { Ok(Self { index, total }) } else { Err(InvalidShard::Index { index, total }) }
    }

    /// Which one it is, from 0 on.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub const fn total(self) -> u32 {
        self.total
    }

    /// Whether it shares the jobs with others.
    pub const fn is_one_of_many(self) -> bool {
        self.total > 1
    }

    /// Whether the job is its own: of all of them it ranks first for it (rendezvous hashing). One more takes over only jobs for
    /// which it ranks first, and the others keep theirs.
    pub fn takes(self, job: &JobId) -> bool {
        let own = rank(self.index, job);
        (0..self.total).all(|other| rank(other, job) <= own)
    }

    /// Its part of a number of things that all share, so that together they have just that number, but each of them at least one.
    pub const fn share(self, whole: u32) -> u32 {
        let share = whole / self.total + (self.index < whole % self.total) as u32;
        if share == 0 { 1 } else { share }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} of {}", self.index, self.total)
    }
}

/// How high an exporter ranks for a job. Every version has to find the same, since for a while two of them run side by side.
fn rank(index: u32, job: &JobId) -> (u64, u32) {
    let mut hasher = SipHasher13::new();
    hasher.write(&index.to_le_bytes());
    hasher.write(job.as_str().as_bytes());
    (hasher.finish(), index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> JobId {
        text.parse().unwrap()
    }

    /// The indexes of those that take the job.
    fn takers(job: &JobId, total: u32) -> Vec<u32> {
        (0..total).filter(|index| Shard::new(*index, total).unwrap().takes(job)).collect()
    }

    proptest! {
        #[test]
        fn each_job_is_exactly_ones_and_only_a_new_one_takes_over(job in "[0-9a-zA-Z_-]{1,64}", total in 1_u32..60) {
            let job = id(&job);
            let (now, then) = (takers(&job, total), takers(&job, total + 1));
            prop_assert_eq!((now.len(), then.len()), (1, 1));
            prop_assert!(now == then || then == [total]);
        }

        #[test]
        fn shares_make_up_the_whole(whole in 1_u32..=10_000, total in 1_u32..=Shard::MAX_TOTAL) {
            let shares: Vec<u32> = (0..total).map(|index| Shard::new(index, total).unwrap().share(whole)).collect();
            prop_assert_eq!(shares.iter().sum::<u32>(), whole.max(total));
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn every_version_finds_the_same() {
        let jobs = ["163b98e8-6088-46c3-8b86-c18fea6jb502", "a", "moving-a833bdcd", "stalled", "0"];
        let found = jobs.map(|job| [2, 3, 10, 1000].map(|total| takers(&id(job), total)).concat());
        let expected = [[1, 1, 1, 140], [0, 2, 3, 818], [0, 0, 6, 124], [1, 1, 1, 566], [1, 1, 1, 984]];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_thousand_jobs_are_shared_evenly() {
        for total in [2, 3, 4, 10] {
            let mut jobs = vec![0; total as usize];
            (0..1000).for_each(|n| jobs[takers(&id(&format!("job-{n}")), total)[0] as usize] += 1);
            let fair = 1000 / total;
            assert!(jobs.iter().all(|jobs| (fair * 3 / 4..=fair * 5 / 4).contains(jobs)), "{jobs:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let told = |index, total| Shard::new(index, total).unwrap_err().to_string();
        assert_eq!(told(0, 0), "expected a number from 1 to 1000; found 0");
        assert_eq!(told(0, 1001), "expected a number from 1 to 1000; found 1001");
        assert_eq!(told(3, 3), "expected a number from 0 to 2, as there are 3 in all; found 3");
        assert!(Shard::new(999, 1000).is_ok());
    }
}
