//! The vendor's signature, `SDK-HMAC-SHA256`, as its SDKs make it. Pure.

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The name of the way it is signed.
const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// What is encoded: all but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An access key.
#[derive(Debug)]
pub struct Key {
    /// The access key's id (AK), which is sent.
    pub id: SecretString,
    /// The secret access key (SK), which is not.
    pub secret: SecretString,
}

/// The parts of a request that are signed.
#[derive(Clone, Debug)]
pub struct ToSign<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path, encoded or not.
    pub path: &'a str,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// All headers that the server will verify, `host` among them; one with `_` in its name is left out.
    pub headers: Vec<(String, String)>,
    /// The body; empty where there is none.
    pub body: &'a [u8],
    /// The time of the request, as `X-Sdk-Date` has it: `20060102T150405Z`.
    pub date: &'a str,
}

/// The value of the header `Authorization`.
pub fn authorization(key: &Key, request: &ToSign<'_>) -> String {
    let mut headers: Vec<(String, &str)> = request
        .headers
        .iter()
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_lowercase(), value.trim()))
        .collect();
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let canonical_headers: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{canonical_headers}\n{names}\n{}",
        request.method,
        canonical_path(request.path),
        canonical_query(&request.query),
        hex(&Sha256::digest(request.body)),
    );
    let to_sign = format!("{ALGORITHM}\n{}\n{}", request.date, hex(&Sha256::digest(canonical.as_bytes())));
    let signature = hex(&hmac(key.secret.expose_secret().as_bytes(), to_sign.as_bytes()));
    format!("{ALGORITHM} Access={}, SignedHeaders={names}, Signature={signature}", key.id.expose_secret())
}

/// Each segment encoded once, however it came, and a `/` at the end.
fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments: Vec<String> = decoded.split('/').map(encoded).collect();
    let path = segments.join("/");
    if path.ends_with('/') { path } else { path + "/" }
}

/// Sorted before it is encoded, by key and then by value.
fn canonical_query(query: &[(String, String)]) -> String {
    let mut pairs: Vec<&(String, String)> = query.iter().collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }
        // A key of any length will do for HMAC.
        Err(_) => Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
