//! Gzip from parts that were compressed before: each part is a run of deflate blocks that ends on a byte, and any number of
//! them joined, with a header, an end block and the combined CRC, is one gzip member (RFC 1951, RFC 1952).
//!
//! One member, since clients such as curl and Chromium stop after the first.

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Magic, deflate, no flags, no time, no hint, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty block with fixed codes that says it is the last one.
const END_BLOCK: [u8; 2] = [0x03, 0x00];

/// Text, and the same compressed.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    text: Bytes,
    deflated: Bytes,
    crc: Hasher,
}

impl Block {
    /// The text as it is.
    pub(super) fn text(&self) -> &Bytes {
        &self.text
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

/// Makes blocks, one after the other; each stands for itself.
#[derive(Debug)]
pub(super) struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        Self(Compress::new(Compression::default(), false))
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
        let mut crc = Hasher::new();
        crc.update(&text);
        Ok(Block { deflated: self.deflate(&text)?.into(), crc, text: text.into() })
    }

    fn deflate(&mut self, text: &[u8]) -> io::Result<Vec<u8>> {
        self.0.reset();
        let mut out = Vec::with_capacity(text.len() / 8 + 128);
        loop {
            let read = usize::try_from(self.0.total_in()).map_err(io::Error::other)?;
            let rest = text.get(read..).unwrap_or_default();
            let status = self.0.compress_vec(rest, &mut out, FlushCompress::Full).map_err(io::Error::other)?;
            if status == Status::StreamEnd {
                return Err(io::Error::other("the deflate stream ended by itself"));
            }
            // The flush is complete once all is read and it did not need all the room it had.
            if self.0.total_in() == text.len() as u64 && out.len() < out.capacity() {
                out.shrink_to_fit();
                return Ok(out);
            }
            out.reserve(out.len().max(128));
        }
    }
}

/// A gzip member that is being joined.
#[derive(Debug)]
pub(super) struct Member {
    crc: Hasher,
    length: u64,
}

impl Member {
    /// Begins a member: the bytes that come first.
    pub(super) fn begin() -> (Self, Bytes) {
        (Self { crc: Hasher::new(), length: 0 }, Bytes::from_static(&HEADER))
    }

    /// Adds a block: the bytes that come next.
    pub(super) fn add(&mut self, block: &Block) -> Bytes {
        self.crc.combine(&block.crc);
        self.length += block.text.len() as u64;
        block.deflated.clone()
    }

    /// Ends the member: the bytes that come last.
    pub(super) fn end(self) -> Bytes {
        let mut out = Vec::with_capacity(END_BLOCK.len() + 8);
        out.extend_from_slice(&END_BLOCK);
        out.extend_from_slice(&self.crc.finalize().to_le_bytes());
        // RFC 1952: the length modulo 2^32.
        out.extend_from_slice(&((self.length & u64::from(u32::MAX)) as u32).to_le_bytes());
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
