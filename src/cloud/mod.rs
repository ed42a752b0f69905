//! Huawei Cloud as both its services see it: where they are, one exchange over HTTP, and how they say no.
//!
//! Reading order: `endpoint` (where), `exchange` (one request and its answer), `refusal` (the bodies of failures),
//! `sent` (what must not be kept of them).

mod endpoint;
mod exchange;
mod refusal;
mod sent;

pub use endpoint::{Endpoint, InvalidEndpoint, InvalidProjectId, InvalidRegion, ProjectId, Region, Service};
pub use exchange::{BuildError, Failure, Http, InvalidProxy, Kind, Metrics, Network, Proxy, Reply};
pub(crate) use refusal::{Refusal, one_line};
pub use sent::Sent;
