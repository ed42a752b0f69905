//! Which format and encoding a client gets, from what its headers say it prefers. Pure.

/// A format of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that `Accept` prefers; text when in doubt.
    pub fn preferred(accept: &str) -> Self {
        // What names a format most closely says how much it is wanted, even where that is not at all; of two that name it as
        // closely, the one that wants it more.
        let wanted = |format: Self| {
            let named = entries(accept).filter_map(|entry| Some((format.named_by(&entry)?, entry.weight)));
            named.max().map_or(0, |(_, weight)| weight)
        };
        if wanted(Self::OpenMetrics) > wanted(Self::Text) { Self::OpenMetrics } else { Self::Text }
    }

    /// How closely an element names the format; nothing where it means another.
    fn named_by(self, entry: &Entry<'_>) -> Option<Closeness> {
        let (family, name, version) = match self {
            Self::Text => ("text/*", "text/plain", "0.0.4"),
            Self::OpenMetrics => ("application/*", "application/openmetrics-text", "1.0.0"),
        };
        let is = |value: &str| entry.value.eq_ignore_ascii_case(value);
        match entry.parameter("version") {
            Some(named) if is(name) => (named == version).then_some(Closeness::Version),
            None if is(name) => Some(Closeness::Name),
            _ if is(family) => Some(Closeness::Family),
            _ => is("*/*").then_some(Closeness::Any),
        }
    }
}

/// How closely an element of `Accept` names a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Any,
    Family,
    Name,
    Version,
}

/// How the body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// As one gzip member.
    Gzip,
}

impl Encoding {
    /// The encoding that `Accept-Encoding` prefers; identity when nothing is said.
    pub fn preferred(accept_encoding: &str) -> Self {
        let weight = |names: &[&str]| {
            entries(accept_encoding)
                .find(|entry| names.iter().any(|name| entry.value.eq_ignore_ascii_case(name)))
                .map(|entry| entry.weight)
        };
        let any = weight(&["*"]);
        let gzip = weight(&["gzip", "x-gzip"]).or(any).unwrap_or_default();
        let identity = weight(&["identity"]).unwrap_or_default();
        if gzip > 0 && gzip >= identity { Self::Gzip } else { Self::Identity }
    }
}

/// One element of a header such as `Accept`.
struct Entry<'a> {
    value: &'a str,
    parameters: &'a str,
    /// `q` in thousandths; 1000 where it is missing, 0 where it cannot be read.
    weight: u16,
}

impl<'a> Entry<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        parameter(self.parameters, name)
    }
}

fn entries(header: &str) -> impl Iterator<Item = Entry<'_>> {
    header.split(',').map(|element| {
        let (value, parameters) = element.split_once(';').unwrap_or((element, ""));
        let weight = match parameter(parameters, "q") {
            Some(text) => text.parse().ok().filter(|q| (0.0..=1.0).contains(q)).map_or(0, thousandths),
            None => 1000,
        };
        Entry { value: value.trim(), parameters, weight }
    })
}

fn thousandths(q: f32) -> u16 {
    (q * 1000.0).round() as u16
}

fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// An element of `Accept`: a media type, its version, and how much it is wanted, in thousandths.
    type Element = (&'static str, Option<&'static str>, u16);

    fn accept(elements: &[Element]) -> String {
        let element = |(name, version, weight): &Element| {
            let version = version.map(|version| format!(";version={version}")).unwrap_or_default();
            format!("{name}{version};q={}.{:03}", weight / 1000, weight % 1000)
        };
        elements.iter().map(element).collect::<Vec<_>>().join(", ")
    }

    fn elements() -> impl Strategy<Value = Vec<Element>> {
        let names =
            ["text/plain", "Text/Plain", "text/*", "application/openmetrics-text", "application/*", "*/*", "text/html"];
        let versions = [None, Some("0.0.4"), Some("1.0.0"), Some("0.0.1"), Some("2.0.0")];
        let weights = [0, 1, 100, 500, 999, 1000];
        prop::collection::vec((select(names.to_vec()), select(versions.to_vec()), select(weights.to_vec())), 0..6)
    }

    /// How much an encoding is wanted, if it is named.
    fn weight() -> impl Strategy<Value = Option<u16>> {
        prop::option::of(select(&[0_u16, 1, 500, 999, 1000][..]))
    }

    /// How much a format is wanted, by the rules of RFC 9110, a rule at a time.
    fn wanted(elements: &[Element], name: &str, version: &str) -> u16 {
        let family = format!("{}/*", name.split('/').next().unwrap());
        let best =
            |fits: &dyn Fn(&Element) -> bool| elements.iter().filter(|element| fits(element)).map(|(.., q)| *q).max();
        best(&|(value, named, _)| value.eq_ignore_ascii_case(name) && *named == Some(version))
            .or_else(|| best(&|(value, named, _)| value.eq_ignore_ascii_case(name) && named.is_none()))
            .or_else(|| best(&|(value, ..)| value.eq_ignore_ascii_case(&family)))
            .or_else(|| best(&|(value, ..)| *value == "*/*"))
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn what_is_ruled_out_is_not_served_and_text_is_when_in_doubt(elements in elements()) {
            let header = accept(&elements);
            let text = wanted(&elements, "text/plain", "0.0.4");
            let openmetrics = wanted(&elements, "application/openmetrics-text", "1.0.0");
            let format = Format::preferred(&header);
            prop_assert_eq!(format == Format::OpenMetrics, openmetrics > text, "{}: {} and {}", header, openmetrics, text);
        }

        #[test]
        fn the_order_and_the_case_and_blanks_change_nothing(elements in elements(), turn in 0_usize..6) {
            let format = Format::preferred(&accept(&elements));
            let mut turned = elements.clone();
            turned.rotate_left(turn.min(elements.len()));
            let other = accept(&turned).to_ascii_uppercase().replace(';', " ; ").replace(',', "  ,");
            prop_assert_eq!(Format::preferred(&other), format, "{}", other);
        }

        #[test]
        fn gzip_is_served_where_it_is_named_and_not_ruled_out(
            gzip in weight(), any in weight(), identity in weight(),
            other in "[a-z]{0,3}",
        ) {
            let element = |name: &str, weight: Option<u16>| {
                weight.map(|weight| format!("{name};q={}.{:03}", weight / 1000, weight % 1000))
            };
            let elements = [Some(other), element("*", any), element("GZip", gzip), element("identity", identity)];
            let header = elements.into_iter().flatten().collect::<Vec<_>>().join(",");
            let wanted = gzip.or(any).unwrap_or(0);
            let expected = wanted > 0 && wanted >= identity.unwrap_or(0);
            prop_assert_eq!(Encoding::preferred(&header) == Encoding::Gzip, expected, "{}", header);
        }

        #[test]
        fn nothing_is_too_odd_to_be_read(header in "[ -~]{0,80}|[-a-z/*;=,.\"0-9 ]{0,80}") {
            if Format::preferred(&header) == Format::OpenMetrics {
                let lower = header.to_ascii_lowercase();
                prop_assert!(["application/openmetrics-text", "application/*", "*/*"].iter().any(|name| lower.contains(name)));
            }
            if Encoding::preferred(&header) == Encoding::Gzip {
                prop_assert!(header.contains('*') || header.to_ascii_lowercase().contains("gzip"));
            }
        }
    }

    #[test]
    fn the_format_follows_accept() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            application/openmetrics-text;version=0.0.1;q=0.5,\
                            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let table = [
            (prometheus_2, Format::OpenMetrics),
            (prometheus_3, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=\"1.0.0\"", Format::OpenMetrics),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.6", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=0.5,text/plain", Format::Text),
            ("application/openmetrics-text,text/plain", Format::Text),
            ("application/openmetrics-text;q=nonsense", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("TEXT/PLAIN, application/openmetrics-text;q=0.5", Format::Text),
            ("text/plain;q=0, */*;q=0.5", Format::OpenMetrics),
            ("text/plain;q=0, text/plain;version=0.0.4;q=0.2, application/openmetrics-text;q=0.1", Format::Text),
            ("application/*", Format::OpenMetrics),
            ("application/openmetrics-text;q=0, */*", Format::Text),
            ("text/plain", Format::Text),
            ("image/png", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
            (",;;=,q", Format::Text),
        ];
        for (accept, format) in table {
            assert_eq!(Format::preferred(accept), format, "{accept}");
        }
    }

    #[test]
    fn the_encoding_follows_accept_encoding() {
        let table = [
            ("gzip", Encoding::Gzip),
            ("GZIP", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("deflate, gzip;q=1.0, *;q=0.5", Encoding::Gzip),
            ("gzip, deflate, br, zstd", Encoding::Gzip),
            ("*", Encoding::Gzip),
            ("gzip;q=0.001", Encoding::Gzip),
            ("identity;q=0.5, gzip;q=0.5", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=0.000", Encoding::Identity),
            ("gzip;q=0, *", Encoding::Identity),
            ("gzip;q=0.5, identity", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("br", Encoding::Identity),
            ("*;q=0", Encoding::Identity),
            ("gzip;q=2", Encoding::Identity),
            ("", Encoding::Identity),
        ];
        for (accept, encoding) in table {
            assert_eq!(Encoding::preferred(accept), encoding, "{accept}");
        }
    }
}
