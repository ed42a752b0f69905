//! The vendor's service for log-ins: what is asked of it, and what its answers mean.

use std::time::SystemTime;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::Error;
use super::lease::Lent;
use crate::cloud::{Endpoint, Failure, Http, ProjectId, Region, Reply, one_line};

/// Largest answer of IAM that is read, in bytes; a token's description may list many roles.
const MAX_RESPONSE_BYTES: u64 = 1024 * 1024;

/// What a user logs in with.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) domain: &'a str,
    pub(super) password: &'a str,
}

/// What a token is good for.
pub(super) enum Scope<'a> {
    Id(&'a ProjectId),
    /// The project that each region has, which is called like it.
    Region(&'a Region),
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: TokenDescription,
}

#[derive(Deserialize)]
struct TokenDescription {
    expires_at: String,
}

/// `POST /v3/auth/tokens`: a token for a user, by Keystone's version 3.
pub(super) async fn log_in(
    http: &Http,
    iam: &Endpoint,
    credentials: Credentials<'_>,
    scope: Scope<'_>,
) -> Result<Lent<SecretString>, Error> {
    let Credentials { user, domain, password } = credentials;
    let project = match scope {
        Scope::Id(id) => json!({"id": id.as_str()}),
        Scope::Region(region) => json!({"name": region.as_str()}),
    };
    let user = json!({"name": user, "password": password, "domain": {"name": domain}});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let body = json!({"auth": {"identity": identity, "scope": {"project": project}}});
    let mut request = Request::new(Method::POST, iam.at("/v3/auth/tokens", &[]));
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.body_mut() = Some(body.to_string().into());
    let reply = http.hiding(password).send("log_in", request, MAX_RESPONSE_BYTES).await.map_err(unreachable)?;
    if !reply.status.is_success() {
        return Err(refused("IAM refused the log-in", &reply));
    }
    let token = reply.headers.get("x-subject-token").and_then(|value| value.to_str().ok());
    let answer: Option<TokenAnswer> = serde_json::from_slice(&reply.body).ok();
    let ends = answer.and_then(|answer| time(&answer.token.expires_at));
    match (token, ends) {
        (Some(token), Some(ends)) => Ok(Lent { credential: token.into(), ends }),
        _ => Err(nonsense("token with its end")),
    }
}

#[derive(Deserialize)]
struct Projects {
    projects: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
}

/// The request for the projects of a name, which has to be proved yet.
pub(super) fn projects_request(iam: &Endpoint, region: &Region) -> Request {
    Request::new(Method::GET, iam.at("/v3/projects", &[("name", region.as_str())]))
}

/// Sends that request.
pub(super) async fn projects(http: &Http, request: Request) -> Result<Reply, Error> {
    http.send("list_projects", request, MAX_RESPONSE_BYTES).await.map_err(unreachable)
}

/// The one project that an answer names.
pub(super) fn the_project(reply: &Reply, region: &Region) -> Result<ProjectId, Error> {
    if !reply.status.is_success() {
        return Err(refused("IAM does not tell the project", reply));
    }
    let answer: Projects = serde_json::from_slice(&reply.body).map_err(|_| nonsense("list of projects"))?;
    match &answer.projects[..] {
        [one] => one.id.parse().map_err(|_| nonsense("project id")),
        [] => Err(Error::Refused {
            what: format!("IAM knows no project of the region {region}"),
            advice: "check `region`, or name the `project_id`, which the console shows under My Credentials",
        }),
        [first, ..] => Err(Error::Refused {
            what: format!(
                "IAM knows {} projects of the region {region}, {} among them",
                answer.projects.len(),
                one_line(&first.id)
            ),
            advice: "name the one that is meant as `project_id`",
        }),
    }
}

/// A time as IAM and the metadata service write it: RFC 3339 in UTC.
pub(super) fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

fn unreachable(failure: Failure) -> Error {
    Error::Refused {
        what: format!("IAM cannot be asked: {failure}"),
        advice: "check `region` or `iam_endpoint`, DNS, the proxy and the network",
    }
}

fn nonsense(what: &str) -> Error {
    Error::Refused {
        what: format!("IAM answered something that is no {what}"),
        advice: "check that `iam_endpoint` is IAM and not a proxy or a log-in page",
    }
}

fn refused(what: &str, reply: &Reply) -> Error {
    let status = reply.status.as_u16();
    let said = reply.refusal().message.map(|message| format!(": {message}")).unwrap_or_default();
    let advice = match status {
        401 => "check the user, the domain (the account's name), the password or the key, and the clock of this host",
        403 => "check that the user may log in by program, and `project_id`",
        404 => "check `region` or `project_id`, whichever is named, and `iam_endpoint`",
        _ => "it is tried again, but not often",
    };
    Error::Refused { what: format!("{what} with HTTP {status}{said}"), advice }
}
