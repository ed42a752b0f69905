//! Headers that every answer has, so that no browser makes more of it than it is.

use axum::http::HeaderValue;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::Response;

/// What each answer says unless it says something else itself; the status page has a policy of its own.
const DEFAULTS: [(HeaderName, HeaderValue); 4] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("deny")),
];

/// Adds them.
pub(super) async fn protect(mut answer: Response) -> Response {
    for (name, value) in DEFAULTS {
        answer.headers_mut().entry(name).or_insert(value);
    }
    answer
}
