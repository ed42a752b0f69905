//! The state file, whatever is in it: it is refused or remembered, and what is remembered is saved and read again as it is.
//!
//! The checksum would turn away nearly every input, so each is also taken for what stands between head and checksum of a file
//! that is whole.

#![no_main]

use std::time::Duration;

use drs_exporter::poller::Memory;
use libfuzzer_sys::fuzz_target;

const STALL_AFTER: Duration = Duration::from_secs(30 * 60);

fuzz_target!(|input: &[u8]| {
    restore(input);
    restore(&forged(input));
});

fn restore(bytes: &[u8]) {
    let memory = Memory::default();
    let Ok(groups) = memory.restore(bytes, STALL_AFTER) else {
        return assert_eq!(saved(&memory), saved(&Memory::default()), "something of what was refused is remembered");
    };
    // A group has a job, a type, and where it has no object at all six bytes more.
    assert!(groups * "1j4view123456".len() <= bytes.len(), "{groups} groups of {} bytes", bytes.len());
    let first = saved(&memory);
    let again = Memory::default();
    // What was looked at more than a week ago, and what is empty, is not saved.
    assert!(again.restore(&first, STALL_AFTER).expect("what was saved can be read") <= groups);
    assert_eq!(saved(&again), first);
}

fn saved(memory: &Memory) -> Vec<u8> {
    let mut bytes = Vec::new();
    memory.save(&mut bytes, STALL_AFTER).expect("nothing is wrong with writing to memory");
    bytes
}

/// A file of the present version with this between its head and its checksum.
fn forged(groups: &[u8]) -> Vec<u8> {
    let mut bytes = saved(&Memory::default());
    bytes.truncate(bytes.len() - size_of::<u32>());
    bytes.extend(groups);
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}
