//! The server's side of `SDK-HMAC-SHA256`: whether a request was signed by somebody who holds the secret key, and is as it was
//! when it was signed. Pure, and apart from the client's signer, so that a mistake there is found here.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::Request;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// How far the client's clock may be off.
const TOLERANCE: Duration = Duration::from_secs(15 * 60);

/// What a signature must cover: or a request could be repeated elsewhere, or for ever.
const ALWAYS_SIGNED: [&str; 2] = ["host", "x-sdk-date"];

/// What is written as `%XX` in paths and queries: all but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the header `Authorization` claims.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    /// Whose signature it is said to be.
    pub(super) access_key: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Why a claim is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("Authorization is not of the form {ALGORITHM} Access=, SignedHeaders=, Signature=")]
    Form,
    #[error("the header {0} is not signed")]
    Unsigned(&'static str),
    #[error("the signed header {0} was not sent exactly once")]
    NotSent(String),
    #[error("X-Sdk-Date is no time such as 20060102T150405Z")]
    Date,
    #[error("X-Sdk-Date is more than 15 minutes off")]
    Clock,
    #[error("the signature does not match")]
    Mismatch,
}

impl<'a> Claim<'a> {
    /// Reads the header.
    pub(super) fn read(authorization: &'a str) -> Result<Self, Flaw> {
        let fields = authorization.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')).ok_or(Flaw::Form)?;
        let fields: Vec<&str> = fields.split(", ").collect();
        let [access_key, signed_headers, signature] = fields[..] else { return Err(Flaw::Form) };
        let field = |text: &'a str, name: &str| {
            text.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).ok_or(Flaw::Form)
        };
        Ok(Self {
            access_key: field(access_key, "Access")?,
            signed_headers: field(signed_headers, "SignedHeaders")?,
            signature: field(signature, "Signature")?,
        })
    }

    /// Holds the claim against the request, at a time after 1970.
    pub(super) fn verify(&self, request: &Request, secret_key: &str, now: Duration) -> Result<(), Flaw> {
        for name in ALWAYS_SIGNED {
            if !self.signed_headers.split(';').any(|signed| signed == name) {
                return Err(Flaw::Unsigned(name));
            }
        }
        let date = sent(request, "x-sdk-date")?;
        if time(&date).ok_or(Flaw::Date)?.abs_diff(now) > TOLERANCE {
            return Err(Flaw::Clock);
        }
        let canonical = digest(self.canonical(request)?.as_bytes());
        let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes()).map_err(|_| Flaw::Mismatch)?;
        mac.update(format!("{ALGORITHM}\n{date}\n{canonical}").as_bytes());
        // Compared as text, or capitals would do as well. There is nothing here to steal, so this may take its time.
        if hex(&mac.finalize().into_bytes()) == self.signature { Ok(()) } else { Err(Flaw::Mismatch) }
    }

    /// The request in the form that is signed.
    fn canonical(&self, request: &Request) -> Result<String, Flaw> {
        let mut headers = String::new();
        for name in self.signed_headers.split(';') {
            headers += &format!("{name}:{}\n", sent(request, name)?);
        }
        Ok([
            request.method().as_str(),
            &canonical_path(request.uri().path()),
            &canonical_query(request.uri().query().unwrap_or_default()),
            &headers,
            self.signed_headers,
            &digest(request.body()),
        ]
        .join("\n"))
    }
}

/// The value of a header without the spaces around it.
fn sent(request: &Request, name: &str) -> Result<String, Flaw> {
    let mut values = request.headers().get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(String::from_utf8_lossy(value.as_bytes()).trim().to_owned()),
        _ => Err(Flaw::NotSent(name.to_owned())),
    }
}

fn canonical_path(path: &str) -> String {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let mut canonical: String = path.split('/').map(|segment| encoded(segment) + "/").collect();
    if path.ends_with('/') {
        canonical.pop();
    }
    canonical
}

fn canonical_query(query: &str) -> String {
    let mut parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    parameters.sort();
    let parameters: Vec<String> =
        parameters.iter().map(|(name, value)| encoded(name) + "=" + &encoded(value)).collect();
    parameters.join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads `20060102T150405Z`, as a time after 1970.
fn time(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once('T')?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    let time = humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}")).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SECRET: &str = "secret";
    /// 2023-11-14T22:13:20Z.
    const NOW: Duration = Duration::from_secs(1_700_000_000);

    /// Signed by hand: the canonical request is written out, not made by what is tested.
    fn signature(canonical: &str, date: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("SDK-HMAC-SHA256\n{date}\n{}", digest(canonical.as_bytes())).as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    fn signed(date: &str) -> (Request, String) {
        let canonical = format!(
            "GET\n/v5/a%20b/jobs/\nlimit=10&name=x%2Fy%20z&name=~\n\
             host:drs.example:80\nx-project-id:p\nx-sdk-date:{date}\n\n\
             host;x-project-id;x-sdk-date\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let request = axum::http::Request::get("/v5/a%20b/jobs?name=~&name=x%2fy+z&limit=10");
        let request = request
            .header("Host", "drs.example:80")
            .header("X-Project-Id", " p ")
            .header("X-Sdk-Date", date)
            .header("User-Agent", "not signed")
            .body(Bytes::new())
            .unwrap();
        let signature = signature(&canonical, date);
        (
            request,
            format!("SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-project-id;x-sdk-date, Signature={signature}"),
        )
    }

    fn verified(request: &Request, authorization: &str) -> Result<(), Flaw> {
        Claim::read(authorization)?.verify(request, SECRET, NOW)
    }

    #[test]
    fn what_is_signed_is_believed() {
        let (request, authorization) = signed("20231114T221320Z");
        assert_eq!(Claim::read(&authorization).unwrap().access_key, "AK");
        assert_eq!(verified(&request, &authorization), Ok(()));
    }

    #[test]
    fn no_bit_of_the_header_can_change() {
        let (request, authorization) = signed("20231114T221320Z");
        for place in 0..authorization.len() {
            for bit in 0..7 {
                let mut changed = authorization.clone().into_bytes();
                changed[place] ^= 1 << bit;
                let changed = String::from_utf8(changed).unwrap();
                let another_key = Claim::read(&changed).is_ok_and(|claim| claim.access_key != "AK");
                assert!(another_key || verified(&request, &changed).is_err(), "{changed}");
            }
        }
        assert_eq!(Claim::read(&authorization).unwrap().verify(&request, "Secret", NOW), Err(Flaw::Mismatch));
    }

    #[test]
    fn nothing_that_is_signed_can_change() {
        let (request, authorization) = signed("20231114T221320Z");
        let changes: [fn(&mut Request); 6] = [
            |request| *request.method_mut() = "POST".parse().unwrap(),
            |request| *request.uri_mut() = "/v5/a%20c/jobs?name=~&name=x%2fy+z&limit=10".parse().unwrap(),
            |request| *request.uri_mut() = "/v5/a%20b/jobs?name=~&name=x%2fy+z&limit=11".parse().unwrap(),
            |request| *request.uri_mut() = "/v5/a%20b/jobs?name=~&name=x%2fy+z&limit=10&limit=1".parse().unwrap(),
            |request| drop(request.headers_mut().insert("x-project-id", "q".parse().unwrap())),
            |request| *request.body_mut() = Bytes::from_static(b"{}"),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = request.clone();
            change(&mut changed);
            assert_eq!(verified(&changed, &authorization), Err(Flaw::Mismatch), "change {number}");
        }
        let mut other_agent = request;
        other_agent.headers_mut().insert("user-agent", "any".parse().unwrap());
        assert_eq!(verified(&other_agent, &authorization), Ok(()));
    }

    #[test]
    fn host_and_date_are_signed_and_sent_once() {
        let (mut request, authorization) = signed("20231114T221320Z");
        let without = |part: &str| authorization.replacen(part, "", 1);
        assert_eq!(verified(&request, &without("host;")), Err(Flaw::Unsigned("host")));
        assert_eq!(verified(&request, &without(";x-sdk-date")), Err(Flaw::Unsigned("x-sdk-date")));
        request.headers_mut().append("x-project-id", "p".parse().unwrap());
        assert_eq!(verified(&request, &authorization), Err(Flaw::NotSent("x-project-id".to_owned())));
        request.headers_mut().remove("x-project-id");
        assert_eq!(verified(&request, &authorization), Err(Flaw::NotSent("x-project-id".to_owned())));
    }

    #[test]
    fn the_clock_may_be_a_quarter_of_an_hour_off() {
        for (date, expected) in [
            ("20231114T222820Z", Ok(())),
            ("20231114T222821Z", Err(Flaw::Clock)),
            ("20231114T215820Z", Ok(())),
            ("20231114T215819Z", Err(Flaw::Clock)),
            ("20231114T251320Z", Err(Flaw::Date)),
            ("2023-11-14T22:13:20Z", Err(Flaw::Date)),
            ("today", Err(Flaw::Date)),
        ] {
            let (request, authorization) = signed(date);
            assert_eq!(verified(&request, &authorization), expected, "{date}");
        }
    }
}
