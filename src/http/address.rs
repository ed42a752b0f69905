//! Where to listen, and the path of the metrics.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use tokio::net::TcpListener;

/// An address to listen on: `host:port`, or `:port` for every address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: Option<String>,
    port: u16,
}

impl ListenAddress {
    /// Every address of this machine.
    pub fn any(port: u16) -> Self {
        Self { host: None, port }
    }

    /// An address of this machine that no other machine reaches.
    pub fn loopback(port: u16) -> Self {
        Self { host: Some(Ipv4Addr::LOCALHOST.to_string()), port }
    }

    pub(super) async fn bind(&self) -> io::Result<TcpListener> {
        match &self.host {
            Some(host) => TcpListener::bind((host.as_str(), self.port)).await,
            // The IPv6 wildcard takes IPv4 as well; a machine without IPv6 does not have it.
            None => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, self.port)).await {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port)).await
                }
                bound => bound,
            },
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, ":{}", self.port),
        }
    }
}

/// The text is no address to listen on.
#[derive(Debug, thiserror::Error)]
#[error("expected an address such as `:10058`, `127.0.0.1:10058` or `[::1]:10058`")]
pub struct InvalidListenAddress;

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidListenAddress)?;
        let port = port.parse().map_err(|_| InvalidListenAddress)?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bracketed {
            Some(v6) if v6.parse::<Ipv6Addr>().is_ok() => Ok(Self { host: Some(v6.to_owned()), port }),
            None if host.is_empty() => Ok(Self { host: None, port }),
            None if !host.contains([':', '[', ']', '/']) => Ok(Self { host: Some(host.to_owned()), port }),
            _ => Err(InvalidListenAddress),
        }
    }
}

/// The path of the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryPath(String);

impl TelemetryPath {
    /// The path, with its `/` in front.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text cannot be the path of the metrics.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected a path such as `/metrics`: a `/`, then letters, digits, `/`, `-`, `_` or `.`, and neither `/sd` nor anything below `/-/` or `/api/`"
)]
pub struct InvalidTelemetryPath;

impl FromStr for TelemetryPath {
    type Err = InvalidTelemetryPath;

    fn from_str(text: &str) -> Result<Self, InvalidTelemetryPath> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.');
        let taken = text == "/sd" || text.starts_with("/-/") || text.starts_with("/api/");
        if !text.starts_with('/') || taken || !text.bytes().all(allowed) {
            return Err(InvalidTelemetryPath);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_prometheus_exporters_do() {
        for address in [":10058", "127.0.0.1:0", "[::1]:10058", "localhost:65535"] {
            assert_eq!(address.parse::<ListenAddress>().unwrap().to_string(), address);
        }
        for wrong in ["", "10058", "localhost", ":65536", "::1:10058", "[x]:1", "http://a:1", "a:-1"] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_cannot_hide_another() {
        for path in ["/metrics", "/", "/sd/metrics", "/a/b.c-d_e"] {
            assert_eq!(path.parse::<TelemetryPath>().unwrap().as_str(), path);
        }
        for wrong in ["", "metrics", "/-/ready", "/api/v1/jobs", "/sd", "/{a}", "/*a", "/a?b", "/a b"] {
            assert!(wrong.parse::<TelemetryPath>().is_err(), "{wrong}");
        }
    }
}
