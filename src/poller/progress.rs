//! What only several listings tell together: when each object last moved, what stands still, how fast the rest moves and how
//! long it will take. Pure: listings and moments in, progress out.
//!
//! Only a listing moves a clock. While polls fail nothing is learned, so nothing becomes stalled either.

use std::collections::HashMap;
use std::hash::Hasher;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::timeline::Moment;
use crate::model::{LastChange, Listing, Object, ObjectName, Percent, Progress, Standing, States};

/// How many objects that stand still, and how many of the slowest, are told by name.
const NAMED: usize = 10;

/// From which average progress on, in percent, a time left is told; before that it would be a guess.
const TOLD_FROM: f64 = 1.0;

/// The longest time left that is told. What would take longer is not moving in any sense that helps.
const LONGEST_LEFT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What is remembered of the objects of one job and type: 24 bytes each. Its form is that of the state file as well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tracker {
    /// In the order of the last listing.
    tracks: Vec<Track>,
    /// When the last listing came, in seconds.
    looked: Option<f64>,
    last_change: Option<Change>,
    pace: Pace,
}

/// What is remembered of one object.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Track {
    /// A hash of its name.
    object: u64,
    /// When it came to its present percent, or was first seen, in seconds.
    moved: u32,
    pace: Pace,
    percent: u8,
}

/// When any object last moved, in seconds, and whether that was seen or only begins the watch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Change {
    at: u32,
    seen: bool,
}

/// How many points of percent were gained a second, lately: a mean in which what was long ago counts less and less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pace {
    /// The mean, as if nothing had been gained before the watch began.
    mean: f32,
    /// How long it was watched, in seconds.
    watched: f32,
}

/// What a listing has brought.
#[derive(Debug)]
pub(super) struct Observation {
    /// How the objects move; nothing where there is none.
    pub(super) progress: Option<Progress>,
    /// Objects whose percent fell.
    pub(super) regressions: u64,
    /// Objects below 100 that the listing has no more.
    pub(super) disappeared: u64,
}

impl Pace {
    /// Takes in what was gained in the last `seconds`. What was longer ago than `memory` seconds hardly counts any more.
    fn gain(&mut self, points: f32, seconds: f32, memory: f32) {
        let kept = (-seconds / memory).exp();
        self.mean = self.mean * kept + points / seconds * (1.0 - kept);
        self.watched += seconds;
    }

    /// Points a second.
    fn rate(self, memory: f32) -> f64 {
        let weight = 1.0 - (-self.watched / memory).exp();
        if weight > 0.0 { f64::from(self.mean / weight) } else { 0.0 }
    }

    fn is_possible(self) -> bool {
        [self.mean, self.watched].iter().all(|number| number.is_finite() && *number >= 0.0)
    }
}

impl Track {
    fn new(object: u64, percent: u8, now: u32) -> Self {
        Self { object, moved: now, pace: Pace::default(), percent }
    }

    /// Whether it has not moved for long. That is a stall only where it is on its way.
    fn stands(&self, now: u32, stall_after: u32) -> bool {
        now.saturating_sub(self.moved) >= stall_after
    }
}

impl Tracker {
    /// Takes in a listing that was read at `moment`; what has not moved for `stall_after` is stalled.
    pub(super) fn observe(&mut self, listing: &Listing, moment: Moment, stall_after: Duration) -> Observation {
        let stall_after = u32::try_from(stall_after.as_secs()).unwrap_or(u32::MAX).max(1);
        let watch = Watch { moment, before: self.looked, stall_after };
        let mut known = Known::new(std::mem::take(&mut self.tracks));
        let mut seen = Seen::default();
        self.tracks = Vec::with_capacity(listing.objects.len());
        for (place, object) in listing.objects.iter().enumerate() {
            let (hash, percent) = (hash(&object.name), object.progress.get());
            let track = match known.take(place, hash) {
                Some(before) => seen.again(before, percent, &watch),
                None => Track::new(hash, percent, moment.seconds()),
            };
            self.tracks.push(track);
        }
        let disappeared = known.unfinished;
        self.looked = Some(moment.now);
        if self.tracks.is_empty() {
            self.last_change = None;
            return Observation { progress: None, regressions: seen.regressions, disappeared };
        }
        let began = Change { at: moment.seconds(), seen: false };
        let change = if seen.changed { Change { seen: true, ..began } } else { self.last_change.unwrap_or(began) };
        self.last_change = Some(change);
        let progress = self.progress(&listing.objects, seen.gained, change, &watch);
        Observation { progress: Some(progress), regressions: seen.regressions, disappeared }
    }

    /// DRS says that there is nothing to list any more; gives how many objects below 100 are gone with that.
    pub(super) fn lose_all(&mut self) -> u64 {
        Known::new(std::mem::take(self).tracks).unfinished
    }

    /// Whether there is nothing worth keeping.
    pub(super) fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// When the last listing came, in whole seconds.
    pub(super) fn looked(&self) -> u32 {
        self.looked.unwrap_or_default() as u32
    }

    /// The same on a clock that is so many seconds ahead.
    pub(super) fn shifted(self, seconds: i64) -> Self {
        let shift = |second: u32| {
            let shifted = i64::from(second).saturating_add(seconds).max(0);
            u32::try_from(shifted).unwrap_or(u32::MAX)
        };
        self.with_times(shift, |looked| (looked + seconds as f64).max(0.0))
    }

    /// The same with nothing later than a second.
    pub(super) fn no_later_than(self, second: u32) -> Self {
        self.with_times(|time| time.min(second), |looked| looked.min(second.into()))
    }

    fn with_times(mut self, time: impl Fn(u32) -> u32, looked: impl Fn(f64) -> f64) -> Self {
        self.tracks.iter_mut().for_each(|track| track.moved = time(track.moved));
        self.last_change = self.last_change.map(|change| Change { at: time(change.at), ..change });
        self.looked = self.looked.map(looked);
        self
    }

    /// Forgets how fast anything was.
    pub(super) fn without_pace(mut self) -> Self {
        self.tracks.iter_mut().for_each(|track| track.pace = Pace::default());
        self.pace = Pace::default();
        self
    }

    /// Whether listings can have led to it; what is read from a file may be anything.
    pub(super) fn is_possible(&self) -> bool {
        let (Some(looked), Some(change)) = (self.looked, self.last_change) else { return false };
        let possible = |track: &Track| track.percent <= 100 && track.moved <= self.looked() && track.pace.is_possible();
        looked.is_finite()
            && looked >= 0.0
            && change.at <= self.looked()
            && self.pace.is_possible()
            && self.tracks.iter().all(possible)
    }

    fn progress(&mut self, objects: &[Object], gained: u32, change: Change, watch: &Watch) -> Progress {
        let mut states = States::default();
        let (mut points, mut left, mut minimum) = (0, 0, 100);
        let (mut stalled, mut slowest) = (Vec::new(), Vec::new());
        let mut longest = 0.0_f64;
        for (track, object) in self.tracks.iter().zip(objects) {
            let missing = 100 - u64::from(track.percent);
            points += u64::from(track.percent);
            minimum = minimum.min(track.percent);
            match track.percent {
                0 => states.not_started += 1,
                100 => states.completed += 1,
                _ if watch.stands(track) => {
                    states.stalled += 1;
                    stalled.push((track, object));
                    continue;
                }
                _ => {
                    states.in_progress += 1;
                    slowest.push((track, object));
                    let rate = watch.rate(track.pace);
                    if rate > 0.0 {
                        longest = longest.max(missing as f64 / rate);
                    }
                }
            }
            left += missing;
        }
        let count = self.tracks.len() as f64;
        let average = points as f64 / count;
        watch.gain(&mut self.pace, gained, states.in_progress == 0 && gained == 0);
        let rate = watch.rate(self.pace);
        let moves = rate > 0.0 && watch.seconds_since(change.at) < watch.stall_after;
        // All of it takes as long as what is left needs at the pace of all, and at least as long as any object needs by itself.
        let told = moves && left > 0 && average >= TOLD_FROM;
        let left = told.then(|| Duration::try_from_secs_f64((left as f64 / rate).max(longest)).ok()).flatten();
        let (at, system) = (change.at, |second| watch.moment.system(second));
        Progress {
            states,
            average,
            // A track's percent came out of a `Percent`.
            minimum: Percent::new(minimum).unwrap_or_default(),
            last_change: if change.seen { LastChange::Seen(system(at)) } else { LastChange::NotSince(system(at)) },
            pace: moves.then_some(rate * 3600.0 / count),
            left: left.filter(|left| *left <= LONGEST_LEFT),
            stalled: first(stalled, |track| track.moved, watch.moment),
            slowest: first(slowest, |track| u32::from(track.percent), watch.moment),
        }
    }
}

/// When a listing came, and how things are judged.
struct Watch {
    moment: Moment,
    /// When the listing before it came.
    before: Option<f64>,
    stall_after: u32,
}

impl Watch {
    fn seconds_since(&self, second: u32) -> u32 {
        self.moment.seconds().saturating_sub(second)
    }

    fn stands(&self, track: &Track) -> bool {
        track.stands(self.moment.seconds(), self.stall_after)
    }

    /// Whether it stood still when the listing before this one came.
    fn stood(&self, track: &Track) -> bool {
        self.before.is_some_and(|before| track.stands(before as u32, self.stall_after))
    }

    /// Takes in what was gained since the listing before; begins anew where nothing is on its way that could tell of a pace.
    fn gain(&self, pace: &mut Pace, points: u32, anew: bool) {
        let seconds = self.before.map(|before| self.moment.now - before).filter(|seconds| *seconds > 0.0);
        match seconds {
            Some(seconds) if !anew => pace.gain(points as f32, seconds as f32, self.stall_after as f32),
            _ => *pace = Pace::default(),
        }
    }

    fn rate(&self, pace: Pace) -> f64 {
        pace.rate(self.stall_after as f32)
    }
}

/// What was seen of the objects that were known before.
#[derive(Debug, Default)]
struct Seen {
    changed: bool,
    regressions: u64,
    /// Points of percent, of all objects together.
    gained: u32,
}

impl Seen {
    fn again(&mut self, before: Track, percent: u8, watch: &Watch) -> Track {
        let gained = percent.saturating_sub(before.percent);
        let mut track = Track { percent, ..before };
        self.regressions += u64::from(percent < before.percent);
        self.gained = self.gained.saturating_add(gained.into());
        // What has waited or stood so far says nothing of how fast it goes once it moves.
        if watch.stood(&before) {
            track.pace = Pace::default();
        }
        watch.gain(&mut track.pace, gained.into(), percent == 0);
        if percent != before.percent {
            self.changed = true;
            track.moved = watch.moment.seconds();
        }
        track
    }
}

/// The tracks of the listing before, of which each is found again once at most.
struct Known {
    tracks: Vec<Track>,
    /// Places by object; made when the order has changed, which it seldom does.
    places: Option<HashMap<u64, usize>>,
    /// How many below 100 were not found again yet.
    unfinished: u64,
}

impl Known {
    fn new(tracks: Vec<Track>) -> Self {
        let unfinished = tracks.iter().filter(|track| track.percent < 100).count() as u64;
        Self { tracks, places: None, unfinished }
    }

    /// The track of an object that is probably at this place.
    fn take(&mut self, place: usize, object: u64) -> Option<Track> {
        let here = self.tracks.get(place).filter(|track| track.object == object);
        let found = match here {
            Some(track) => Some(track),
            None => {
                let tracks = &self.tracks;
                let index = || tracks.iter().enumerate().map(|(place, track)| (track.object, place)).collect();
                let place = self.places.get_or_insert_with(index).get(&object).copied();
                place.and_then(|place| tracks.get(place))
            }
        };
        let found = found.copied()?;
        self.unfinished = self.unfinished.saturating_sub(u64::from(found.percent < 100));
        Some(found)
    }
}

/// The first few by a key, with their names.
fn first(mut found: Vec<(&Track, &Object)>, key: impl Fn(&Track) -> u32, moment: Moment) -> Vec<Standing> {
    let key = |(track, _): &(&Track, &Object)| key(track);
    if found.len() > NAMED {
        found.select_nth_unstable_by_key(NAMED, key);
        found.truncate(NAMED);
    }
    found.sort_by_key(key);
    let standing = |(track, object): (&Track, &Object)| Standing {
        name: object.name.clone(),
        progress: object.progress,
        since: moment.system(track.moved),
    };
    found.into_iter().map(standing).collect()
}

/// The same for the same name, in every version and on every machine, as it outlives the process.
fn hash(name: &ObjectName) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in [&name.src_db, &name.src_tb, &name.dst_db, &name.dst_tb] {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part.as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    const STALL_AFTER: Duration = Duration::from_secs(1800);

    /// Listings a minute apart, seen by one tracker.
    #[derive(Default)]
    struct Watched {
        tracker: Tracker,
        minute: u32,
    }

    impl Watched {
        /// The next minute's listing.
        fn sees(&mut self, objects: &[(&str, u8)]) -> Observation {
            self.minute += 1;
            self.tracker.observe(&listing(objects), minute(self.minute), STALL_AFTER)
        }

        /// The same listing for some minutes, of which the last is told.
        fn sees_for(&mut self, minutes: u32, objects: &[(&str, u8)]) -> Progress {
            (0..minutes).map(|_| self.sees(objects)).last().unwrap().progress.unwrap()
        }
    }

    fn minute(minute: u32) -> Moment {
        Moment { now: f64::from(minute * 60), drift: 0 }
    }

    fn at(minute: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(minute * 60)
    }

    fn object(name: &str, percent: u8) -> Object {
        let name = ObjectName { src_db: "a".into(), src_tb: name.into(), dst_db: "c".into(), dst_tb: name.into() };
        Object { name, progress: Percent::new(percent).unwrap() }
    }

    fn listing(objects: &[(&str, u8)]) -> Listing {
        let objects: Vec<Object> = objects.iter().map(|(name, percent)| object(name, *percent)).collect();
        Listing { count: objects.len() as u64, data_time: None, objects }
    }

    fn states(not_started: u64, in_progress: u64, stalled: u64, completed: u64) -> States {
        States { not_started, in_progress, stalled, completed }
    }

    fn names(standing: &[Standing]) -> Vec<&str> {
        standing.iter().map(|standing| &*standing.name.src_tb).collect()
    }

    #[test]
    fn what_is_on_its_way_and_does_not_move_is_stalled_after_a_while() {
        let mut watched = Watched::default();
        let objects = [("waits", 0), ("stands", 50), ("done", 100)];
        // First seen in the first minute, so it has stood for 29 in the thirtieth.
        let progress = watched.sees_for(30, &objects);
        assert_eq!((progress.states, progress.last_change), (states(1, 1, 0, 1), LastChange::NotSince(at(1))));
        let progress = watched.sees_for(1, &objects);
        assert_eq!(progress.states, states(1, 0, 1, 1));
        let Object { name, progress: half } = object("stands", 50);
        let stands = Standing { name, progress: half, since: at(1) };
        assert_eq!((progress.stalled, progress.slowest), (vec![stands], vec![]));
        assert_eq!((progress.minimum.get(), progress.average), (0, 50.0));
        // Days later, what waits and what is done is still not stalled.
        assert_eq!(watched.sees_for(3000, &objects).states, states(1, 0, 1, 1));

        let progress = watched.sees_for(1, &[("waits", 0), ("stands", 51), ("done", 100)]);
        assert_eq!((progress.states, progress.last_change), (states(1, 1, 0, 1), LastChange::Seen(at(3032))));
        assert_eq!((names(&progress.stalled), names(&progress.slowest)), (vec![], vec!["stands"]));
    }

    #[test]
    fn an_object_takes_24_bytes() {
        assert_eq!(size_of::<Track>(), 24);
    }

    #[test]
    fn no_clock_moves_between_two_listings() {
        let mut tracker = Tracker::default();
        let mut progress =
            |at, percent| tracker.observe(&listing(&[("a", percent)]), minute(at), STALL_AFTER).progress.unwrap();
        progress(0, 10);
        assert_eq!(progress(29, 10).states, states(0, 1, 0, 0));
        // All polls fail for an hour. It moved meanwhile, so it is not stalled,
        let moved = progress(90, 11);
        assert_eq!((moved.states, moved.last_change), (states(0, 1, 0, 0), LastChange::Seen(at(90))));
        // while what is where it was before them has stood since then.
        assert_eq!(progress(120, 11).states, states(0, 0, 1, 0));
    }

    #[test]
    fn what_falls_or_disappears_is_counted() {
        let mut watched = Watched::default();
        let counts = |observation: Observation| (observation.regressions, observation.disappeared);
        assert_eq!(counts(watched.sees(&[("a", 50), ("b", 100), ("c", 0), ("d", 7)])), (0, 0));
        assert_eq!(counts(watched.sees(&[("a", 49), ("b", 99), ("c", 0), ("d", 8)])), (2, 0));
        // What was at 100 may go, and what comes is new; the others are found again in any order.
        assert_eq!(counts(watched.sees(&[("d", 9), ("e", 30), ("b", 100)])), (0, 2));
        let progress = watched.sees(&[("d", 9)]);
        assert_eq!((progress.disappeared, progress.progress.unwrap().last_change), (1, LastChange::Seen(at(3))));
        assert_eq!(counts(watched.sees(&[])), (0, 1));
        assert!(watched.sees(&[]).progress.is_none());
        let anew = watched.sees(&[("a", 50), ("b", 100), ("c", 0)]).progress.unwrap();
        assert_eq!(anew.last_change, LastChange::NotSince(at(7)));
        assert_eq!(watched.tracker.lose_all(), 2);
        assert_eq!(watched.sees(&[("a", 50)]).progress.unwrap().last_change, LastChange::NotSince(at(8)));
    }

    #[test]
    fn a_steady_pace_gives_the_time_that_is_left() {
        let mut watched = Watched::default();
        assert_eq!(watched.sees(&[("a", 10), ("b", 10)]).progress.unwrap().left, None);
        // One percent a minute each.
        for percent in 11..40 {
            let progress = watched.sees_for(1, &[("a", percent), ("b", percent)]);
            assert_close(progress.left.unwrap().as_secs_f64(), f64::from(100 - percent) * 60.0);
            assert_close(progress.pace.unwrap(), 60.0);
        }
    }

    fn assert_close(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 0.001, "{value} is not {expected}");
    }

    #[test]
    fn a_slow_object_takes_its_time_however_fast_the_others_were() {
        let mut watched = Watched::default();
        let mut objects: Vec<(String, u8)> = (0..100).map(|number| (format!("fast{number}"), 0)).collect();
        objects.push(("slow".to_owned(), 10));
        for minute in 0..10 {
            for object in &mut objects {
                object.1 = if object.0 == "slow" { 10 + minute } else { (minute * 20).min(100) };
            }
            let objects: Vec<(&str, u8)> = objects.iter().map(|(name, percent)| (&name[..], *percent)).collect();
            watched.sees(&objects);
        }
        let objects: Vec<(&str, u8)> = objects.iter().map(|(name, percent)| (&name[..], *percent)).collect();
        let left = watched.sees_for(1, &objects).left.unwrap();
        assert!(left > Duration::from_secs(80 * 60), "{left:?}");
    }

    #[test]
    fn no_time_left_is_told_where_it_cannot_be_known() {
        let left = |minutes: &[&[(&str, u8)]]| {
            let mut watched = Watched::default();
            let progress = minutes.iter().map(|objects| watched.sees(objects).progress.unwrap()).last().unwrap();
            (progress.left.is_some(), progress.pace.is_some())
        };
        assert_eq!(left(&[&[("a", 50)]]), (false, false), "nothing was seen to move");
        assert_eq!(left(&[&[("a", 0)], &[("a", 0)]]), (false, false), "all waits");
        assert_eq!(left(&[&[("a", 0), ("b", 0)], &[("a", 1), ("b", 0)]]), (false, true), "below 1 %");
        assert_eq!(left(&[&[("a", 0), ("b", 0)], &[("a", 2), ("b", 0)]]), (true, true));
        assert_eq!(left(&[&[("a", 50)], &[("a", 100)]]), (false, true), "nothing is left");
        assert_eq!(left(&[&[("a", 50)], &[("a", 40)]]), (false, false), "it only fell");

        let mut watched = Watched::default();
        watched.sees(&[("a", 50)]);
        watched.sees(&[("a", 51)]);
        let slower = watched.sees_for(29, &[("a", 51)]).left.unwrap();
        assert!(slower > Duration::from_secs(49 * 60), "it has not moved for a while: {slower:?}");
        let stalled = watched.sees_for(1, &[("a", 51)]);
        assert_eq!((stalled.left, stalled.pace), (None, None), "nothing moves");
        // What stood says nothing of how fast it goes now.
        assert_close(watched.sees_for(1, &[("a", 52)]).left.unwrap().as_secs_f64(), 48.0 * 60.0);
    }

    #[test]
    fn what_comes_new_tells_no_pace() {
        let mut watched = Watched::default();
        watched.sees(&[("a", 50)]);
        watched.sees(&[("a", 51)]);
        watched.sees_for(20, &[("a", 51)]);
        let progress = watched.sees_for(10, &[("a", 51), ("b", 50)]);
        assert_eq!((progress.states, progress.left, progress.pace), (states(0, 1, 1, 0), None, None));
    }

    #[test]
    fn what_has_waited_goes_as_fast_as_it_goes_now() {
        for waited in [20, 200] {
            let mut watched = Watched::default();
            watched.sees_for(waited, &[("a", 0)]);
            let progress = watched.sees_for(1, &[("a", 2)]);
            assert_close(progress.left.unwrap().as_secs_f64(), 49.0 * 60.0);
        }
    }

    #[test]
    fn no_time_left_is_told_that_nobody_will_see() {
        let names: Vec<String> = (0..3000).map(|number| number.to_string()).collect();
        let objects =
            |first| names.iter().map(|name| (&name[..], if name == "0" { first } else { 1 })).collect::<Vec<_>>();
        let mut watched = Watched::default();
        watched.sees(&objects(1));
        assert!(watched.sees_for(1, &objects(2)).left.is_some());
        // The next point takes half an hour, and there are 300,000 of them.
        let progress = watched.sees_for(28, &objects(2));
        assert_eq!((progress.left, progress.states.in_progress), (None, 3000));
    }

    #[test]
    fn a_stalled_object_does_not_hide_when_the_others_are_done() {
        let mut watched = Watched::default();
        for percent in 0..=40 {
            watched.sees(&[("stands", 50), ("moves", percent)]);
        }
        let progress = watched.sees_for(1, &[("stands", 50), ("moves", 41)]);
        assert_eq!(progress.states, states(0, 1, 1, 0));
        assert_close(progress.left.unwrap().as_secs_f64(), 59.0 * 60.0);
    }

    #[test]
    fn of_many_the_worst_are_named() {
        let mut watched = Watched::default();
        let all: Vec<String> = (1..=50).map(|number| format!("t{number:02}")).collect();
        let objects: Vec<(&str, u8)> = all.iter().zip(1..).map(|(name, number)| (&name[..], 51 - number)).collect();
        let progress = watched.sees_for(1, &objects);
        let last_ten: Vec<&str> = all.iter().rev().take(10).map(String::as_str).collect();
        assert_eq!((names(&progress.slowest), progress.stalled.len()), (last_ten, 0));
        // One after the other stops.
        for round in 1..=50 {
            let percent = |number: u8| 40 + number.min(round) % 2;
            let objects: Vec<(&str, u8)> =
                all.iter().zip(1..).map(|(name, number)| (&name[..], percent(number))).collect();
            watched.sees(&objects);
        }
        let objects: Vec<(&str, u8)> =
            all.iter().zip(1_u8..).map(|(name, number)| (&name[..], 40 + number % 2)).collect();
        let progress = watched.sees_for(31, &objects);
        let first_ten: Vec<&str> = all.iter().take(10).map(String::as_str).collect();
        assert_eq!((progress.states.stalled, names(&progress.stalled)), (50, first_ten));
    }

    proptest! {
        /// Whatever is listed in whatever order, the states add up, each clock is the newest change, and what is told is sane.
        #[test]
        fn any_listings_add_up(rounds in prop::collection::vec(prop::collection::vec((0_u8..12, 0_u8..=100), 0..10), 1..40)) {
            let mut tracker = Tracker::default();
            let mut last: HashMap<u8, (u8, u32)> = HashMap::new();
            for (round, objects) in rounds.iter().enumerate() {
                let now = round as u32 * 7 + 1;
                let mut listed: Vec<(u8, u8)> = Vec::new();
                for (name, percent) in objects {
                    if listed.iter().all(|(known, _)| known != name) {
                        listed.push((*name, *percent));
                    }
                }
                let regressions = listed.iter().filter(|(name, percent)| last.get(name).is_some_and(|(was, _)| percent < was));
                let regressions = regressions.count() as u64;
                let gone = last.iter().filter(|(name, (was, _))| *was < 100 && listed.iter().all(|(listed, _)| listed != *name));
                let gone = gone.count() as u64;
                last = listed.iter().map(|(name, percent)| {
                    let moved = last.get(name).filter(|(was, _)| was == percent).map_or(now, |(_, moved)| *moved);
                    (*name, (*percent, moved))
                }).collect();
                let names: Vec<(String, u8)> = listed.iter().map(|(name, percent)| (name.to_string(), *percent)).collect();
                let objects: Vec<(&str, u8)> = names.iter().map(|(name, percent)| (&name[..], *percent)).collect();
                let seen = tracker.observe(&listing(&objects), minute(now), STALL_AFTER);
                prop_assert_eq!((seen.regressions, seen.disappeared), (regressions, gone));
                let Some(progress) = seen.progress else { prop_assert!(listed.is_empty()); continue };
                let is_stalled = |(percent, moved): &(u8, u32)| (1..100).contains(percent) && now - moved >= 30;
                let stalled = last.values().filter(|object| is_stalled(object)).count() as u64;
                let (zero, done) = (|(percent, _): &&(u8, u32)| *percent == 0, |(percent, _): &&(u8, u32)| *percent == 100);
                let (zero, done) = (last.values().filter(zero).count() as u64, last.values().filter(done).count() as u64);
                prop_assert_eq!(progress.states, states(zero, last.len() as u64 - zero - done - stalled, stalled, done));
                let sum: u32 = listed.iter().map(|(_, percent)| u32::from(*percent)).sum();
                prop_assert!((progress.average - f64::from(sum) / listed.len() as f64).abs() < 1e-9);
                prop_assert!(progress.left.is_none_or(|left| left > Duration::ZERO && left <= LONGEST_LEFT));
                prop_assert!(progress.pace.is_none_or(|pace| pace > 0.0 && pace.is_finite()));
            }
        }
    }
}
