//! Where a service is, and whose data it is asked for.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::model::is_cloud_id;

/// What is encoded in a query: all but the unreserved characters of RFC 3986, as the vendor's signature wants it.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The base address of an API: `http` or `https`, with a host, perhaps a path, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The address below the base, for a path that begins with `/`, and its query.
    pub fn at(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        let encoded = |text| utf8_percent_encode(text, ENCODED);
        let pairs: Vec<String> =
            query.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        url.set_query((!pairs.is_empty()).then(|| pairs.join("&")).as_deref());
        url
    }

    /// Whether the host is this machine, or the metadata service that belongs to it; a proxy is of no use then.
    pub(super) fn is_local(&self) -> bool {
        match self.0.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether a secret sent there crosses a network that anybody may read.
    pub fn is_exposed(&self) -> bool {
        self.0.scheme() == "http" && !self.is_local()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no base address.
#[derive(Debug, thiserror::Error)]
#[error("expected an address such as `https://drs.ap-southeast-3.myhuaweicloud.com`, without user, query or fragment")]
pub struct InvalidEndpoint;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let url = Url::parse(text).map_err(|_| InvalidEndpoint)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().or(url.fragment()).is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain {
            return Err(InvalidEndpoint);
        }
        Ok(Self(url))
    }
}

/// A service that has an endpoint in each region.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    /// Data Replication Service.
    Drs,
    /// Identity and Access Management.
    Iam,
}

/// A region of the cloud, by its id, such as `ap-southeast-3`: letters, digits and `-`, of which the endpoints' names are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// The id as the cloud writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a service of the region is, as the vendor's SDK has it.
    pub fn endpoint(&self, service: Service) -> Result<Endpoint, InvalidEndpoint> {
        let service = match service {
            Service::Drs => "drs",
            Service::Iam => "iam",
        };
        let top = if self.0 == "eu-west-101" { "eu" } else { "com" };
        format!("https://{service}.{self}.myhuaweicloud.{top}").parse()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no region.
#[derive(Debug, thiserror::Error)]
#[error("expected a region such as `ap-southeast-3`: letters, digits and `-`")]
pub struct InvalidRegion;

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let named = (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-');
        if named { Ok(Self(text.to_owned())) } else { Err(InvalidRegion) }
    }
}

/// The id of a project: 1 to 64 ASCII letters, digits, `-` or `_`. It goes into the path of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectId(String);

impl ProjectId {
    /// The id as the cloud writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no project id.
#[derive(Debug, thiserror::Error)]
#[error("expected a project id: 1 to 64 letters, digits, `-` or `_`, as the console shows it under My Credentials")]
pub struct InvalidProjectId;

impl FromStr for ProjectId {
    type Err = InvalidProjectId;

    fn from_str(text: &str) -> Result<Self, InvalidProjectId> {
        if is_cloud_id(text) { Ok(Self(text.to_owned())) } else { Err(InvalidProjectId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_gives_both_endpoints() {
        let of = |region: &str, service| region.parse::<Region>().unwrap().endpoint(service).unwrap().to_string();
        assert_eq!(of("ap-southeast-3", Service::Drs), "https://drs.ap-southeast-3.myhuaweicloud.com/");
        assert_eq!(of("ap-southeast-3", Service::Iam), "https://iam.ap-southeast-3.myhuaweicloud.com/");
        assert_eq!(of("eu-west-101", Service::Drs), "https://drs.eu-west-101.myhuaweicloud.eu/");
        assert_eq!(of("eu-west-101", Service::Iam), "https://iam.eu-west-101.myhuaweicloud.eu/");
        for wrong in ["", "a.b", "a/b", "a@b", "-a", "A", &"a".repeat(64)] {
            assert!(wrong.parse::<Region>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_encoded_as_the_signature_wants_it() {
        let endpoint: Endpoint = "http://127.0.0.1:1/base/".parse().unwrap();
        assert_eq!(endpoint.at("/a", &[]).as_str(), "http://127.0.0.1:1/base/a");
        let url = endpoint.at("/a", &[("name", "a b+c&ü~*"), ("empty", "")]);
        assert_eq!(url.query(), Some("name=a%20b%2Bc%26%C3%BC~%2A&empty="));
    }
}
