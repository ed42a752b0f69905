//! What was complained of last, so that the log tells what changes and not the same again and again.

use std::mem;

/// The last complaint; none while all is well.
#[derive(Debug, Default)]
pub struct Complaint(Option<String>);

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// Something is wrong, or something else than before.
    Bad(&'a str),
    /// The same is wrong as before.
    BadAsBefore(&'a str),
    /// What was wrong is not any more.
    GoodAgain,
    /// All is well, as before.
    Good,
}

impl Complaint {
    /// Takes note of what is wrong now.
    pub fn hear(&mut self, problem: Option<String>) -> News<'_> {
        let known = mem::replace(&mut self.0, problem);
        match &self.0 {
            Some(problem) if known.as_ref() == Some(problem) => News::BadAsBefore(problem),
            Some(problem) => News::Bad(problem),
            None if known.is_some() => News::GoodAgain,
            None => News::Good,
        }
    }
}
