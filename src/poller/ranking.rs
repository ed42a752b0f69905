//! The first few of many objects, with their names: what a person wants to be told of. Pure.

use crate::model::Standing;

/// How many are told.
const TOLD: usize = 10;

/// The objects with the smallest keys of those that were offered; of equal ones, those that were offered first.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// By key; never more than are told.
    first: Vec<Ranked>,
}

#[derive(Debug)]
struct Ranked {
    key: u32,
    place: usize,
    standing: Standing,
}

impl Ranking {
    /// Takes the object in if it is one of the first. Its name is only made then.
    pub(super) fn offer(&mut self, place: usize, key: u32, standing: impl FnOnce() -> Standing) {
        let full = self.first.len() >= TOLD;
        if full && self.first.last().is_some_and(|last| last.key <= key) {
            return;
        }
        let rank = self.first.partition_point(|ranked| ranked.key <= key);
        self.first.insert(rank, Ranked { key, place, standing: standing() });
        self.first.truncate(TOLD);
    }

    /// The first, but for those at these places.
    pub(super) fn without(self, places: &[usize]) -> Vec<Standing> {
        let counts = self.first.into_iter().filter(|ranked| places.binary_search(&ranked.place).is_err());
        counts.map(|ranked| ranked.standing).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{ObjectName, Percent};

    fn standing(place: usize) -> Standing {
        let name = &*place.to_string();
        let name = ObjectName { src_db: "", src_tb: name, dst_db: "", dst_tb: "" }.to_owned();
        Standing { name, progress: Percent::default(), since: SystemTime::UNIX_EPOCH }
    }

    proptest! {
        #[test]
        fn the_first_few_are_told_in_order(keys in prop::collection::vec(0_u32..20, 0..60), left_out in 0_usize..60) {
            let mut ranking = Ranking::default();
            for (place, key) in keys.iter().enumerate() {
                ranking.offer(place, *key, || standing(place));
            }
            let mut sorted: Vec<usize> = (0..keys.len()).collect();
            sorted.sort_by_key(|place| keys[*place]);
            let told = sorted.into_iter().take(TOLD).filter(|place| *place != left_out);
            prop_assert_eq!(ranking.without(&[left_out]), told.map(standing).collect::<Vec<_>>());
        }
    }
}
