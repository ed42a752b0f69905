//! All pages of one job and type: read until DRS's `count` is reached, read again where the pages do not fit together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::client::{Account, Call};
use super::error::{ApiError, Class};
use super::wire::Page;
use super::{OffsetCounts, Tally};
use crate::model::{DropReason, ErrorCode, JobId, Listing, ObjectType, Objects};

/// How often a listing is read at the most: once, and twice again.
const MAX_READINGS: u32 = 3;

/// Most rows of one listing. DRS's `count` is not believed beyond it, so that no answer can fill the memory.
const MAX_ROWS: u64 = 5_000_000;

/// One job of an account.
#[derive(Debug)]
pub struct Job {
    pub(super) account: Arc<Account>,
    pub(super) id: JobId,
    pub(super) lane: Semaphore,
}

/// What a poll asks for.
#[derive(Clone, Copy, Debug)]
struct Ask {
    object_type: ObjectType,
    page_size: u32,
    deadline: Instant,
}

/// Takes in the objects of a listing while it is read, page by page, so that nobody has to hold all of them.
pub trait Intake: Send {
    /// What was taken in so far is void: the listing is read again.
    fn start_over(&mut self);

    /// Takes in the objects of the next page.
    fn take(&mut self, objects: &Objects);

    /// Which of the objects that were taken in stand in the listing again further on: their places among all, from 0, in order.
    fn superseded(&self) -> Vec<usize>;
}

/// A listing that was read to its end. The objects are those that were taken in since the reading began.
#[derive(Debug)]
pub struct Reading {
    /// What is told of all of them together.
    pub listing: Listing,
    /// The objects that do not count, as they stand in the listing again further on: their places, as [`Intake::superseded`] says.
    pub superseded: Vec<usize>,
    /// Whether all pages told of the same `count` and together had as many different objects.
    pub consistent: bool,
    /// Rows that were left out.
    pub dropped: BTreeMap<DropReason, u64>,
}

/// A listing that was not read to its end. Nothing of it is to be shown.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A page could not be had.
    #[error("page at offset {offset}: {error}")]
    Page {
        /// Where the page begins.
        offset: u64,
        /// Why.
        error: ApiError,
    },
    /// DRS announced more objects than its pages hold.
    #[error("DRS announced {count} objects, but its pages ended after {rows}; {advice}")]
    Short {
        /// Rows announced.
        count: u64,
        /// Rows read.
        rows: u64,
        /// What to do.
        advice: String,
    },
    /// More rows than any migration has.
    #[error(
        "DRS announced {count} objects; more than {MAX_ROWS} of one type are not read; check that `endpoint` is DRS"
    )]
    TooMany {
        /// Rows announced, or read if that is more.
        count: u64,
    },
}

impl Job {
    /// A job of the account.
    ///
    /// A job may use half of the account's requests under way, so that one that answers slowly leaves room for the others.
    pub fn new(account: Arc<Account>, id: JobId) -> Self {
        let lane = Semaphore::new(account.config().limits.concurrency.div_ceil(2));
        Self { account, id, lane }
    }

    /// Whether the other one is asked for as the same user of the same cloud.
    pub fn is_asked_as(&self, other: &Self) -> bool {
        self.account.has_login_of(&other.account)
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// Reads all objects of one type into `intake`, which is empty. Each request is counted in `tally`, also when this call is cut short.
    ///
    /// # Errors
    /// When a page cannot be had, or the listing stays shorter than DRS announced. At once when the account pauses until after
    /// `deadline`, at which the caller will cut this call short.
    pub async fn list(
        &self,
        object_type: ObjectType,
        page_size: u32,
        deadline: Instant,
        tally: &mut Tally,
        intake: &mut impl Intake,
    ) -> Result<Reading, ListError> {
        let counts = self.account.config().offset_counts;
        let ask = Ask { object_type, page_size, deadline };
        let listed = read_whole(&mut Pull { job: self, ask, tally, intake }, page_size, counts).await;
        if let Err(ListError::TooMany { .. }) = listed {
            *tally.errors.entry(ErrorCode::new("too_large")).or_default() += 1;
        }
        listed
    }

    /// How many objects of one type DRS says there are; it is asked for one row.
    ///
    /// # Errors
    /// When DRS does not answer.
    pub async fn count(&self, object_type: ObjectType, deadline: Instant, tally: &mut Tally) -> Result<u64, ApiError> {
        let ask = Ask { object_type, page_size: 1, deadline };
        let page = self.page(ask, 0, Page::parse, tally).await?;
        Ok(page.map_or(0, |page| page.count))
    }

    async fn page<T>(
        &self,
        ask: Ask,
        offset: u64,
        parse: impl FnMut(&[u8]) -> Result<T, String>,
        tally: &mut Tally,
    ) -> Result<Option<T>, ApiError> {
        let call = Call {
            operation: "progress_data",
            path: format!("/jobs/{}/progress-data/{}", self.id, ask.object_type),
            query: vec![("limit", ask.page_size.to_string()), ("offset", offset.to_string())],
            deadline: ask.deadline,
            lane: Some(&self.lane),
        };
        self.account.ask(&call, parse, tally).await
    }
}

impl ListError {
    /// When it will be of use to ask again, where it is not before.
    pub fn not_before(&self) -> Option<Instant> {
        match self {
            Self::Page { error, .. } => error.not_before,
            Self::Short { .. } | Self::TooMany { .. } => None,
        }
    }

    /// What the failure asks of the poller; nothing in particular where DRS answered, but not with a whole listing.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Page { error, .. } => Some(error.class),
            Self::Short { .. } | Self::TooMany { .. } => None,
        }
    }
}

/// Where the pages of a listing come from, and their objects go to.
trait Source {
    /// Takes in the objects of the page at an offset; nothing where DRS says that its result is empty.
    async fn page(&mut self, offset: u64) -> Result<Option<Taken>, ApiError>;

    /// As that of [`Intake`].
    fn start_over(&mut self);

    /// As that of [`Intake`].
    fn superseded(&self) -> Vec<usize>;
}

/// Asks DRS for the pages.
struct Pull<'a, I> {
    job: &'a Job,
    ask: Ask,
    tally: &'a mut Tally,
    intake: &'a mut I,
}

impl<I: Intake> Source for Pull<'_, I> {
    async fn page(&mut self, offset: u64) -> Result<Option<Taken>, ApiError> {
        let take = |body: &[u8]| {
            let page = Page::parse(body)?;
            self.intake.take(&page.objects);
            Ok(Taken::from(page))
        };
        self.job.page(self.ask, offset, take, self.tally).await
    }

    fn start_over(&mut self) {
        self.intake.start_over();
    }

    fn superseded(&self) -> Vec<usize> {
        self.intake.superseded()
    }
}

/// Reads a listing until its pages fit together, or no more is to be had.
async fn read_whole(source: &mut impl Source, page_size: u32, counts: OffsetCounts) -> Result<Reading, ListError> {
    let mut made = 1;
    loop {
        let last = made == MAX_READINGS;
        match read(source, page_size, counts, last).await {
            Ok(Some(reading)) if reading.consistent || last => return Ok(reading),
            Err(error) if last || !matches!(error, ListError::Short { .. }) => return Err(error),
            Ok(_) | Err(_) => made += 1,
        }
        source.start_over();
    }
}

/// Reads all pages once. Where `count` changes on the way, goes on only if `to_the_end`, since the reading is void.
async fn read(
    source: &mut impl Source,
    page_size: u32,
    counts: OffsetCounts,
    to_the_end: bool,
) -> Result<Option<Reading>, ListError> {
    let mut pages = Pages::default();
    loop {
        let offset = pages.next_offset(counts);
        let page = match source.page(offset).await.map_err(|error| ListError::Page { offset, error })? {
            Some(page) => page,
            None if pages.read == 0 => return Ok(Some(Pages::default().finish(Vec::new()))),
            None => return Err(pages.short(page_size)),
        };
        pages.add(&page);
        if pages.changed && !to_the_end {
            return Ok(None);
        }
        if page.count.max(pages.rows) > MAX_ROWS {
            return Err(ListError::TooMany { count: page.count.max(pages.rows) });
        }
        if pages.rows >= page.count {
            return Ok(Some(pages.finish(source.superseded())));
        }
        if page.rows == 0 {
            return Err(pages.short(page_size));
        }
    }
}

/// What is kept of a page whose objects were taken in.
struct Taken {
    count: u64,
    data_time: Option<SystemTime>,
    rows: u64,
    malformed: u64,
}

impl From<Page> for Taken {
    fn from(page: Page) -> Self {
        let rows = page.objects.len() as u64 + page.malformed;
        Self { count: page.count, data_time: page.data_time, rows, malformed: page.malformed }
    }
}

/// The pages of one reading, so far.
#[derive(Default)]
struct Pages {
    read: u64,
    rows: u64,
    first_rows: u64,
    count: u64,
    changed: bool,
    malformed: u64,
    data_time: Option<SystemTime>,
}

impl Pages {
    fn next_offset(&self, counts: OffsetCounts) -> u64 {
        match counts {
            OffsetCounts::Rows => self.rows,
            OffsetCounts::Pages => self.read,
        }
    }

    fn add(&mut self, page: &Taken) {
        if self.read == 0 {
            self.first_rows = page.rows;
            self.data_time = page.data_time;
        } else {
            self.changed |= self.count != page.count;
            self.data_time = self.data_time.min(page.data_time).or(self.data_time).or(page.data_time);
        }
        self.read += 1;
        self.rows += page.rows;
        self.count = page.count;
        self.malformed += page.malformed;
    }

    fn finish(self, superseded: Vec<usize>) -> Reading {
        let duplicates = superseded.len() as u64;
        let dropped = [(DropReason::Duplicate, duplicates), (DropReason::Malformed, self.malformed)];
        let dropped = dropped.into_iter().filter(|(_, rows)| *rows > 0).collect();
        let consistent = !self.changed && self.rows == self.count + duplicates;
        let listing = Listing { count: self.count, data_time: self.data_time };
        Reading { listing, superseded, consistent, dropped }
    }

    fn short(&self, page_size: u32) -> ListError {
        // A whole first page and an empty second one is what a wrong unit of `offset` looks like.
        let advice = if self.rows == self.first_rows && self.first_rows == u64::from(page_size) {
            "the first page came whole and the second empty: if that stays so, try the other value of `offset_counts`"
        } else {
            "the next poll tries again; if that stays so, DRS counts objects that it does not list"
        };
        ListError::Short { count: self.count, rows: self.rows, advice: advice.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures_util::FutureExt;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// What happens to a listing between two requests, or to one answer.
    #[derive(Clone, Debug)]
    enum Turn {
        Quiet,
        Insert(Index, u8),
        Remove(Index),
        Move(Index, Index),
        /// The answer tells of more or fewer objects than there are.
        Miscount(u64),
        /// The answer ends too early.
        Cut(Index),
        /// The answer says that there is nothing.
        Nothing,
    }

    fn turn() -> impl Strategy<Value = Turn> {
        prop_oneof![
            6 => Just(Turn::Quiet),
            2 => (any::<Index>(), any::<u8>()).prop_map(|(place, row)| Turn::Insert(place, row)),
            2 => any::<Index>().prop_map(Turn::Remove),
            1 => any::<(Index, Index)>().prop_map(|(from, to)| Turn::Move(from, to)),
            1 => (0_u64..60).prop_map(Turn::Miscount),
            1 => any::<Index>().prop_map(Turn::Cut),
            1 => Just(Turn::Nothing),
        ]
    }

    /// A DRS that goes by a script. Rows are numbers; those from `FIRST_MALFORMED` on are no objects.
    struct Scripted {
        rows: Vec<u8>,
        page_size: u32,
        counts: OffsetCounts,
        script: std::vec::IntoIter<Turn>,
        /// The offsets of each reading.
        asked: Vec<Vec<u64>>,
        taken: Vec<u8>,
    }

    const FIRST_MALFORMED: u8 = 250;

    impl Scripted {
        fn new(rows: Vec<u8>, page_size: u32, counts: OffsetCounts, script: Vec<Turn>) -> Self {
            Self { rows, page_size, counts, script: script.into_iter(), asked: vec![Vec::new()], taken: Vec::new() }
        }

        fn list(&mut self) -> Result<Reading, ListError> {
            let (page_size, counts) = (self.page_size, self.counts);
            read_whole(self, page_size, counts).now_or_never().expect("a script never waits")
        }

        /// The objects that count, in the order they were taken in.
        fn kept(&self, superseded: &[usize]) -> Vec<u8> {
            let kept = self.taken.iter().enumerate().filter(|(place, _)| !superseded.contains(place));
            kept.map(|(_, row)| *row).collect()
        }
    }

    impl Source for Scripted {
        async fn page(&mut self, offset: u64) -> Result<Option<Taken>, ApiError> {
            self.asked.last_mut().unwrap().push(offset);
            let turn = self.script.next().unwrap_or(Turn::Quiet);
            match turn {
                Turn::Insert(place, row) => self.rows.insert(place.index(self.rows.len() + 1), row),
                Turn::Remove(place) if !self.rows.is_empty() => drop(self.rows.remove(place.index(self.rows.len()))),
                Turn::Move(from, to) if !self.rows.is_empty() => {
                    let row = self.rows.remove(from.index(self.rows.len()));
                    self.rows.insert(to.index(self.rows.len() + 1), row);
                }
                Turn::Nothing => return Ok(None),
                _ => {}
            }
            let first = match self.counts {
                OffsetCounts::Rows => offset,
                OffsetCounts::Pages => offset * u64::from(self.page_size),
            };
            let rows = self.rows.iter().skip(first as usize).take(self.page_size as usize);
            let mut rows: Vec<u8> = rows.copied().collect();
            if let Turn::Cut(place) = turn {
                rows.truncate(place.index(rows.len() + 1));
            }
            let count = if let Turn::Miscount(count) = turn { count } else { self.rows.len() as u64 };
            let objects: Vec<u8> = rows.iter().copied().filter(|row| *row < FIRST_MALFORMED).collect();
            let malformed = (rows.len() - objects.len()) as u64;
            self.taken.extend(objects);
            Ok(Some(Taken { count, data_time: None, rows: rows.len() as u64, malformed }))
        }

        fn start_over(&mut self) {
            self.asked.push(Vec::new());
            self.taken.clear();
        }

        fn superseded(&self) -> Vec<usize> {
            let again = |place: &usize| self.taken[place + 1..].contains(&self.taken[*place]);
            (0..self.taken.len()).filter(again).collect()
        }
    }

    fn counts() -> impl Strategy<Value = OffsetCounts> {
        prop_oneof![Just(OffsetCounts::Rows), Just(OffsetCounts::Pages)]
    }

    proptest! {
        #[test]
        fn what_stands_still_is_read_once_and_whole(
            rows in prop::collection::btree_set(0..FIRST_MALFORMED, 0..250), page_size in 1_u32..300, counts in counts(),
        ) {
            let rows: Vec<u8> = rows.into_iter().collect();
            let mut drs = Scripted::new(rows.clone(), page_size, counts, Vec::new());
            let reading = drs.list().unwrap();
            prop_assert!(reading.consistent && reading.dropped.is_empty() && reading.superseded.is_empty());
            prop_assert_eq!(reading.listing.count, rows.len() as u64);
            prop_assert_eq!(&drs.taken, &rows);
            prop_assert_eq!(drs.asked.len(), 1);
            prop_assert_eq!(drs.asked[0].len(), rows.len().div_ceil(page_size as usize).max(1));
        }

        #[test]
        fn whatever_changes_a_listing_is_whole_or_none_and_read_three_times_at_most(
            rows in prop::collection::vec(any::<u8>(), 0..40),
            page_size in 1_u32..12,
            counts in counts(),
            script in prop::collection::vec(turn(), 0..40),
        ) {
            let most = (rows.len() + script.len() + 60) as u64;
            let mut drs = Scripted::new(rows, page_size, counts, script);
            let listed = drs.list();
            prop_assert!(drs.asked.len() <= 3);
            for offsets in &drs.asked {
                prop_assert!(offsets.len() as u64 <= most, "{} requests", offsets.len());
                prop_assert!(offsets.first().is_none_or(|first| *first == 0) && offsets.is_sorted());
            }
            match listed {
                Ok(reading) => {
                    let kept = drs.kept(&reading.superseded);
                    let different: BTreeSet<u8> = kept.iter().copied().collect();
                    prop_assert_eq!(different.len(), kept.len(), "an object twice in {:?}", kept);
                    let rows = drs.taken.len() as u64 + reading.dropped.get(&DropReason::Malformed).unwrap_or(&0);
                    prop_assert!(rows >= reading.listing.count, "{rows} rows of {}", reading.listing.count);
                    let malformed = rows - drs.taken.len() as u64;
                    let whole = kept.len() as u64 + malformed == reading.listing.count;
                    prop_assert!(whole || !reading.consistent);
                    prop_assert!(reading.consistent || drs.asked.len() == 3, "published before it was read again");
                }
                Err(ListError::Short { count, rows, .. }) => {
                    prop_assert_eq!(drs.asked.len(), 3, "given up before it was read again");
                    prop_assert!(rows < count);
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }

        #[test]
        fn a_listing_is_consistent_where_its_pages_agree_and_have_as_many_different_objects_as_they_say(
            pages in prop::collection::vec((0_u64..8, 0_u64..4, 0_u64..2), 1..5),
            superseded in 0_usize..3,
        ) {
            let mut reading = Pages::default();
            for (count, objects, malformed) in &pages {
                let (rows, malformed) = (objects + malformed, *malformed);
                reading.add(&Taken { count: *count, data_time: None, rows, malformed });
            }
            let reading = reading.finish((0..superseded).collect());

            let duplicates = superseded as u64;
            let malformed: u64 = pages.iter().map(|(.., malformed)| malformed).sum();
            prop_assert_eq!(reading.dropped.get(&DropReason::Duplicate).copied().unwrap_or_default(), duplicates);
            prop_assert_eq!(reading.dropped.get(&DropReason::Malformed).copied().unwrap_or_default(), malformed);
            prop_assert!(reading.dropped.values().all(|rows| *rows > 0));
            let same = pages.iter().all(|(count, ..)| *count == pages[0].0);
            let objects: u64 = pages.iter().map(|(_, objects, _)| objects).sum();
            prop_assert_eq!(reading.consistent, same && objects + malformed == pages[0].0 + duplicates);
        }
    }

    #[test]
    fn the_data_is_as_old_as_its_oldest_page() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        for (times, oldest) in [
            (vec![at(5), at(3), at(4)], at(3)),
            (vec![None, at(3)], at(3)),
            (vec![at(3), None], at(3)),
            (vec![None, None], None),
        ] {
            let mut pages = Pages::default();
            for data_time in times {
                pages.add(&Taken { count: 0, data_time, rows: 0, malformed: 0 });
            }
            assert_eq!(pages.finish(Vec::new()).listing.data_time, oldest);
        }
    }
}
