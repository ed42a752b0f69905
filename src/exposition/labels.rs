//! Label values: escaped as both formats ask, and cut where they are too long, so that two never become one.

use std::io::Write;

use sha2::{Digest, Sha256};

/// What stands between the beginning of a value that was cut and the hash of the whole.
const CUT_MARK: char = '~';

/// Hexadecimal digits of the hash: 128 bits, so that nobody finds two names with the same one.
const HASH_DIGITS: usize = 32;

/// Appends `name="value"`, cut to `max_bytes` and escaped.
pub(super) fn write_label(out: &mut Vec<u8>, name: &str, value: &str, max_bytes: usize) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    write_value(out, value, max_bytes);
    out.push(b'"');
}

/// Whether the text can stand in a label as it is, and each part of it, where it is not too long.
pub(super) fn is_plain(text: &str) -> bool {
    !text.bytes().fold(false, |any, byte| any | matches!(byte, b'\\' | b'"' | b'\n' | b'~'))
}

/// Appends a value without its quotes, cut to `max_bytes` and escaped.
pub(super) fn write_value(out: &mut Vec<u8>, value: &str, max_bytes: usize) {
    if value.len() > max_bytes || looks_cut(value) {
        let room = max_bytes.saturating_sub(HASH_DIGITS + CUT_MARK.len_utf8());
        write_escaped(out, value.get(..value.floor_char_boundary(room)).unwrap_or_default());
        write_hash(out, value);
    } else {
        write_escaped(out, value);
    }
}

/// Whether a value ends like one that was cut. Such a value is treated as too long, or it could pass for another that was.
fn looks_cut(value: &str) -> bool {
    let Some((_, hash)) = value.rsplit_once(CUT_MARK) else { return false };
    hash.len() == HASH_DIGITS && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn write_hash(out: &mut Vec<u8>, value: &str) {
    let digest = Sha256::digest(value.as_bytes());
    // Writing to a vector cannot fail.
    let _ = write!(out, "{CUT_MARK}");
    for byte in digest.iter().take(HASH_DIGITS / 2) {
        let _ = write!(out, "{byte:02x}");
    }
}

/// Backslash, quote and newline are escaped; both formats take every other character as it is.
fn write_escaped(out: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const MAX_BYTES: usize = 64;

    fn rendered(value: &str) -> String {
        let mut out = Vec::new();
        write_label(&mut out, "l", value, MAX_BYTES);
        String::from_utf8(out).unwrap()
    }

    /// What a reader makes of a label.
    fn read(label: &str) -> String {
        let inside = label.strip_prefix("l=\"").unwrap().strip_suffix('"').unwrap();
        let mut value = String::new();
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            value.push(match c {
                '\\' => match chars.next().unwrap() {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    other => panic!("no escape: {other}"),
                },
                '"' | '\n' => panic!("not escaped in {label}"),
                plain => plain,
            });
        }
        value
    }

    #[test]
    fn a_long_value_ends_in_a_hash_of_the_whole() {
        let (one, two) = ("x".repeat(100) + "1", "x".repeat(100) + "2");
        let (cut_one, cut_two) = (read(&rendered(&one)), read(&rendered(&two)));
        assert_eq!(cut_one.len(), MAX_BYTES);
        assert!(cut_one.starts_with(&"x".repeat(31)) && cut_one.contains('~'), "{cut_one}");
        assert_ne!(cut_one, cut_two);
        // A change of this value would give every cut series a new name: it is part of the contract.
        assert_eq!(cut_one, format!("{}~41081bf5b45bc112dea69ec317ca823d", "x".repeat(31)));
    }

    #[test]
    fn a_name_that_looks_cut_does_not_pass_for_one_that_was() {
        let long = "x".repeat(100);
        let cut = read(&rendered(&long));
        assert_ne!(rendered(&cut), rendered(&long));
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        for length in 60..80 {
            assert!(read(&rendered(&("a".repeat(length % 4) + &"🐘".repeat(length)))).len() <= MAX_BYTES);
        }
    }

    proptest! {
        #[test]
        fn short_values_come_back_as_they_were(value in "[\\PC\\x00-\\x1f\"\\\\\n]{0,16}") {
            prop_assert_eq!(read(&rendered(&value)), value);
        }

        #[test]
        fn what_is_cut_begins_as_it_was_and_is_as_short_as_it_has_to_be(
            value in prop_oneof!["[\\PC\\x00-\\x1f\"\\\\\n]{0,200}", "[a-f0-9~]{0,80}"], max_bytes in MAX_BYTES..120,
        ) {
            let mut out = Vec::new();
            write_label(&mut out, "l", &value, max_bytes);
            let shown = read(&String::from_utf8(out).unwrap());
            prop_assert!(shown.len() <= max_bytes);
            if shown != value {
                let (kept, hash) = shown.rsplit_once(CUT_MARK).unwrap();
                prop_assert!(value.starts_with(kept) && hash.len() == HASH_DIGITS, "{shown}");
                prop_assert!(value.len() > max_bytes || looks_cut(&value));
            }
        }

        #[test]
        fn what_is_shown_of_one_value_is_never_what_is_shown_of_another(value in "[a\"\n~0🐘]{0,90}", rounds in 1..4) {
            // A name may be what is shown of another, and another may be what is shown of that.
            let mut shown = vec![value];
            for _ in 0..rounds {
                shown.push(read(&rendered(shown.last().unwrap())));
            }
            let values: HashSet<&String> = shown.iter().collect();
            let labels: HashSet<String> = values.iter().map(|value| rendered(value)).collect();
            prop_assert_eq!(labels.len(), values.len());
        }

        #[test]
        fn what_is_plain_stands_as_it_is(value in "[a-z \"\\\\\n~🐘]{0,64}") {
            if is_plain(&value) {
                prop_assert_eq!(rendered(&value), format!("l=\"{value}\""));
            }
        }

        #[test]
        fn no_two_values_become_one(values in prop::collection::hash_set("[a\"\\\\\n~0🐘]{0,90}", 0..40)) {
            let labels: HashSet<String> = values.iter().map(|value| rendered(value)).collect();
            prop_assert_eq!(labels.len(), values.len());
        }
    }
}
