//! The samples of a listing's objects, drawn up page by page: each page is rendered and compressed, and its names are let go.

use std::io;
use std::sync::Arc;

use siphasher::sip128::{self, Hash128};

use super::Config;
use super::families::Id;
use super::gzip::Deflaters;
use super::labels::{is_plain, write_value};
use super::pages::{Drawn, Fate, Pages};
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
    pages: Pages,
    /// How many objects do not count.
    removed: usize,
    failure: Option<io::Error>,
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
        let pages = Pages::with_room(expected + expected / 16);
        Self { config, deflaters, head, shown, before, pages, removed: 0, failure: None }
    }

    /// Adds the objects of the next page.
    pub fn add(&mut self, objects: &Objects) {
        let made_of = self.hash(objects);
        let fate = |object: &Object<'_>| Fate::new(self.shown, object.progress);
        let fates = objects.iter().map(|object| fate(&object));
        let before = self.before.as_ref().and_then(|before| before.page(self.pages.count(), made_of));
        let added = match before {
            Some((deflated, sum)) => self.pages.add(made_of, fates, |to| {
                to.extend_from_slice(&deflated);
                Ok(sum)
            }),
            None => {
                let samples = objects.iter().filter(|object| fate(object).has_sample());
                let (head, config) = (&self.head, &self.config);
                let render = |text: &mut Vec<u8>| samples.for_each(|object| write_sample(text, head, &object, config));
                self.pages
                    .add(made_of, fates, |to| self.deflaters.with(|deflater| deflater.append_rendered(render, to)))
            }
        };
        if let Err(error) = added {
            self.failure = Some(error);
        }
    }

    /// Takes out the objects at these places, which are counted from 0 in the order they were added.
    pub fn remove(&mut self, places: &[usize]) {
        self.removed += places.len();
        places.iter().for_each(|place| self.pages.remove(*place));
    }

    /// How many series it would take to show all that are to be shown.
    pub(super) fn wanted(&self) -> Wanted {
        self.pages.wanted()
    }

    /// Ends with at most so many series.
    ///
    /// # Errors
    /// When the compressor failed on the way, which it has no reason to do.
    pub(super) fn finish(self, most: u64) -> io::Result<Drawn> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let objects = self.pages.objects().saturating_sub(self.removed) as u64;
        self.pages.finish(most, objects, &self.deflaters)
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
    use crate::exposition::gzip::Inflater;

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
            fewer in 0_u64..30,
        ) {
            let all: Vec<&(String, u8)> = listed.iter().flatten().collect();
            let removed: Vec<usize> = removed.into_iter().filter(|place| *place < all.len()).collect();
            let left = all.iter().enumerate().filter(|(place, _)| !removed.contains(place)).map(|(_, object)| *object);
            let wanted: Vec<&(String, u8)> = left.filter(|(_, percent)| match shown {
                Shown::All => true,
                Shown::Unfinished => *percent < 100,
                Shown::None => false,
            }).collect();

            let whole = drawn(&listed, shown, &removed, most, None);
            let text = text(&whole);
            prop_assert_eq!(text.len() as u64, whole.series);
            prop_assert_eq!((whole.series + whole.suppressed) as usize, all.len() - removed.len());
            prop_assert!(whole.series <= most);
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
            // What is cut down later is what would have been shown in the first place.
            let cut = whole.cut_to(fewer, &Deflaters::default()).unwrap();
            let fresh = drawn(&listed, shown, &removed, most.min(fewer), None);
            prop_assert_eq!((self::text(&cut), cut.series, cut.suppressed), (self::text(&fresh), fresh.series, fresh.suppressed));
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
