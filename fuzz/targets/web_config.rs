//! The file that says who may read, whatever is in it: it is taken or refused with words, and where the secrets of a file stand,
//! nothing is repeated in them.

#![no_main]

use std::path::Path;

use drs_exporter::http::WebConfig;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

/// Anything that is shorter may stand in a message by chance.
const LONG_ENOUGH: usize = 12;

fuzz_target!(|text: &str| {
    said(text);
    let with_secret = |secret: &str| {
        // JSON is YAML as well.
        let tls = json!({"cert": secret, "key": secret, "client_ca": secret});
        let users = json!({"alice": secret});
        said(&json!({"tls_server_config": tls, "basic_auth_users": users}).to_string())
            + &said(&json!({"basic_auth_users": secret}).to_string())
    };
    if text.len() >= LONG_ENOUGH && !with_secret("other").contains(text) {
        let words = with_secret(text);
        assert!(!words.contains(text), "{words}");
    }
});

/// What is made of a file, in words.
fn said(text: &str) -> String {
    // The folder is not there: the files that are named are not read, whatever they are.
    match WebConfig::parse(text, Path::new("/nowhere")) {
        Ok(config) => format!("{config:?}"),
        Err(problems) => {
            let words = problems.to_string();
            assert!(!words.trim().is_empty(), "refused without a word");
            words
        }
    }
}
