//! What DRS says of one job and type at one time.

use std::hash::Hasher;
use std::time::SystemTime;

use siphasher::sip::SipHasher13;

/// How much of an object has arrived, in percent: 0 to 100, as DRS reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// The percentage, or nothing where the number is over 100.
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 100 { Some(Self(value)) } else { None }
    }

    /// The number, 0 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What tells an object from every other of the same job and type: where it comes from and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectName<S = Box<str>> {
    /// Source database.
    pub src_db: S,
    /// Source object; for a table its name.
    pub src_tb: S,
    /// Destination database.
    pub dst_db: S,
    /// Destination object.
    pub dst_tb: S,
}

impl ObjectName<&str> {
    /// The same, to be kept.
    pub fn to_owned(self) -> ObjectName {
        let Self { src_db, src_tb, dst_db, dst_tb } = self;
        ObjectName { src_db: src_db.into(), src_tb: src_tb.into(), dst_db: dst_db.into(), dst_tb: dst_tb.into() }
    }
}

/// One object and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// What it is called on both sides.
    pub name: ObjectName<&'a str>,
    /// A hash of the name, of 64 bits. That of five million objects two have the same one happens once in a million times.
    pub fingerprint: u64,
    /// The four parts of the name in a row.
    pub letters: &'a str,
    /// How far it is.
    pub progress: Percent,
}

/// Some objects in a row, such as those of a page. Their names stand in one text, so that a row costs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    names: String,
    rows: Vec<Row>,
}

/// Where the names of an object end in the text; each begins where the one before ends.
#[derive(Clone, Debug)]
struct Row {
    ends: [usize; 4],
    fingerprint: u64,
    progress: Percent,
}

impl Objects {
    /// Adds an object.
    pub fn push(&mut self, name: ObjectName<&str>, progress: Percent) {
        let begin = self.names.len();
        let ends = [name.src_db, name.src_tb, name.dst_db, name.dst_tb].map(|part| {
            self.names.push_str(part);
            self.names.len()
        });
        let fingerprint = fingerprint(self.names.get(begin..).unwrap_or_default(), ends.map(|end| end - begin));
        self.rows.push(Row { ends, fingerprint, progress });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The objects, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Object<'_>> {
        let mut begin = 0;
        self.rows.iter().map(move |row| {
            let [.., end] = row.ends;
            let letters = self.names.get(begin..end).unwrap_or_default();
            let mut part = |end: usize| {
                let part = self.names.get(begin..end).unwrap_or_default();
                begin = end;
                part
            };
            let [src_db, src_tb, dst_db, dst_tb] = row.ends.map(&mut part);
            let name = ObjectName { src_db, src_tb, dst_db, dst_tb };
            Object { name, fingerprint: row.fingerprint, letters, progress: row.progress }
        })
    }
}

/// A number that stands for a name, of which the parts stand in a row and end so: the same in every version and on every
/// machine, as it outlives the process.
fn fingerprint(letters: &str, ends: [usize; 4]) -> u64 {
    let [first, second, third, fourth] = ends.map(|end| (end as u64).to_le_bytes());
    let mut hasher = SipHasher13::new();
    hasher.write([first, second, third, fourth].as_flattened());
    hasher.write(letters.as_bytes());
    hasher.finish()
}

/// What DRS says of all objects of one job and type together.
#[derive(Clone, Debug)]
pub struct Listing {
    /// How many objects DRS says there are. Differs from the objects read where rows were dropped.
    pub count: u64,
    /// When DRS made the data, where it said so in a form that is known; the oldest page's, so that the age never flatters.
    pub data_time: Option<SystemTime>,
}

/// Which objects have a series of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// All of them.
    #[default]
    All,
    /// Those below 100.
    Unfinished,
    /// None of them.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_come_out_as_they_went_in() {
        let name = |src_tb, dst_tb| ObjectName { src_db: "shop", src_tb, dst_db: "", dst_tb };
        let put = [(name("a", "b"), 0), (name("", "ab"), 7), (name("Ärger 🐘", "x\n"), 100)];
        let mut objects = Objects::default();
        assert!(objects.is_empty());
        for (name, percent) in put {
            objects.push(name, Percent::new(percent).unwrap());
        }
        let got: Vec<_> = objects.iter().map(|object| (object.name, object.progress.get())).collect();
        assert_eq!(got, put);
        assert_eq!(objects.len(), 3);
    }

    #[test]
    fn a_fingerprint_stands_for_the_name_and_nothing_else() {
        let fingerprint = |src_db, src_tb| {
            let mut objects = Objects::default();
            // Where it stands among others is nothing to it.
            for _ in 0..2 {
                objects.push(ObjectName { src_db, src_tb, dst_db: "c", dst_tb: "d" }, Percent::default());
            }
            let [first, second] = objects.iter().map(|object| object.fingerprint).collect::<Vec<_>>()[..] else {
                panic!()
            };
            assert_eq!(first, second);
            first
        };
        assert_ne!(fingerprint("ab", ""), fingerprint("a", "b"));
        // Another value would make all that a state file remembers worthless.
        assert_eq!(fingerprint("a", "b"), 18_012_796_811_925_430_235);
    }
}
