//! What is remembered, as bytes that outlive the process: a word to know them by, the version of the form, the memory of the
//! paces, then one group after the other, and a checksum of all of it. Pure: nothing here knows of files.
//!
//! Times are the system's, in seconds since 1970. What is read is believed only where the checksum is right, and is still
//! checked, since anybody can write a checksum.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use super::progress::Tracker;
use crate::model::GroupKey;

/// What the bytes begin with.
const MAGIC: [u8; 8] = *b"drsstate";

/// The form of what follows. It has to rise whenever that changes, which a test notices.
const VERSION: u32 = 2;

/// How far ahead of the system's clock a time may be, in seconds: clocks are set by so much every day.
const AHEAD: u32 = 60;

/// Why bytes cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// They are something else.
    #[error("it is empty, or no state of drs-exporter")]
    Foreign,
    /// Another version of the exporter wrote them.
    #[error("its format is {0}, and this version of drs-exporter knows only {VERSION}")]
    Version(u32),
    /// They are not what was written.
    #[error("it is torn or damaged")]
    Damaged,
    /// They tell of a time that has not come yet.
    #[error("it is from the future, by {}, so the system's clock was set back", humantime::format_duration(*.0))]
    Future(Duration),
}

/// Writes groups, one after the other.
pub(super) struct Writer<W> {
    out: W,
    sum: crc32fast::Hasher,
    /// Of the group that is written.
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins; paces are means over about `stall_after`.
    pub(super) fn begin(out: W, stall_after: Duration) -> io::Result<Self> {
        let mut writer = Self { out, sum: crc32fast::Hasher::new(), buffer: Vec::new() };
        writer.put(&MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.put(&stall_after.as_secs().to_le_bytes())?;
        Ok(writer)
    }

    /// Writes a group, whose times are the system's.
    pub(super) fn group(&mut self, key: &GroupKey, tracker: &Tracker) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let group = (key.job.as_str(), key.object_type.as_str(), tracker);
        let buffer = postcard::to_extend(&group, buffer).map_err(io::Error::other)?;
        self.put(&buffer)?;
        self.buffer = buffer;
        Ok(())
    }

    /// Ends; without this, nothing of it can be read.
    pub(super) fn end(mut self) -> io::Result<()> {
        let sum = self.sum.clone().finalize();
        self.put(&sum.to_le_bytes())?;
        self.out.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Reads all groups, at a second of the system's clock.
pub(super) fn read(bytes: &[u8], stall_after: Duration, now: u32) -> Result<BTreeMap<GroupKey, Tracker>, Unusable> {
    let versioned = bytes.strip_prefix(&MAGIC).ok_or(Unusable::Foreign)?;
    let version = versioned.first_chunk().ok_or(Unusable::Damaged)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(Unusable::Version(version));
    }
    let (summed, sum) = bytes.split_last_chunk().ok_or(Unusable::Damaged)?;
    if crc32fast::hash(summed) != u32::from_le_bytes(*sum) {
        return Err(Unusable::Damaged);
    }
    let body = summed.get(MAGIC.len() + size_of_val(&version)..).ok_or(Unusable::Damaged)?;
    let (mean_over, mut rest) = body.split_first_chunk().ok_or(Unusable::Damaged)?;
    let same_mean = u64::from_le_bytes(*mean_over) == stall_after.as_secs();
    let mut groups = BTreeMap::new();
    while !rest.is_empty() {
        let (key, tracker, after) =
            group(rest).filter(|(_, tracker, _)| tracker.is_possible()).ok_or(Unusable::Damaged)?;
        groups.insert(key, if same_mean { tracker } else { tracker.without_pace() });
        rest = after;
    }
    let ahead = groups.values().map(Tracker::looked).max().unwrap_or_default().saturating_sub(now);
    if ahead > AHEAD {
        return Err(Unusable::Future(Duration::from_secs(ahead.into())));
    }
    Ok(groups.into_iter().map(|(key, tracker)| (key, tracker.no_later_than(now))).collect())
}

/// The first group, and what comes after it. Takes no more memory than about the size of the bytes, whatever they say.
fn group(bytes: &[u8]) -> Option<(GroupKey, Tracker, &[u8])> {
    let ((job, object_type, tracker), rest) = postcard::take_from_bytes::<(&str, &str, Tracker)>(bytes).ok()?;
    let key = GroupKey { job: job.parse().ok()?, object_type: object_type.parse().ok()? };
    Some((key, tracker, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ObjectType;
    use crate::poller::timeline::Moment;

    const STALL_AFTER: Duration = Duration::from_secs(1800);

    type Groups = BTreeMap<GroupKey, Tracker>;

    /// Times after each other, and the objects that were listed then.
    type Listings = Vec<(f64, BTreeMap<u8, u8>)>;

    fn key(job: &str) -> GroupKey {
        GroupKey { job: job.parse().unwrap(), object_type: ObjectType::Table }
    }

    /// What these listings lead to, each a moment and its objects, by number and percent.
    fn seen(listings: &[(f64, Vec<(u8, u8)>)]) -> Tracker {
        let mut tracker = Tracker::default();
        for (now, objects) in listings {
            let names: Vec<String> = objects.iter().map(|(number, _)| number.to_string()).collect();
            let objects: Vec<(&str, u8)> =
                names.iter().zip(objects).map(|(name, (_, percent))| (&name[..], *percent)).collect();
            tracker.sees(&objects, Moment { now: *now, drift: 0 }, STALL_AFTER);
        }
        tracker
    }

    /// A few objects at 1000 s, one of which moved then.
    fn some() -> Tracker {
        seen(&[(940.5, vec![(1, 10), (2, 0), (3, 100)]), (1000.25, vec![(1, 11), (2, 0), (3, 100)])])
    }

    fn written(groups: &Groups) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::begin(&mut bytes, STALL_AFTER).unwrap();
        groups.iter().for_each(|(key, tracker)| writer.group(key, tracker).unwrap());
        writer.end().unwrap();
        bytes
    }

    /// The same bytes after a change, with a checksum that is right.
    fn forged(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = written(&Groups::from([(key("a"), some())]));
        bytes.truncate(bytes.len() - 4);
        change(&mut bytes);
        let sum = crc32fast::hash(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    fn read_at(bytes: &[u8], now: u32) -> Result<Groups, Unusable> {
        read(bytes, STALL_AFTER, now)
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            groups in prop::collection::btree_map(
                "[a-zA-Z0-9_-]{1,64}",
                prop::collection::vec((0.0..2e5, prop::collection::btree_map(any::<u8>(), 0_u8..=100, 1..20)), 1..8),
                0..5,
            )
        ) {
            let group = |(job, listings): (String, Listings)| {
                let mut now = 1e9;
                let listing = |(after, objects): (f64, BTreeMap<u8, u8>)| {
                    now += after;
                    (now, objects.into_iter().collect())
                };
                (key(&job), seen(&listings.into_iter().map(listing).collect::<Vec<_>>()))
            };
            let groups: Groups = groups.into_iter().map(group).collect();
            prop_assert_eq!(read_at(&written(&groups), 2_000_000_000), Ok(groups));
        }

        #[test]
        fn nothing_is_made_of_anything_else(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(read_at(&bytes, 2000), Err(Unusable::Foreign));
            // Not even where it claims to be ours: then most is damaged, and a part of it may be possible.
            let ours = forged(|ours| {
                ours.truncate(20);
                ours.extend(bytes);
            });
            if let Ok(groups) = read_at(&ours, 2000) {
                prop_assert!(groups.values().all(Tracker::is_possible));
            }
        }
    }

    #[test]
    fn every_torn_end_and_every_changed_bit_is_noticed() {
        let whole = written(&Groups::from([(key("a"), some()), (key("b"), some())]));
        assert_eq!(read_at(&whole, 2000).unwrap().len(), 2);
        for length in 0..whole.len() {
            assert!(read_at(&whole[..length], 2000).is_err(), "{length} of {} bytes", whole.len());
        }
        for place in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[place / 8] ^= 1 << (place % 8);
            assert!(read_at(&changed, 2000).is_err(), "bit {place}");
        }
        let twice = [&whole[..], &whole].concat();
        assert_eq!(read_at(&twice, 2000), Err(Unusable::Damaged));
    }

    #[test]
    fn another_version_is_named() {
        let newer = |bytes: &mut Vec<u8>| bytes[8] = 3;
        assert_eq!(read_at(&forged(newer), 2000), Err(Unusable::Version(3)));
        assert_eq!(read_at(&forged(|bytes| bytes[8] = 0), 2000), Err(Unusable::Version(0)));
        // A newer version may have no checksum where this one has it.
        let mut newer = forged(newer);
        newer.truncate(15);
        assert_eq!(read_at(&newer, 2000), Err(Unusable::Version(3)));
    }

    /// Where this fails, files of versions before would be misread: raise `VERSION`, then change it here.
    #[test]
    fn the_form_is_that_of_the_version() {
        let hex: String = forged(|_| ()).iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(hex, @"64727373746174650200000008070000000000000161057461626c65038ae6e789b5ed98d130e807ba3e0f3a00006f420b99cd918786d8a3cd7cac07000000000000000000babfa4b598fa90f832ac070000000000006f4264010000000000428f4001e80701ba3e0f3a00006f424509552a");
        assert_eq!(VERSION, 2);
    }

    #[test]
    fn a_forged_length_takes_no_memory() {
        // The number of objects comes after the head, the job and the type.
        let place = 20 + 2 + 6;
        assert_eq!(forged(|_| ())[place], 3);
        let huge = forged(|bytes| drop(bytes.splice(place..=place, [0xff, 0xff, 0xff, 0xff, 0x7f])));
        assert_eq!(read_at(&huge, 2000), Err(Unusable::Damaged));
        let job = forged(|bytes| drop(bytes.splice(20..21, [0xff, 0xff, 0xff, 0xff, 0x7f])));
        assert_eq!(read_at(&job, 2000), Err(Unusable::Damaged));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let tracker = some();
        let bytes = forged(|_| ());
        let change = |from: &[u8], to: &[u8]| {
            let place = bytes.windows(from.len()).position(|window| window == from).expect("what is changed");
            read_at(&forged(|bytes| drop(bytes.splice(place..place + from.len(), to.iter().copied()))), 2000)
        };
        assert_eq!(change(b"\x01a", b"\x01a"), Ok(Groups::from([(key("a"), tracker)])));
        assert_eq!(change(b"\x01a", b"\x01/"), Err(Unusable::Damaged), "a job that would change a path");
        assert_eq!(change(b"\x05table", b"\x05tabel"), Err(Unusable::Damaged), "a type that is not known");
        assert_eq!(change(&1000.25_f64.to_le_bytes(), &f64::NAN.to_le_bytes()), Err(Unusable::Damaged), "no time");
        assert_eq!(change(&1000.25_f64.to_le_bytes(), &(-1.0_f64).to_le_bytes()), Err(Unusable::Damaged), "no time");
        assert_eq!(change(&1000.25_f64.to_le_bytes(), &999.0_f64.to_le_bytes()), Err(Unusable::Damaged), "moved later");
        assert_eq!(change(&59.75_f32.to_le_bytes(), &f32::INFINITY.to_le_bytes()), Err(Unusable::Damaged), "no pace");
        assert_eq!(change(&[0x6f, 0x42, 100], &[0x6f, 0x42, 101]), Err(Unusable::Damaged), "more than all");
    }

    #[test]
    fn the_future_is_not_believed_but_for_what_clocks_do() {
        let (bytes, tracker) = (forged(|_| ()), some());
        let read = |now| read_at(&bytes, now).map(|mut groups| groups.remove(&key("a")).unwrap());
        assert_eq!(read(5000), Ok(tracker.clone()));
        assert_eq!(read(1001), Ok(tracker.clone()));
        assert_eq!(read(939), Err(Unusable::Future(Duration::from_secs(61))));
        // Nothing is later than now, or it would not be possible any more once it is saved again.
        let earlier = read(940).unwrap();
        assert!(earlier.is_possible());
        assert_eq!((earlier.looked(), tracker.looked()), (940, 1000));
    }

    #[test]
    fn a_pace_is_worth_nothing_where_it_is_reckoned_in_another_way() {
        let tracker = read(&forged(|_| ()), 2 * STALL_AFTER, 2000).unwrap().remove(&key("a")).unwrap();
        assert_eq!(tracker, some().without_pace());
        assert_ne!(tracker, some());
    }
}
