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
        let best = |format: Self| {
            let weights = entries(accept).filter(|entry| format.is_meant_by(entry)).map(|entry| entry.weight);
            weights.max().unwrap_or_default()
        };
        if best(Self::OpenMetrics) > best(Self::Text) { Self::OpenMetrics } else { Self::Text }
    }

    fn is_meant_by(self, entry: &Entry<'_>) -> bool {
        let version = entry.parameter("version");
        match self {
            Self::Text => match entry.value {
                "*/*" | "text/*" => true,
                "text/plain" => version.is_none_or(|version| version == "0.0.4"),
                _ => false,
            },
            Self::OpenMetrics => {
                entry.value.eq_ignore_ascii_case("application/openmetrics-text")
                    && version.is_none_or(|version| version == "1.0.0")
            }
        }
    }
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
    use super::*;

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
