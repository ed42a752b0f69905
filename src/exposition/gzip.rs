//! Gzip from parts that were compressed before: each part is a run of deflate blocks that ends on a byte, and any number of
//! them joined, with a header, an end block and the combined CRC, is one gzip member (RFC 1951, RFC 1952).
//!
//! One member, since clients such as curl and Chromium stop after the first.

use std::io;
use std::mem;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Magic, deflate, no flags, no time, no hint, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty block with fixed codes that says it is the last one.
const END_BLOCK: [u8; 2] = [0x03, 0x00];

/// How hard is compressed. Of 100,000 series of 160 bytes, level 2 makes 9.3 bytes each in 17 ms, level 1 12.5 bytes in 13 ms,
/// and the usual 6 makes 8.5 bytes in 53 ms.
const LEVEL: u32 = 2;

/// Up to which length a text is kept beside its compressed form, in bytes. An inflater for so little is not worth its while.
const TEXT_KEPT_BYTES: usize = 4 * 1024;

/// Most room that a deflater keeps to render in, in bytes: a page of 1000 objects takes about 170 KiB.
const ROOM_KEPT_BYTES: usize = 1024 * 1024;

/// How much is inflated at a time, in bytes. At 4 GB/s that takes some 16 µs, which no other scrape notices.
const PIECE_BYTES: usize = 64 * 1024;

/// What the end of a gzip member says of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    crc: Hasher,
    length: u64,
}

impl Sum {
    fn of(text: &[u8]) -> Self {
        let mut crc = Hasher::new();
        crc.update(text);
        Self { crc, length: text.len() as u64 }
    }

    /// How long the text is, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Goes on with the text that comes next.
    pub(super) fn add(&mut self, next: &Self) {
        self.crc.combine(&next.crc);
        self.length += next.length;
    }
}

/// A text, compressed.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    deflated: Bytes,
    sum: Sum,
    text: Option<Bytes>,
}

impl Block {
    /// A text of parts that were compressed one after the other.
    ///
    /// # Errors
    /// When they do not make that text, which they have no reason not to do.
    pub(super) fn of_parts(deflated: Bytes, sum: Sum) -> io::Result<Self> {
        let is_short = sum.length <= TEXT_KEPT_BYTES as u64;
        let text = is_short.then(|| Inflater::new(deflated.clone(), sum.length).text()).transpose()?;
        Ok(Self { deflated, sum, text: text.map(Bytes::from) })
    }

    /// The text itself, where it is short.
    pub(super) fn text(&self) -> Option<&Bytes> {
        self.text.as_ref()
    }

    /// How long the text is, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.sum.length()
    }

    /// The text as it was compressed.
    pub(super) fn deflated(&self) -> &Bytes {
        &self.deflated
    }
}

/// Lends deflaters. One has a few hundred KiB, and making and dropping it among the small pieces that stay leaves memory full
/// of holes: with 9000 groups the process had 1.1 GB that way, and has 165 MB with a few deflaters that are kept.
#[derive(Debug, Default)]
pub(super) struct Deflaters(Mutex<Vec<Deflater>>);

impl Deflaters {
    /// Runs `work` with a deflater that nobody else has meanwhile.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Deflater) -> T) -> T {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut deflater = idle.unwrap_or_default();
        let made = work(&mut deflater);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(deflater);
        made
    }
}

/// Compresses texts, one after the other; each stands for itself.
#[derive(Debug)]
pub(super) struct Deflater {
    stream: Compress,
    room: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self { stream: Compress::new(Compression::new(LEVEL), false), room: Vec::new() }
    }
}

impl Deflater {
    /// Compresses a text.
    ///
    /// # Errors
    /// When the compressor reports that it cannot go on, which it has no reason to do.
    pub(super) fn block(&mut self, text: Vec<u8>) -> io::Result<Block> {
        if text.is_empty() {
            return Ok(Block::default());
        }
        let mut deflated = Vec::with_capacity(text.len() / 8 + 128);
        let sum = self.append(&text, &mut deflated)?;
        deflated.shrink_to_fit();
        let text = (text.len() <= TEXT_KEPT_BYTES).then(|| text.into());
        Ok(Block { deflated: deflated.into(), sum, text })
    }

    /// Compresses the text that is rendered by `render`, and appends it to others.
    ///
    /// # Errors
    /// As for [`Deflater::block`].
    pub(super) fn append_rendered(&mut self, render: impl FnOnce(&mut Vec<u8>), to: &mut Vec<u8>) -> io::Result<Sum> {
        let mut room = mem::take(&mut self.room);
        render(&mut room);
        let sum = if room.is_empty() { Ok(Sum::default()) } else { self.append(&room, to) };
        room.clear();
        room.shrink_to(ROOM_KEPT_BYTES);
        self.room = room;
        sum
    }

    fn append(&mut self, text: &[u8], to: &mut Vec<u8>) -> io::Result<Sum> {
        self.stream.reset();
        loop {
            let read = usize::try_from(self.stream.total_in()).map_err(io::Error::other)?;
            let rest = text.get(read..).unwrap_or_default();
            // The flush is complete once all is read and it did not need all the room it had.
            to.reserve(rest.len() / 8 + 128);
            let status = self.stream.compress_vec(rest, to, FlushCompress::Full).map_err(io::Error::other)?;
            if status == Status::StreamEnd {
                return Err(io::Error::other("the deflate stream ended by itself"));
            }
            if self.stream.total_in() == text.len() as u64 && to.len() < to.capacity() {
                return Ok(Sum::of(text));
            }
        }
    }
}

/// Gives a text back piece by piece.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    deflated: Bytes,
    left: u64,
}

impl Inflater {
    /// Begins with a text that was compressed, of which the sum is known.
    pub(super) fn new(deflated: Bytes, length: u64) -> Self {
        Self { stream: Decompress::new(false), deflated, left: length }
    }

    /// The next piece; nothing after the last one.
    ///
    /// # Errors
    /// When what was compressed is not the text that it should be, which it has no reason to be.
    pub(super) fn piece(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut text = Vec::with_capacity(PIECE_BYTES.min(usize::try_from(self.left).unwrap_or(PIECE_BYTES)));
        let read = usize::try_from(self.stream.total_in()).map_err(io::Error::other)?;
        let rest = self.deflated.get(read..).unwrap_or_default();
        self.stream.decompress_vec(rest, &mut text, FlushDecompress::Sync).map_err(io::Error::other)?;
        if text.is_empty() {
            return Err(io::Error::other("a compressed text is shorter than it was"));
        }
        self.left = self.left.saturating_sub(text.len() as u64);
        Ok(Some(text.into()))
    }

    /// All that is left.
    ///
    /// # Errors
    /// As for [`Inflater::piece`].
    pub(super) fn text(mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        while let Some(piece) = self.piece()? {
            text.extend_from_slice(&piece);
        }
        Ok(text)
    }
}

/// A gzip member that is being joined.
#[derive(Debug)]
pub(super) struct Member(Sum);

impl Member {
    /// Begins a member: the bytes that come first.
    pub(super) fn begin() -> (Self, Bytes) {
        (Self(Sum::default()), Bytes::from_static(&HEADER))
    }

    /// Adds a block: the bytes that come next.
    pub(super) fn add(&mut self, block: &Block) -> Bytes {
        self.0.add(&block.sum);
        block.deflated.clone()
    }

    /// Ends the member: the bytes that come last.
    pub(super) fn end(self) -> Bytes {
        let mut out = Vec::with_capacity(END_BLOCK.len() + 8);
        out.extend_from_slice(&END_BLOCK);
        out.extend_from_slice(&self.0.crc.finalize().to_le_bytes());
        // RFC 1952: the length modulo 2^32.
        out.extend_from_slice(&((self.0.length & u64::from(u32::MAX)) as u32).to_le_bytes());
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn joined(texts: &[Vec<u8>]) -> Vec<u8> {
        let (mut member, header) = Member::begin();
        let (mut out, mut deflater) = (header.to_vec(), Deflater::default());
        for text in texts {
            out.extend_from_slice(&member.add(&deflater.block(text.clone()).unwrap()));
        }
        out.extend_from_slice(&member.end());
        out
    }

    proptest! {
        #[test]
        fn joined_blocks_are_one_member(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3_000), 0..8),
            repeat in 1_usize..200,
        ) {
            let texts: Vec<Vec<u8>> = texts.into_iter().map(|text| text.repeat(repeat)).collect();
            let member = joined(&texts);
            let mut decoder = GzDecoder::new(&member[..]);
            let mut read = Vec::new();
            decoder.read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, texts.concat());
            prop_assert!(decoder.into_inner().is_empty(), "bytes after the member");
        }
    }
}
