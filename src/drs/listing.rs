//! All pages of one job and type: read until DRS's `count` is reached, read again where the pages do not fit together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::client::{Account, Call};
use super::error::{ApiError, Class};
use super::wire::{self, Page};
use super::{OffsetCounts, Tally};
use crate::model::{DropReason, ErrorCode, JobId, Listing, Object, ObjectName, ObjectType};

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

/// A listing that was read to its end.
#[derive(Debug)]
pub struct Reading {
    /// The objects.
    pub listing: Listing,
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

    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// Reads all objects of one type. Each request is counted in `tally`, also when this call is cut short.
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
    ) -> Result<Reading, ListError> {
        let ask = Ask { object_type, page_size, deadline };
        let mut made = 1;
        loop {
            let last = made == MAX_READINGS;
            match self.read(ask, last, tally).await {
                Ok(Some(reading)) if reading.consistent || last => return Ok(reading),
                Err(error) if last || !matches!(error, ListError::Short { .. }) => return Err(error),
                Ok(_) | Err(_) => made += 1,
            }
        }
    }

    /// Reads all pages once. Where `count` changes on the way, goes on only if `to_the_end`, since the reading is void.
    async fn read(&self, ask: Ask, to_the_end: bool, tally: &mut Tally) -> Result<Option<Reading>, ListError> {
        let mut pages = Pages::default();
        loop {
            let offset = pages.next_offset(self.account.config().offset_counts);
            let answer = self.page(ask, offset, tally).await.map_err(|error| ListError::Page { offset, error })?;
            let page = match answer {
                Some(page) => page,
                None if pages.read == 0 => return Ok(Some(Pages::default().finish())),
                None => return Err(pages.short(ask.page_size)),
            };
            let (count, came) = (page.count, page.rows());
            pages.add(page);
            if pages.changed && !to_the_end {
                return Ok(None);
            }
            if count.max(pages.rows) > MAX_ROWS {
                *tally.errors.entry(ErrorCode::new("too_large")).or_default() += 1;
                return Err(ListError::TooMany { count: count.max(pages.rows) });
            }
            if pages.rows >= count {
                return Ok(Some(pages.finish()));
            }
            if came == 0 {
                return Err(pages.short(ask.page_size));
            }
        }
    }

    /// How many objects of one type DRS says there are; it is asked for one row.
    ///
    /// # Errors
    /// When DRS does not answer.
    pub async fn count(&self, object_type: ObjectType, deadline: Instant, tally: &mut Tally) -> Result<u64, ApiError> {
        let page = self.page(Ask { object_type, page_size: 1, deadline }, 0, tally).await?;
        Ok(page.map_or(0, |page| page.count))
    }

    async fn page(&self, ask: Ask, offset: u64, tally: &mut Tally) -> Result<Option<Page>, ApiError> {
        let call = Call {
            operation: "progress_data",
            path: format!("/jobs/{}/progress-data/{}", self.id, ask.object_type),
            query: vec![("limit", ask.page_size.to_string()), ("offset", offset.to_string())],
            deadline: ask.deadline,
            lane: Some(&self.lane),
        };
        self.account.ask(&call, wire::page, tally).await
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
    objects: Vec<Object>,
}

impl Pages {
    fn next_offset(&self, counts: OffsetCounts) -> u64 {
        match counts {
            OffsetCounts::Rows => self.rows,
            OffsetCounts::Pages => self.read,
        }
    }

    fn add(&mut self, page: Page) {
        let rows = page.rows();
        if self.read == 0 {
            self.first_rows = rows;
            self.data_time = page.data_time;
        } else {
            self.changed |= self.count != page.count;
            self.data_time = self.data_time.min(page.data_time).or(self.data_time).or(page.data_time);
        }
        self.read += 1;
        self.rows += rows;
        self.count = page.count;
        self.malformed += page.malformed;
        self.objects.extend(page.objects);
    }

    fn finish(self) -> Reading {
        let read = self.objects.len();
        let objects = without_duplicates(self.objects);
        let duplicates = (read - objects.len()) as u64;
        let dropped = [(DropReason::Duplicate, duplicates), (DropReason::Malformed, self.malformed)];
        let dropped = dropped.into_iter().filter(|(_, rows)| *rows > 0).collect();
        let consistent = !self.changed && objects.len() as u64 + self.malformed == self.count;
        Reading { listing: Listing { count: self.count, data_time: self.data_time, objects }, consistent, dropped }
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

/// Each object once, as it was read last, in the order of its last reading.
fn without_duplicates(mut objects: Vec<Object>) -> Vec<Object> {
    let newest: HashMap<&ObjectName, usize> =
        objects.iter().enumerate().map(|(index, object)| (&object.name, index)).collect();
    if newest.len() == objects.len() {
        return objects;
    }
    let kept: HashSet<usize> = newest.into_values().collect();
    let mut index = 0;
    objects.retain(|_| {
        index += 1;
        kept.contains(&(index - 1))
    });
    objects
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Percent;

    fn object(name: u8, progress: u8) -> Object {
        let text = || name.to_string().into_boxed_str();
        let name = ObjectName { src_db: text(), src_tb: text(), dst_db: text(), dst_tb: text() };
        Object { name, progress: Percent::new(progress).unwrap() }
    }

    prop_compose! {
        fn page()(
            count in 0_u64..8,
            objects in prop::collection::vec((0_u8..6, 0_u8..=100), 0..4),
            malformed in 0_u64..2,
        ) -> Page {
            let objects = objects.into_iter().map(|(name, progress)| object(name, progress)).collect();
            Page { count, data_time: None, objects, malformed }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_pages_hold_each_object_is_shown_once_and_as_it_was_read_last(
            pages in prop::collection::vec(page(), 1..5),
        ) {
            let counts: Vec<u64> = pages.iter().map(|page| page.count).collect();
            let malformed: u64 = pages.iter().map(|page| page.malformed).sum();
            let all: Vec<Object> = pages.iter().flat_map(|page| page.objects.clone()).collect();
            let mut reading = Pages::default();
            pages.into_iter().for_each(|page| reading.add(page));
            let reading = reading.finish();

            let names: HashSet<&ObjectName> = all.iter().map(|object| &object.name).collect();
            let shown: HashSet<&ObjectName> = reading.listing.objects.iter().map(|object| &object.name).collect();
            prop_assert_eq!(shown.len(), reading.listing.objects.len());
            prop_assert_eq!(&shown, &names);
            for object in &reading.listing.objects {
                let last = all.iter().rev().find(|other| other.name == object.name).unwrap();
                prop_assert_eq!(object.progress, last.progress);
            }
            let duplicates = (all.len() - names.len()) as u64;
            prop_assert_eq!(reading.dropped.get(&DropReason::Duplicate).copied().unwrap_or_default(), duplicates);
            prop_assert_eq!(reading.dropped.get(&DropReason::Malformed).copied().unwrap_or_default(), malformed);
            let same = counts.iter().all(|count| count == &counts[0]);
            prop_assert_eq!(reading.consistent, same && names.len() as u64 + malformed == counts[0]);
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
                pages.add(Page { count: 0, data_time, objects: Vec::new(), malformed: 0 });
            }
            assert_eq!(pages.finish().listing.data_time, oldest);
        }
    }
}
