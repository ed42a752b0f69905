//! What DRS says of one job and type at one time.

use std::time::SystemTime;

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// Source database.
    pub src_db: Box<str>,
    /// Source object; for a table its name.
    pub src_tb: Box<str>,
    /// Destination database.
    pub dst_db: Box<str>,
    /// Destination object.
    pub dst_tb: Box<str>,
}

/// One object and how far it is.
#[derive(Clone, Debug)]
pub struct Object {
    /// What it is called on both sides.
    pub name: ObjectName,
    /// How far it is.
    pub progress: Percent,
}

/// Every object of one job and type, none of them twice.
#[derive(Clone, Debug)]
pub struct Listing {
    /// How many objects DRS says there are. Differs from the objects read where rows were dropped.
    pub count: u64,
    /// When DRS made the data, where it said so in a form that is known; the oldest page's, so that the age never flatters.
    pub data_time: Option<SystemTime>,
    /// The objects, in DRS's order.
    pub objects: Vec<Object>,
}

impl Listing {
    /// Whether nothing in it is left to move: all objects are known and at 100, or there is none.
    pub fn is_settled(&self) -> bool {
        self.objects.len() as u64 == self.count && self.objects.iter().all(|object| object.progress.get() == 100)
    }
}
