//! What only several listings tell together: when each object last moved, what stands still, how fast the rest moves and how
//! long it will take. Pure: listings and moments in, progress out.
//!
//! Only a listing moves a clock. While polls fail nothing is learned, so nothing becomes stalled either.

use std::collections::HashMap;
use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::timeline::Moment;
use crate::model::{LastChange, Listing, Object, ObjectName, Percent, Progress, Standing, States};

/// How many objects that stand still, and how many of the slowest, are told by name.
const NAMED: usize = 10;

/// From which average progress on, in percent, a time left is told; before that it would be a guess.
const TOLD_FROM: f64 = 1.0;

/// The longest time left that is told. What would take longer is not moving in any sense that helps.
const LONGEST_LEFT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What is remembered of the objects of one job and type: 24 bytes each.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracker {
    /// In the order of the last listing.
    tracks: Vec<Track>,
    /// When the last listing came, in seconds.
    looked: Option<f64>,
    last_change: Option<Change>,
    pace: Pace,
}

/// What is remembered of one object.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Track {
    /// A hash of its name.
    object: u64,
    /// When it came to its present percent, or was first seen, in seconds.
    moved: u32,
    pace: Pace,
    percent: u8,
}

/// When any object last moved, in seconds, and whether that was seen or only begins the watch.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    at: u32,
    seen: bool,
}

/// How many points of percent were gained a second, lately: a mean in which what was long ago counts less and less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
}

impl Track {
    fn new(object: u64, percent: u8, now: u32) -> Self {
        Self { object, moved: now, pace: Pace::default(), percent }
    }

    fn is_stalled(&self, now: u32, stall_after: u32) -> bool {
        (1..100).contains(&self.percent) && now.saturating_sub(self.moved) >= stall_after
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
                _ if watch.is_stalled(track) => {
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

    fn is_stalled(&self, track: &Track) -> bool {
        track.is_stalled(self.moment.seconds(), self.stall_after)
    }

    /// Whether it was stalled when the listing before this one came.
    fn was_stalled(&self, track: &Track) -> bool {
        self.before.is_some_and(|before| track.is_stalled(before as u32, self.stall_after))
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
        if watch.was_stalled(&before) {
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
