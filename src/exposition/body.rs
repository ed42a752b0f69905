//! The body of an answer: made of what is ready, and inflated as it is sent where the reader wants the text.

use std::io;
use std::vec;

use bytes::{Bytes, BytesMut};

use super::Encoding;
use super::gzip::{Block, Inflater, Member};

/// Parts shorter than this are copied together, so that a body of many small parts is not sent in as many writes.
const COPIED_BELOW_BYTES: usize = 16 * 1024;

/// The body of an answer, piece by piece. The pieces are shared with other answers, or made when they are asked for, so a reader
/// that is slow costs little.
#[derive(Debug)]
pub struct Body {
    parts: vec::IntoIter<Part>,
    inflater: Option<Inflater>,
    length: u64,
}

#[derive(Debug)]
enum Part {
    Ready(Bytes),
    /// A text of so many bytes, compressed.
    Deflated(Bytes, u64),
}

impl Body {
    /// Joins blocks.
    pub(super) fn of<'a>(blocks: impl Iterator<Item = &'a Block>, encoding: Encoding) -> Self {
        let mut parts = Parts::default();
        match encoding {
            Encoding::Identity => blocks.for_each(|block| parts.add_text(block)),
            Encoding::Gzip => {
                let (mut member, header) = Member::begin();
                parts.add(header);
                blocks.for_each(|block| parts.add(member.add(block)));
                parts.add(member.end());
            }
        }
        parts.flush();
        Self { parts: parts.parts.into_iter(), inflater: None, length: parts.length }
    }

    /// How long it is, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Iterator for Body {
    type Item = io::Result<Bytes>;

    /// The next piece.
    ///
    /// # Errors
    /// When what is kept is damaged, which it has no reason to be.
    fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(inflater) = &mut self.inflater {
                if let Some(piece) = inflater.piece().transpose() {
                    return Some(piece);
                }
                self.inflater = None;
            }
            match self.parts.next()? {
                Part::Ready(piece) => return Some(Ok(piece)),
                Part::Deflated(deflated, length) => self.inflater = Some(Inflater::new(deflated, length)),
            }
        }
    }
}

/// Collects the parts of a body: large ones are shared, small ones are copied together.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
    length: u64,
    small: BytesMut,
}

impl Parts {
    fn add(&mut self, piece: Bytes) {
        self.length += piece.len() as u64;
        if piece.len() < COPIED_BELOW_BYTES {
            self.small.extend_from_slice(&piece);
            return;
        }
        self.flush();
        self.parts.push(Part::Ready(piece));
    }

    fn add_text(&mut self, block: &Block) {
        match block.text() {
            Some(text) => self.add(text.clone()),
            None => {
                self.flush();
                self.length += block.length();
                self.parts.push(Part::Deflated(block.deflated().clone(), block.length()));
            }
        }
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            self.parts.push(Part::Ready(self.small.split().freeze()));
        }
    }
}
