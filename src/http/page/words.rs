//! Times, spans and numbers in words. What is cut off is always the smaller unit, so nothing is said to be further than it is.

use std::time::{Duration, SystemTime};

use askama::Template;

/// The last second that has a date of the usual form.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Longest text that is shown whole, in characters.
const SHOWN_CHARS: usize = 64;

/// The time that ages are counted from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Seconds since 1970.
    pub(super) now: f64,
}

/// A time in words, with the exact one beside it.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"{{ before }}{% if let Some(exact) = exact %}<time datetime="{{ exact }}" title="{{ exact }}">{{ words }}</time>{% else %}{{ words }}{% endif %}{{ after }}"#,
    ext = "html"
)]
pub(super) struct When {
    before: &'static str,
    exact: Option<String>,
    words: String,
    after: &'static str,
}

/// A text, and all of it where a part is left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) text: String,
    pub(super) whole: Option<String>,
}

impl Clock {
    pub(super) fn new(now: SystemTime) -> Self {
        Self { now: now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() }
    }

    /// The time itself.
    pub(super) fn exact(&self) -> When {
        let exact = exact(self.now);
        let words = exact.as_deref().unwrap_or_default().replace('T', " ").replace('Z', " UTC");
        When { before: "", exact, words, after: "" }
    }

    /// How long ago a time is.
    pub(super) fn ago(&self, time: f64) -> When {
        let words = match self.now - time {
            age if age < -1.0 => format!("{} ahead of this clock", span(-age)),
            age if age < 1.0 => "just now".to_owned(),
            age => format!("{} ago", span(age)),
        };
        When { before: "", exact: exact(time), words, after: "" }
    }

    /// Since when something is so.
    pub(super) fn since(&self, time: f64) -> When {
        When { before: "for ", words: span((self.now - time).max(0.0)), ..self.ago(time) }
    }
}

impl When {
    pub(super) fn between(self, before: &'static str, after: &'static str) -> Self {
        Self { before, after, ..self }
    }

    /// Words alone.
    pub(super) fn none(words: &str) -> Self {
        Self { before: "", exact: None, words: words.to_owned(), after: "" }
    }
}

/// A time as machines read it; nothing where there is no such date.
fn exact(time: f64) -> Option<String> {
    let time = (0.0..=LAST_SECOND).contains(&time).then(|| Duration::from_secs_f64(time))?;
    Some(humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH.checked_add(time)?).to_string())
}

/// A span in its two largest units.
pub(super) fn span(seconds: f64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    // A number that is too large becomes the largest there is.
    let seconds = seconds as u64;
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match seconds % large / small {
        0 => format!("{} {large_unit}", grouped(seconds / large)),
        rest => format!("{} {large_unit} {rest} {small_unit}", grouped(seconds / large)),
    };
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        // Seconds do not matter any more after some minutes.
        MINUTE..600 => two(MINUTE, "min", 1, "s"),
        600..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

/// A percentage with one decimal; 100 only where it is.
pub(super) fn percent(value: f64) -> String {
    let tenths = (value * 10.0).floor() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0} %") } else { format!("{tenths:.1} %") }
}

/// How fast a percentage rises.
pub(super) fn pace(per_hour: f64) -> String {
    match per_hour {
        pace if pace < 0.1 => "under 0.1 % an hour".to_owned(),
        pace if pace < 100.0 => format!("{} an hour", percent(pace)),
        pace => format!("{} a minute", percent(pace / 60.0)),
    }
}

/// A number with a narrow space at the thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A text of the cloud, cut to what can be read.
pub(super) fn cut(text: &str) -> Cut {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => Cut { text: text.to_owned(), whole: None },
        Some((end, _)) => {
            Cut { text: format!("{}…", text.get(..end).unwrap_or_default().trim_end()), whole: Some(text.to_owned()) }
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match &names[..] {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_two_units_and_never_rounded_up() {
        let table = [
            (0.0, "0 s"),
            (59.9, "59 s"),
            (60.0, "1 min"),
            (61.0, "1 min 1 s"),
            (659.0, "10 min"),
            (3600.0, "1 h"),
            (7_500.0, "2 h 5 min"),
            (86_400.0, "1 d"),
            (3_153_600_000.0, "36\u{202f}500 d"),
        ];
        for (seconds, words) in table {
            assert_eq!(span(seconds), words);
        }
        assert!(span(f64::INFINITY).ends_with('h') && span(f64::NAN) == "0 s");
    }

    #[test]
    fn ages_are_told_with_their_exact_time_where_there_is_a_date() {
        let clock = Clock { now: 1_000_000_000.0 };
        let table = [
            (999_999_940.0, r#"<time datetime="2001-09-09T01:45:40Z" title="2001-09-09T01:45:40Z">1 min ago</time>"#),
            (1_000_000_000.4, r#"<time datetime="2001-09-09T01:46:40Z" title="2001-09-09T01:46:40Z">just now</time>"#),
            (-5.0, "11574 d 1 h ago"),
            (1e18, "ahead of this clock"),
        ];
        for (time, words) in table {
            let told = clock.ago(time).to_string().replace('\u{202f}', "");
            assert!(told.contains(words), "{told}");
        }
        assert_eq!(clock.since(-1e9).to_string().replace('\u{202f}', ""), "for 23148 d 3 h");
        assert!(clock.exact().to_string().ends_with(">2001-09-09 01:46:40 UTC</time>"));
    }

    #[test]
    fn a_percentage_never_flatters() {
        for (value, words) in [(0.0, "0 %"), (0.09, "0 %"), (17.425, "17.4 %"), (99.999, "99.9 %"), (100.0, "100 %")] {
            assert_eq!(percent(value), words);
        }
        let table = [(0.01, "under 0.1 % an hour"), (2.55, "2.5 % an hour"), (1200.0, "20 % a minute")];
        for (value, words) in table {
            assert_eq!(pace(value), words);
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut(&"🐘".repeat(64)).whole, None);
        let long = "🐘".repeat(65);
        assert_eq!(cut(&long), Cut { text: "🐘".repeat(64) + "…", whole: Some(long) });
        assert_eq!(
            (list(&[""; 0]), list(&["a"]), list(&["a", "b", "c"])),
            (String::new(), "a".into(), "a, b and c".into())
        );
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
