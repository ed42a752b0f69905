//! The jobs as targets for Prometheus's HTTP service discovery, so that each can be scraped by itself.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, HOST};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::routes::Refused;
use super::{Served, TelemetryPath};
use crate::model::{JobId, JobReport};

/// What the targets are made from.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    pub(super) served: Served,
    pub(super) telemetry_path: TelemetryPath,
    /// Whether this is served over TLS.
    pub(super) is_tls: bool,
}

/// Targets with the same labels; here always one target.
#[derive(Serialize)]
struct Group<'a> {
    targets: [&'a str; 1],
    labels: BTreeMap<&'static str, String>,
}

/// One target for each job that is followed, by id. They are where the request was sent to: what leads here leads there.
pub(super) async fn targets(State(targets): State<Targets>, uri: Uri, headers: HeaderMap) -> Result<Response, Refused> {
    let host = host(&uri, &headers).ok_or_else(|| {
        let text = "The targets are at the host that the request names, and it names none: expected one field \
            `Host: NAME` or `Host: NAME:PORT`.\n";
        (StatusCode::BAD_REQUEST, text.to_owned())
    })?;
    let jobs = targets.served.board.followed();
    let groups: Vec<Group<'_>> = jobs.iter().map(|(job, report)| targets.group(host, job, report.as_deref())).collect();
    Ok(([(CACHE_CONTROL, "no-store")], Json(groups)).into_response())
}

impl Targets {
    fn group<'a>(&self, host: &'a str, job: &JobId, report: Option<&JobReport>) -> Group<'a> {
        let told = |what: fn(&JobReport) -> &String| report.map(what).cloned().unwrap_or_default();
        let mut labels = BTreeMap::from([
            ("__metrics_path__", self.telemetry_path.as_str().to_owned()),
            ("__param_job", job.to_string()),
            // By the address alone, what Prometheus says of a scrape would be one series for all targets.
            ("instance", format!("{host}/{job}")),
            ("__meta_drs_job", job.to_string()),
            ("__meta_drs_account", told(|report| &report.account)),
            ("__meta_drs_job_name", told(|report| &report.details.name)),
            ("__meta_drs_region", told(|report| &report.region)),
        ]);
        if self.is_tls {
            labels.insert("__scheme__", "https".to_owned());
        }
        // To Prometheus an empty label is none.
        labels.retain(|_, value| !value.is_empty());
        Group { targets: [host], labels }
    }
}

/// The host that a request names, with its port where it names one. With HTTP/2 it is a part of the address.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str()).filter(|host| is_host(host));
    }
    let mut named = headers.get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return None };
    host.to_str().ok().filter(|host| is_host(host))
}

/// Whether a text is a name or an address, with a port or without.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let is_name = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(of_name),
    };
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    is_name && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for host in ["a", "drs-exporter.monitoring.svc:10058", "127.0.0.1:1", "[::1]", "[::1]:10058", "my_host:80"] {
            assert!(is_host(host), "{host}");
        }
        for other in
            ["", ":80", "a:", "a:b", "a:+80", "a:65536", "a/b", "u@a", "a b", "a?b", "::1", "[a]", "[::1", "[::1]x"]
        {
            assert!(!is_host(other), "{other}");
        }
    }
}
