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
        let (mut begin, mut fates) = (0, self.fates.iter());
        for page in &self.pages {
            let text = page.text(self.deflated.get(begin..page.end).unwrap_or_default())?;
            begin = page.end;
            let samples = samples(&text).zip(fates.by_ref().take(page.objects).filter(|fate| fate.has_sample()));
            ranks.extend(samples.filter(|(_, fate)| fate.is_shown()).map(|(sample, fate)| rank(sample, *fate)));
        }
        let mut sorted = ranks.clone();
        // There are more of them than that.
        let (_, first_out, _) = sorted.select_nth_unstable(most as usize);
        for (fate, rank) in self.fates.iter_mut().filter(|fate| fate.is_shown()).zip(ranks) {
            if rank >= *first_out {
                *fate = Fate::Cut;
            }
        }
        Ok(())
    }

    /// Cuts out the samples that are marked: a page with one of them is made anew without it.
    fn cut(&mut self) -> io::Result<()> {
        let whole = mem::take(&mut self.deflated);
        let (mut begin, mut fates) = (0, self.fates.as_slice());
        for page in &mut self.pages {
            let deflated = whole.get(begin..page.end).unwrap_or_default();
            begin = page.end;
            let (of_page, others) = fates.split_at_checked(page.objects).unwrap_or((fates, &[]));
            fates = others;
            if of_page.contains(&Fate::Cut) {
                let text = page.text(deflated)?;
                let fated = samples(&text).zip(of_page.iter().filter(|fate| fate.has_sample()));
                let kept = fated.filter(|(_, fate)| fate.is_shown()).map(|(sample, _)| sample);
                let render = |room: &mut Vec<u8>| kept.for_each(|sample| room.extend_from_slice(sample));
                page.sum = self.deflaters.with(|deflater| deflater.append_rendered(render, &mut self.deflated))?;
                page.made_of = None;
            } else {
                self.deflated.extend_from_slice(deflated);
            }
            page.end = self.deflated.len();
        }
        Ok(())
    }
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
