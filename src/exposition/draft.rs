//! The samples of a listing's objects, drawn up page by page: each page is rendered and compressed, and its names are let go.

use std::io;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{self, Hash128};

use super::Config;
use super::families::Id;
use super::gzip::{Block, Deflaters, Inflater, Sum};
use super::labels::{is_plain, write_value};
use super::quota::Wanted;
use crate::model::{Object, ObjectName, Objects, Percent, Shown};

/// The samples of the objects of one listing, so far.
#[derive(Debug)]
pub struct Draft {
    config: Arc<Config>,
    deflaters: Arc<Deflaters>,
    /// What each sample begins with: its name, and the labels that all have.
    head: Vec<u8>,
    shown: Shown,
    /// The listing before, of which the pages that are the same are taken over.
    before: Option<Drawn>,
    deflated: Vec<u8>,
    pages: Vec<Page>,
    /// Of each object that was added.
    fates: Vec<Fate>,
    /// How many of them do not count.
    removed: usize,
    failure: Option<io::Error>,
}

/// The samples of the objects of a whole listing.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// All of them.
    pub(super) block: Block,
    /// How many they are.
    pub(super) series: u64,
    /// How many objects have none.
    pub(super) suppressed: u64,
    pages: Arc<[Page]>,
}

/// One page of a listing.
#[derive(Clone, Debug)]
struct Page {
    /// What the page was made of; nothing where a part was cut out since.
    made_of: Option<Hash128>,
    /// How many objects it brought, with a sample or without.
    objects: usize,
    /// Where it ends among all pages, compressed.
    end: usize,
    sum: Sum,
}

/// What becomes of an object that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It has a sample, and is below 100.
    Unfinished,
    /// It has a sample, and is at 100.
    Finished,
    /// It has a sample that is to be cut out.
    Cut,
    /// It has no sample.
    Hidden,
}

impl Fate {
    fn new(shown: Shown, progress: Percent) -> Self {
        match (shown, progress.get()) {
            (Shown::None, _) | (Shown::Unfinished, 100) => Self::Hidden,
            (Shown::All, 100) => Self::Finished,
            (Shown::All | Shown::Unfinished, _) => Self::Unfinished,
        }
    }

    fn has_sample(self) -> bool {
        self != Self::Hidden
    }

    fn is_shown(self) -> bool {
        matches!(self, Self::Unfinished | Self::Finished)
    }
}

impl Draft {
    /// Begins with nothing. `labels` are those that all samples have.
    pub(super) fn new(
        config: Arc<Config>,
        deflaters: Arc<Deflaters>,
        labels: &[u8],
        shown: Shown,
        before: Option<Drawn>,
    ) -> Self {
        let mut head = Id::ObjectProgress.family().name.as_bytes().to_vec();
        head.push(b'{');
        head.extend_from_slice(labels);
        let expected = before.as_ref().map_or(0, |before| before.block.deflated().len());
        // A little more than last time, as percents grow longer.
        let deflated = Vec::with_capacity(expected + expected / 16);
        let (pages, fates) = (Vec::new(), Vec::new());
        Self { config, deflaters, head, shown, before, deflated, pages, fates, removed: 0, failure: None }
    }

    /// Adds the objects of the next page.
    pub fn add(&mut self, objects: &Objects) {
        let first = self.fates.len();
        self.fates.extend(objects.iter().map(|object| Fate::new(self.shown, object.progress)));
        let made_of = self.hash(objects);
        let sum = match self.page_before(made_of) {
            Some((deflated, sum)) => {
                self.deflated.extend_from_slice(&deflated);
                Ok(sum)
            }
            None => {
                let fated = objects.iter().zip(self.fates.get(first..).unwrap_or_default());
                let samples = fated.filter(|(_, fate)| fate.has_sample()).map(|(object, _)| object);
                let (head, config, deflated) = (&self.head, &self.config, &mut self.deflated);
                let render = |text: &mut Vec<u8>| samples.for_each(|object| write_sample(text, head, &object, config));
                self.deflaters.with(|deflater| deflater.append_rendered(render, deflated))
            }
        };
        match sum {
            Ok(sum) => {
                let end = self.deflated.len();
                self.pages.push(Page { made_of: Some(made_of), objects: objects.len(), end, sum });
            }
            Err(error) => self.failure = Some(error),
        }
    }

    /// Takes out the objects at these places, which are counted from 0 in the order they were added.
    pub fn remove(&mut self, places: &[usize]) {
        self.removed += places.len();
        for place in places {
            if let Some(fate) = self.fates.get_mut(*place).filter(|fate| fate.has_sample()) {
                *fate = Fate::Cut;
            }
        }
    }

    /// How many series it would take to show all that are to be shown.
    pub(super) fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for fate in &self.fates {
            match fate {
                Fate::Unfinished => wanted.unfinished += 1,
                Fate::Finished => wanted.finished += 1,
                Fate::Cut | Fate::Hidden => {}
            }
        }
        wanted
    }

    /// Ends with at most so many series.
    ///
    /// # Errors
    /// When the compressor failed on the way, which it has no reason to do.
    pub(super) fn finish(mut self, most: u64) -> io::Result<Drawn> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.choose(most)?;
        let series = self.wanted().total();
        let objects = self.fates.len().saturating_sub(self.removed) as u64;
        if self.fates.contains(&Fate::Cut) {
            self.cut()?;
        }
        let mut sum = Sum::default();
        self.pages.iter().for_each(|page| sum.add(&page.sum));
        self.deflated.shrink_to_fit();
        let block = Block::of_parts(self.deflated.into(), sum)?;
        Ok(Drawn { block, series, suppressed: objects.saturating_sub(series), pages: self.pages.into() })
    }

    /// What tells whether a page makes the same samples as another.
    fn hash(&self, objects: &Objects) -> Hash128 {
        let mut made_of = Vec::with_capacity(objects.len() * (size_of::<u64>() + 1) + 1);
        made_of.push(self.shown as u8);
        for object in objects.iter() {
            made_of.extend_from_slice(&object.fingerprint.to_le_bytes());
            made_of.push(object.progress.get());
        }
        sip128::SipHasher13::new().hash(&made_of)
    }

    /// The same page of the listing before, compressed.
    fn page_before(&self, made_of: Hash128) -> Option<(Bytes, Sum)> {
        let (before, index) = (self.before.as_ref()?, self.pages.len());
        let page = before.pages.get(index).filter(|page| page.made_of == Some(made_of))?;
        let begin = index.checked_sub(1).and_then(|last| before.pages.get(last)).map_or(0, |last| last.end);
        Some((before.block.deflated().slice(begin..page.end), page.sum.clone()))
    }

    /// Has some cut out where there are too many. Those below 100 stay first, and of these always the same ones, whatever order DRS
    /// lists them in.
    fn choose(&mut self, most: u64) -> io::Result<()> {
        if self.wanted().total() <= most {
            return Ok(());
        }
        let mut ranks = Vec::new();
        for (page, deflated, fates) in parts(&self.pages, &self.deflated, &self.fates) {
            let text = page.text(deflated)?;
            let samples = samples(&text).zip(fates.iter().filter(|fate| fate.has_sample()));
            ranks.extend(samples.filter(|(_, fate)| fate.is_shown()).map(|(sample, fate)| rank(sample, *fate)));
        }
        let mut sorted = ranks.clone();
        sorted.sort_unstable();
        let Some(first_out) = usize::try_from(most).ok().and_then(|most| sorted.get(most)) else { return Ok(()) };
        for (fate, rank) in self.fates.iter_mut().filter(|fate| fate.is_shown()).zip(ranks) {
            if rank >= *first_out {
                *fate = Fate::Cut;
            }
        }
        Ok(())
    }

    /// Cuts out the samples that are marked: a page with one of them is made anew without it.
    fn cut(&mut self) -> io::Result<()> {
        let (pages, whole) = (mem::take(&mut self.pages), mem::take(&mut self.deflated));
        for (page, deflated, fates) in parts(&pages, &whole, &self.fates) {
            let (made_of, sum) = if fates.contains(&Fate::Cut) {
                let text = page.text(deflated)?;
                let fated = samples(&text).zip(fates.iter().filter(|fate| fate.has_sample()));
                let kept = fated.filter(|(_, fate)| fate.is_shown()).map(|(sample, _)| sample);
                let render = |room: &mut Vec<u8>| kept.for_each(|sample| room.extend_from_slice(sample));
                (None, self.deflaters.with(|deflater| deflater.append_rendered(render, &mut self.deflated))?)
            } else {
                self.deflated.extend_from_slice(deflated);
                (page.made_of, page.sum.clone())
            };
            self.pages.push(Page { made_of, objects: page.objects, end: self.deflated.len(), sum });
        }
        Ok(())
    }
}

/// The pages, what they are compressed, and what becomes of their objects.
fn parts<'d>(
    pages: &'d [Page],
    deflated: &'d [u8],
    fates: &'d [Fate],
) -> impl Iterator<Item = (&'d Page, &'d [u8], &'d [Fate])> {
    let (mut begin, mut first) = (0, 0);
    pages.iter().map(move |page| {
        let (end, next) = (page.end, first + page.objects);
        let part = (page, deflated.get(begin..end).unwrap_or_default(), fates.get(first..next).unwrap_or_default());
        (begin, first) = (end, next);
        part
    })
}

impl Page {
    /// The samples of the page, from what is left of them compressed.
    fn text(&self, deflated: &[u8]) -> io::Result<Vec<u8>> {
        Inflater::new(Bytes::copy_from_slice(deflated), self.sum.length()).text()
    }
}

/// The samples of a text, one by one.
fn samples(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// Who goes first where not all can: what is below 100, and then by a hash of the labels.
fn rank(sample: &[u8], fate: Fate) -> u64 {
    const FINISHED: u64 = 1 << 63;
    let labels = sample.iter().rposition(|byte| *byte == b'}').and_then(|end| sample.get(..end)).unwrap_or(sample);
    let hash = SipHasher13::new().hash(labels);
    if fate == Fate::Finished { hash | FINISHED } else { hash & !FINISHED }
}

fn write_sample(text: &mut Vec<u8>, head: &[u8], object: &Object<'_>, config: &Config) {
    let ObjectName { src_db, src_tb, dst_db, dst_tb } = object.name;
    text.extend_from_slice(head);
    let labels = [(",src_db=\"", src_db), ("\",src_tb=\"", src_tb), ("\",dst_db=\"", dst_db), ("\",dst_tb=\"", dst_tb)];
    // Nearly all names are short and plain, and one look at all of them is faster than four.
    if object.letters.len() <= config.max_label_bytes && is_plain(object.letters) {
        for (before, value) in labels {
            text.extend_from_slice(before.as_bytes());
            text.extend_from_slice(value.as_bytes());
        }
    } else {
        for (before, value) in labels {
            text.extend_from_slice(before.as_bytes());
            write_value(text, value, config.max_label_bytes);
        }
    }
    text.extend_from_slice(b"\"} ");
    write_percent(text, object.progress);
    text.push(b'\n');
}

fn write_percent(text: &mut Vec<u8>, percent: Percent) {
    let (tens, ones) = (percent.get() / 10, percent.get() % 10);
    match tens {
        0 => {}
        10 => text.extend_from_slice(b"10"),
        tens => text.push(b'0' + tens),
    }
    text.push(b'0' + ones);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The pages of a listing: names and percents.
    type Listed = Vec<Vec<(String, u8)>>;

    fn listed() -> impl Strategy<Value = Listed> {
        let percent = prop_oneof![Just(0_u8), 1..100_u8, Just(100)];
        prop::collection::vec(prop::collection::vec(("[ab\"\\\\\n~🐘]{0,3}", percent), 0..6), 0..5)
    }

    fn drawn(listed: &Listed, shown: Shown, removed: &[usize], most: u64, before: Option<&Drawn>) -> Drawn {
        let labels = br#"job="j",type="table""#;
        let mut draft = Draft::new(Arc::default(), Arc::default(), labels, shown, before.cloned());
        for page in listed {
            let mut objects = Objects::default();
            for (name, percent) in page {
                let name = ObjectName { src_db: "a", src_tb: name, dst_db: name, dst_tb: "d" };
                objects.push(name, Percent::new(*percent).unwrap());
            }
            draft.add(&objects);
        }
        draft.remove(removed);
        draft.finish(most).unwrap()
    }

    fn text(drawn: &Drawn) -> Vec<String> {
        let text = Inflater::new(drawn.block.deflated().clone(), drawn.block.length()).text().unwrap();
        let text = String::from_utf8(text).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    fn sample((name, percent): &(String, u8)) -> String {
        let name = name.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
        format!(
            "drs_object_progress{{job=\"j\",type=\"table\",src_db=\"a\",src_tb=\"{name}\",dst_db=\"{name}\",dst_tb=\"d\"}} {percent}\n"
        )
    }

    proptest! {
        #[test]
        fn what_is_to_be_shown_is_shown_as_far_as_there_is_room(
            listed in listed(),
            shown in prop_oneof![Just(Shown::All), Just(Shown::Unfinished), Just(Shown::None)],
            removed in prop::collection::btree_set(0_usize..25, 0..6),
            most in 0_u64..30,
        ) {
            let all: Vec<&(String, u8)> = listed.iter().flatten().collect();
            let removed: Vec<usize> = removed.into_iter().filter(|place| *place < all.len()).collect();
            let left = all.iter().enumerate().filter(|(place, _)| !removed.contains(place)).map(|(_, object)| *object);
            let wanted: Vec<&(String, u8)> = left.filter(|(_, percent)| match shown {
                Shown::All => true,
                Shown::Unfinished => *percent < 100,
                Shown::None => false,
            }).collect();

            let drawn = drawn(&listed, shown, &removed, most, None);
            let text = text(&drawn);
            prop_assert_eq!(text.len() as u64, drawn.series);
            prop_assert_eq!((drawn.series + drawn.suppressed) as usize, all.len() - removed.len());
            prop_assert!(drawn.series <= most);
            let expected: Vec<String> = wanted.iter().map(|object| sample(object)).collect();
            if wanted.len() as u64 <= most {
                prop_assert_eq!(text, expected);
            } else {
                let mut rest = expected.iter();
                prop_assert!(text.iter().all(|line| rest.any(|other| other == line)), "others, or in another order: {text:?}");
                let finished = |line: &&String| line.ends_with(" 100\n");
                let unfinished = expected.iter().filter(|line| !finished(line)).count();
                if text.iter().any(|line| finished(&line)) {
                    prop_assert_eq!(text.iter().filter(|line| !finished(line)).count(), unfinished);
                }
            }
        }

        #[test]
        fn pages_as_they_were_are_taken_over_and_others_are_not(
            before in listed(), listed in listed(), both in listed(), moves in listed(), most in 5_u64..40,
        ) {
            let moved = moves.iter().map(|page| page.iter().map(|(name, percent)| (name.clone(), 100 - percent)).collect());
            let moved: Listed = moved.collect();
            let (before, listed) = ([both.clone(), moves, before].concat(), [both, moved, listed].concat());
            let before = drawn(&before, Shown::All, &[], most, None);
            let (over, fresh) = (drawn(&listed, Shown::All, &[], most, Some(&before)), drawn(&listed, Shown::All, &[], most, None));
            prop_assert_eq!(text(&over), text(&fresh));
            prop_assert_eq!(over.block.deflated(), fresh.block.deflated());
        }
    }

    #[test]
    fn which_ones_stay_does_not_hang_on_the_order() {
        let objects: Vec<(String, u8)> = (0..40).map(|number| (format!("t{number}"), number)).collect();
        let reversed: Vec<(String, u8)> = objects.iter().rev().cloned().collect();
        let shown = |objects: Vec<(String, u8)>| {
            let mut lines = text(&drawn(&vec![objects], Shown::All, &[], 10, None));
            lines.sort();
            lines
        };
        let lines = shown(objects.clone());
        assert_eq!((lines.len(), &lines), (10, &shown(reversed)));
        // What moves on keeps its place.
        let moved = objects.into_iter().map(|(name, percent)| (name, percent + 1)).collect();
        let names =
            |lines: &[String]| lines.iter().map(|line| line.split('}').next().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&lines), names(&shown(moved)));
    }
}
