//! What may be written in the file: every key, and the form of its value.

use std::collections::BTreeMap;
use std::fmt;

use figment::providers::{Format, Yaml};
use figment::value::Value;
use secrecy::SecretString;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Problems;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct File {
    pub(super) tls_server_config: Option<Tls>,
    pub(super) http_server_config: Option<Http>,
    pub(super) basic_auth_users: Option<Map<Secret>>,
    pub(super) rate_limit: Option<Rate>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct Tls {
    pub(super) cert: Option<Secret>,
    pub(super) key: Option<Secret>,
    pub(super) client_ca: Option<Secret>,
    pub(super) cert_file: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) client_ca_file: Option<String>,
    pub(super) client_auth_type: Option<String>,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
    pub(super) cipher_suites: Option<Vec<String>>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
    pub(super) curve_preferences: Option<Vec<String>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct Http {
    pub(super) http2: Option<bool>,
    pub(super) headers: Option<Map<Option<String>>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a map of keys")]
pub(super) struct Rate {
    pub(super) interval: Option<Interval>,
    pub(super) burst: Option<u32>,
}

/// A length of time, as text or, where it is none, as the number 0; whatever else is none.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Interval {
    Text(String),
    Number(i64),
    Other(IgnoredAny),
}

/// Keys that are the user's, each of them once.
#[derive(Debug)]
pub(super) struct Map<T>(pub(super) BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Map<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Map<T>, M::Error> {
                let mut entries = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    let twice = format!("the key `{key}` stands twice");
                    if entries.insert(key, value).is_some() {
                        return Err(de::Error::custom(twice));
                    }
                }
                Ok(Map(entries))
            }
        }
        deserializer.deserialize_map(Reader(std::marker::PhantomData))
    }
}

/// A text that is not repeated in a message.
#[derive(Debug)]
pub(super) struct Secret(pub(super) SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match <Value as Deserialize>::deserialize(deserializer) {
            Ok(Value::String(_, text)) => Ok(Self(text.into())),
            _ => Err(de::Error::custom("expected text; put it in quotes")),
        }
    }
}

/// Reads the text of a file.
pub(super) fn read(text: &str) -> Result<File, Problems> {
    // A file without a word in it asks for nothing.
    let file: Result<Option<File>, _> = Yaml::from_str(text);
    file.map(Option::unwrap_or_default).map_err(|error| Problems(vec![without_values(&error.to_string())]))
}

/// The message without what it repeats of the file between quotes, which may be a secret in the wrong place.
fn without_values(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            let (before, after) = (message.get(..=first).unwrap_or_default(), message.get(last..).unwrap_or_default());
            format!("{before}…{after}")
        }
        _ => message.to_owned(),
    }
}
