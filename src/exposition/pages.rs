//! The samples of a listing's objects, compressed page by page, out of which some can be cut without the objects themselves.

use std::io;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use siphasher::sip::SipHasher13;
use siphasher::sip128::Hash128;

use super::gzip::{Block, Deflaters, Inflater, Sum};
use super::quota::Wanted;
use crate::model::{Percent, Shown};

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

/// The pages of a listing, and what becomes of their objects.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pages: Vec<Page>,
    deflated: Vec<u8>,
    /// Of each object.
    fates: Vec<Fate>,
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

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
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
    pub(super) fn new(shown: Shown, progress: Percent) -> Self {
        match (shown, progress.get()) {
            (Shown::None, _) | (Shown::Unfinished, 100) => Self::Hidden,
            (Shown::All, 100) => Self::Finished,
            (Shown::All | Shown::Unfinished, _) => Self::Unfinished,
        }
    }

    fn of_sample(sample: &[u8]) -> Self {
        if sample.ends_with(b" 100\n") { Self::Finished } else { Self::Unfinished }
    }

    pub(super) fn has_sample(self) -> bool {
        self != Self::Hidden
    }

    fn is_shown(self) -> bool {
        matches!(self, Self::Unfinished | Self::Finished)
    }
}

impl Drawn {
    /// The same page, compressed, if it stands in the same place and was made of this.
    pub(super) fn page(&self, index: usize, made_of: Hash128) -> Option<(Bytes, Sum)> {
        let page = self.pages.get(index).filter(|page| page.made_of == Some(made_of))?;
        let begin = index.checked_sub(1).and_then(|last| self.pages.get(last)).map_or(0, |last| last.end);
        Some((self.block.deflated().slice(begin..page.end), page.sum.clone()))
    }

    /// The same listing with at most so many series.
    ///
    /// # Errors
    /// When the compressor fails, or what it made is damaged, which neither has a reason to.
    pub(super) fn cut_to(&self, most: u64, deflaters: &Deflaters) -> io::Result<Self> {
        let deflated = self.block.deflated().to_vec();
        let (mut pages, mut fates, mut begin) = (Vec::with_capacity(self.pages.len()), Vec::new(), 0);
        for page in self.pages.iter() {
            let text = page.text(deflated.get(begin..page.end).unwrap_or_default())?;
            let first = fates.len();
            fates.extend(samples(&text).map(Fate::of_sample));
            begin = page.end;
            pages.push(Page { objects: fates.len() - first, ..page.clone() });
        }
        Pages { pages, deflated, fates }.finish(most, self.series + self.suppressed, deflaters)
    }
}

impl Pages {
    /// Has room for so many bytes, compressed.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { deflated: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.pages.len()
    }

    /// Of how many objects they are.
    pub(super) fn objects(&self) -> usize {
        self.fates.len()
    }

    /// Adds a page of objects with these fates, which `append` writes, compressed.
    ///
    /// # Errors
    /// As `append`.
    pub(super) fn add(
        &mut self,
        made_of: Hash128,
        fates: impl IntoIterator<Item = Fate>,
        append: impl FnOnce(&mut Vec<u8>) -> io::Result<Sum>,
    ) -> io::Result<()> {
        let first = self.fates.len();
        self.fates.extend(fates);
        let sum = append(&mut self.deflated)?;
        let (objects, end) = (self.fates.len() - first, self.deflated.len());
        self.pages.push(Page { made_of: Some(made_of), objects, end, sum });
        Ok(())
    }

    /// Takes an object out, which is counted from 0 in the order they were added.
    pub(super) fn remove(&mut self, place: usize) {
        if let Some(fate) = self.fates.get_mut(place).filter(|fate| fate.has_sample()) {
            *fate = Fate::Cut;
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

    /// Ends with at most so many series, of a listing that has so many objects.
    ///
    /// # Errors
    /// When the compressor fails, or what it made is damaged, which neither has a reason to.
    pub(super) fn finish(mut self, most: u64, objects: u64, deflaters: &Deflaters) -> io::Result<Drawn> {
        self.choose(most)?;
        let series = self.wanted().total();
        if self.fates.contains(&Fate::Cut) {
            self.cut(deflaters)?;
        }
        let mut sum = Sum::default();
        self.pages.iter().for_each(|page| sum.add(&page.sum));
        self.deflated.shrink_to_fit();
        let block = Block::of_parts(self.deflated.into(), sum)?;
        Ok(Drawn { block, series, suppressed: objects.saturating_sub(series), pages: self.pages.into() })
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
    fn cut(&mut self, deflaters: &Deflaters) -> io::Result<()> {
        let (pages, whole) = (mem::take(&mut self.pages), mem::take(&mut self.deflated));
        for (page, deflated, fates) in parts(&pages, &whole, &self.fates) {
            let (made_of, sum) = if fates.contains(&Fate::Cut) {
                let text = page.text(deflated)?;
                let fated = samples(&text).zip(fates.iter().filter(|fate| fate.has_sample()));
                let kept = fated.filter(|(_, fate)| fate.is_shown()).map(|(sample, _)| sample);
                let render = |room: &mut Vec<u8>| kept.for_each(|sample| room.extend_from_slice(sample));
                (None, deflaters.with(|deflater| deflater.append_rendered(render, &mut self.deflated))?)
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
