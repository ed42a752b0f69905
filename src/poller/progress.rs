//! What only several listings tell together: when each object last moved, what stands still, how fast the rest moves and how
//! long it will take. Pure: listings and moments in, progress out.
//!
//! Only a listing moves a clock. While polls fail nothing is learned, so nothing becomes stalled either. So a listing is looked at
//! page by page, and taken in when it is whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ranking::Ranking;
use super::timeline::Moment;
#[cfg(test)]
use crate::model::ObjectName;
use crate::model::{LastChange, Objects, Percent, Progress, Standing, States};

/// From which average progress on, in percent, a time left is told; before that it would be a guess.
const TOLD_FROM: f64 = 1.0;

/// The longest time left that is told. What would take longer is not moving in any sense that helps.
const LONGEST_LEFT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What is remembered of the objects of one job and type: 24 bytes each. Its form is that of the state file as well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tracker {
    /// In the order of the last listing. Shared with whoever looks at the next one, or saves.
    tracks: Arc<Vec<Track>>,
    /// When the last listing came, in seconds.
    looked: Option<f64>,
    last_change: Option<Change>,
    pace: Pace,
}

/// What is remembered of one object.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Track {
    /// The fingerprint of its name.
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
}

impl Tracker {
    /// Begins to look at a listing that is read from `moment` on; what has not moved for `stall_after` is stalled.
    pub(super) fn look(&self, moment: Moment, stall_after: Duration) -> Look {
        let stall_after = u32::try_from(stall_after.as_secs()).unwrap_or(u32::MAX).max(1);
        Look {
            watch: Watch { moment, before: self.looked, stall_after },
            known: Known::new(Arc::clone(&self.tracks)),
            order: None,
            percents: Vec::with_capacity(self.tracks.len()),
            stalled: Ranking::default(),
            slowest: Ranking::default(),
        }
    }

    /// Takes in the listing that was looked at, without the objects at the places that are `superseded`.
    pub(super) fn observe(&mut self, look: Look, superseded: &[usize]) -> Observation {
        let Look { watch, known, order, percents, stalled, slowest } = look;
        let mut seen = Seen::default();
        let disappeared = match order {
            None => {
                // So that the tracks are not copied, unless they are being saved.
                drop(known);
                self.move_in_place(&percents, &mut seen, &watch)
            }
            Some(order) => self.move_in_order(&order, &percents, superseded, known, &mut seen, &watch),
        };
        self.looked = Some(watch.moment.now);
        if self.tracks.is_empty() {
            self.last_change = None;
            return Observation { progress: None, regressions: seen.regressions, disappeared };
        }
        let began = Change { at: watch.moment.seconds(), seen: false };
        let change = if seen.changed { Change { seen: true, ..began } } else { self.last_change.unwrap_or(began) };
        self.last_change = Some(change);
        let progress = self.progress(seen.gained, change, &watch);
        let progress =
            Progress { stalled: stalled.without(superseded), slowest: slowest.without(superseded), ..progress };
        Observation { progress: Some(progress), regressions: seen.regressions, disappeared }
    }

    /// Takes in percents of objects that stand where they stood before, or are gone from the end. Gives how many of those were below 100.
    fn move_in_place(&mut self, percents: &[u8], seen: &mut Seen, watch: &Watch) -> u64 {
        let tracks = Arc::make_mut(&mut self.tracks);
        let disappeared = unfinished(tracks.get(percents.len()..).unwrap_or_default());
        tracks.truncate(percents.len());
        for (track, percent) in tracks.iter_mut().zip(percents) {
            *track = seen.again(*track, *percent, watch);
        }
        disappeared
    }

    /// Takes in percents of objects in another order. Gives how many below 100 are gone.
    fn move_in_order(
        &mut self,
        order: &[u64],
        percents: &[u8],
        superseded: &[usize],
        mut known: Known,
        seen: &mut Seen,
        watch: &Watch,
    ) -> u64 {
        let mut tracks = Vec::with_capacity(order.len().saturating_sub(superseded.len()));
        let mut left_out = superseded.iter().copied().peekable();
        for (place, (object, percent)) in order.iter().copied().zip(percents.iter().copied()).enumerate() {
            if left_out.next_if_eq(&place).is_some() {
                continue;
            }
            let track = match known.take(place, object) {
                Some(before) => seen.again(before, percent, watch),
                None => Track::new(object, percent, watch.moment.seconds()),
            };
            tracks.push(track);
        }
        self.tracks = Arc::new(tracks);
        known.unfinished
    }

    /// DRS says that there is nothing to list any more; gives how many objects below 100 are gone with that.
    pub(super) fn lose_all(&mut self) -> u64 {
        unfinished(&std::mem::take(self).tracks)
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
        // To shift it takes a copy, which is large where there are many objects.
        if seconds == 0 {
            return self;
        }
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
        Arc::make_mut(&mut self.tracks).iter_mut().for_each(|track| track.moved = time(track.moved));
        self.last_change = self.last_change.map(|change| Change { at: time(change.at), ..change });
        self.looked = self.looked.map(looked);
        self
    }

    /// Forgets how fast anything was.
    pub(super) fn without_pace(mut self) -> Self {
        Arc::make_mut(&mut self.tracks).iter_mut().for_each(|track| track.pace = Pace::default());
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

    /// What the tracks come to, but for names.
    fn progress(&mut self, gained: u32, change: Change, watch: &Watch) -> Progress {
        let mut states = States::default();
        let (mut points, mut left, mut minimum) = (0, 0, 100);
        let mut longest = 0.0_f64;
        for track in self.tracks.iter() {
            let missing = 100 - u64::from(track.percent);
            points += u64::from(track.percent);
            minimum = minimum.min(track.percent);
            match track.percent {
                0 => states.not_started += 1,
                100 => states.completed += 1,
                _ if watch.stands(track.moved) => {
                    states.stalled += 1;
                    continue;
                }
                _ => {
                    states.in_progress += 1;
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
            stalled: Vec::new(),
            slowest: Vec::new(),
        }
    }
}

/// A listing that is looked at page by page. Nothing is learned of it before it is whole.
#[derive(Debug)]
pub(super) struct Look {
    watch: Watch,
    known: Known,
    /// The fingerprints of the names in order; nothing as long as each object stands where it stood before, so that none can stand
    /// here twice either.
    order: Option<Vec<u64>>,
    /// How far the objects are.
    percents: Vec<u8>,
    /// Objects that are stalled, the one that has stood longest first.
    stalled: Ranking,
    /// Objects that are on their way, the one that is least far first.
    slowest: Ranking,
}

impl Look {
    /// Looks at the objects of the next page.
    pub(super) fn page(&mut self, objects: &Objects) {
        for object in objects.iter() {
            let (place, percent) = (self.percents.len(), object.progress.get());
            self.percents.push(percent);
            if self.order.is_none() && !self.known.is_at(place, object.fingerprint) {
                self.order = Some(self.known.first(place));
            }
            if let Some(order) = &mut self.order {
                order.push(object.fingerprint);
            }
            if !(1..100).contains(&percent) {
                continue;
            }
            let before = self.known.at(place, object.fingerprint).filter(|track| track.percent == percent);
            let since = before.map_or(self.watch.moment.seconds(), |track| track.moved);
            let (ranking, key) = match self.watch.stands(since) {
                true => (&mut self.stalled, since),
                false => (&mut self.slowest, percent.into()),
            };
            ranking.offer(place, key, || Standing {
                name: object.name.to_owned(),
                progress: object.progress,
                since: self.watch.moment.system(since),
            });
        }
    }

    /// The places of the objects that stand in the listing again further on.
    pub(super) fn superseded(&self) -> Vec<usize> {
        let Some(order) = &self.order else { return Vec::new() };
        let mut sorted: Vec<(u64, usize)> = order.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let again = sorted.array_windows().filter(|[(object, _), (next, _)]| object == next);
        let mut superseded: Vec<usize> = again.map(|[(_, place), _]| *place).collect();
        superseded.sort_unstable();
        superseded
    }
}

/// When a listing came, and how things are judged.
#[derive(Debug)]
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

    /// Whether what came where it is at that second has not moved for long. That is a stall only where it is on its way.
    fn stands(&self, since: u32) -> bool {
        self.seconds_since(since) >= self.stall_after
    }

    /// Whether it stood still when the listing before this one came.
    fn stood(&self, since: u32) -> bool {
        self.before.is_some_and(|before| (before as u32).saturating_sub(since) >= self.stall_after)
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
        if watch.stood(before.moved) {
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
#[derive(Debug)]
struct Known {
    tracks: Arc<Vec<Track>>,
    /// Places by object; made when the order has changed, which it seldom does.
    places: Option<HashMap<u64, usize>>,
    /// How many below 100 were not found again yet.
    unfinished: u64,
}

impl Known {
    fn new(tracks: Arc<Vec<Track>>) -> Self {
        let unfinished = unfinished(&tracks);
        Self { tracks, places: None, unfinished }
    }

    /// Whether the object was at this place.
    fn is_at(&self, place: usize, object: u64) -> bool {
        self.tracks.get(place).is_some_and(|track| track.object == object)
    }

    /// So many of the objects, in order.
    fn first(&self, objects: usize) -> Vec<u64> {
        self.tracks.iter().take(objects).map(|track| track.object).collect()
    }

    /// The track of an object that is probably at this place.
    fn at(&mut self, place: usize, object: u64) -> Option<Track> {
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
        found.copied()
    }

    /// The same, where the object is found again.
    fn take(&mut self, place: usize, object: u64) -> Option<Track> {
        let found = self.at(place, object)?;
        self.unfinished = self.unfinished.saturating_sub(u64::from(found.percent < 100));
        Some(found)
    }
}

fn unfinished(tracks: &[Track]) -> u64 {
    tracks.iter().filter(|track| track.percent < 100).count() as u64
}

#[cfg(test)]
pub(super) fn page(objects: &[(&str, u8)]) -> Objects {
    let mut page = Objects::default();
    for (name, percent) in objects {
        let name = ObjectName { src_db: "a", src_tb: name, dst_db: "c", dst_tb: name };
        page.push(name, Percent::new(*percent).unwrap_or_default());
    }
    page
}

#[cfg(test)]
impl Tracker {
    /// Sees a listing, in pages of three objects.
    pub(super) fn sees(&mut self, objects: &[(&str, u8)], moment: Moment, stall_after: Duration) -> Observation {
        let mut look = self.look(moment, stall_after);
        objects.chunks(3).for_each(|objects| look.page(&page(objects)));
        let superseded = look.superseded();
        self.observe(look, &superseded)
    }
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
            self.tracker.sees(objects, minute(self.minute), STALL_AFTER)
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
        let name = ObjectName { src_db: "a", src_tb: "stands", dst_db: "c", dst_tb: "stands" }.to_owned();
        let stands = Standing { name, progress: Percent::new(50).unwrap(), since: at(1) };
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
        let mut progress = |at, percent| tracker.sees(&[("a", percent)], minute(at), STALL_AFTER).progress.unwrap();
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
        /// An object that a listing has twice counts as it was read last, whatever was known before.
        #[test]
        fn what_is_listed_again_counts_once(
            before in prop::collection::btree_map("[a-e]", 0_u8..=100, 0..6),
            listed in prop::collection::vec(("[a-f]", 0_u8..=100), 0..12),
        ) {
            let before: Vec<(&str, u8)> = before.iter().map(|(name, percent)| (&name[..], *percent)).collect();
            let listed: Vec<(&str, u8)> = listed.iter().map(|(name, percent)| (&name[..], *percent)).collect();
            let again = |place: usize| listed[place + 1..].iter().any(|(name, _)| *name == listed[place].0);
            let (superseded, once): (Vec<usize>, Vec<usize>) = (0..listed.len()).partition(|place| again(*place));
            let once: Vec<(&str, u8)> = once.into_iter().map(|place| listed[place]).collect();

            let mut tracker = Tracker::default();
            tracker.sees(&before, minute(0), STALL_AFTER);
            let mut other = tracker.clone();
            let mut look = tracker.look(minute(1), STALL_AFTER);
            listed.chunks(3).for_each(|objects| look.page(&page(objects)));
            prop_assert_eq!(look.superseded(), &superseded[..]);
            let (mut seen, mut expected) =
                (tracker.observe(look, &superseded), other.sees(&once, minute(1), STALL_AFTER));
            // What does not count may have taken the place of what does, among the few that are told by name.
            if let (Some(seen), Some(expected)) = (&mut seen.progress, &mut expected.progress) {
                let (told, all) = (std::mem::take(&mut seen.slowest), std::mem::take(&mut expected.slowest));
                prop_assert!(told.iter().all(|standing| all.contains(standing)), "{told:?}");
            }
            prop_assert_eq!(seen.progress, expected.progress);
            prop_assert_eq!((seen.regressions, seen.disappeared), (expected.regressions, expected.disappeared));
            prop_assert_eq!(tracker, other);
        }

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
                let seen = tracker.sees(&objects, minute(now), STALL_AFTER);
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
