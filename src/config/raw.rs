//! What may be written in the file: every key, and the form of its value. Nothing here is required, so that what cannot be
//! read can be taken out and the rest still be checked; what is required is the business of `resolve`. Items of lists may be
//! empty for the same reason: the others keep their places.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Unexpected, Visitor};

use crate::cloud::{Endpoint, ProjectId, Proxy, Region};
use crate::drs::{JobType, Language, OffsetCounts};
use crate::exposition::JobLabel;
use crate::model::{JobId, JobStatus, ObjectType, Shown};
use crate::poller::Pattern;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) accounts: Option<Vec<Option<Map<Account>>>>,
    pub(super) poll: Map<Poll>,
    pub(super) exposition: Map<Exposition>,
    pub(super) state_file: Option<Text<FilePath>>,
    pub(super) shard: Option<Map<Shard>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Account {
    pub(super) name: Option<String>,
    pub(super) region: Option<Text<Region>>,
    pub(super) endpoint: Option<Text<Endpoint>>,
    pub(super) iam_endpoint: Option<Text<Endpoint>>,
    pub(super) project_id: Option<Text<ProjectId>>,
    pub(super) language: Option<Word<Language>>,
    pub(super) offset_counts: Option<Word<OffsetCounts>>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) proxy_url: Option<Text<Proxy>>,
    pub(super) auth: Option<Map<Auth>>,
    pub(super) limits: Map<Limits>,
    pub(super) job_view: Option<bool>,
    pub(super) jobs: Option<Vec<Option<Map<Job>>>>,
    pub(super) discovery: Option<Map<Discovery>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Auth {
    pub(super) token: Option<Secret>,
    pub(super) password: Option<Map<Password>>,
    pub(super) access_key: Option<Map<AccessKey>>,
    pub(super) agency: Option<Map<Agency>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Password {
    pub(super) user: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) password: Option<Secret>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccessKey {
    pub(super) id: Option<Secret>,
    pub(super) secret: Option<Secret>,
    pub(super) security_token: Option<Secret>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Agency {
    pub(super) endpoint: Option<Text<Endpoint>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Discovery {
    pub(super) job_types: Option<Vec<Option<Text<JobType>>>>,
    pub(super) statuses: Option<Vec<Option<Text<JobStatus>>>>,
    pub(super) include: Option<Text<Pattern>>,
    pub(super) exclude: Option<Text<Pattern>>,
    pub(super) enterprise_project_id: Option<Text<EnterpriseProject>>,
    pub(super) types: Option<Vec<Option<Text<ObjectType>>>>,
    pub(super) objects: Option<Word<Shown>>,
    pub(super) interval: Option<Span>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) requests_per_second: Option<f64>,
    pub(super) burst: Option<u32>,
    pub(super) concurrency: Option<u32>,
    pub(super) timeout: Option<Span>,
    pub(super) max_response_bytes: Option<Text<Size>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Job {
    pub(super) id: Option<Text<JobId>>,
    pub(super) name: Option<String>,
    pub(super) types: Option<Vec<Option<Text<ObjectType>>>>,
    pub(super) interval: Option<Span>,
    pub(super) objects: Option<Word<Shown>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Poll {
    pub(super) interval: Option<Span>,
    pub(super) page_size: Option<u32>,
    pub(super) stale_after: Option<Span>,
    pub(super) settled_interval: Option<Span>,
    pub(super) stall_after: Option<Span>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Exposition {
    pub(super) job_label: Option<Text<JobLabel>>,
    pub(super) max_series_per_job: Option<u32>,
    pub(super) max_label_bytes: Option<u32>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Shard {
    pub(super) index: Option<u32>,
    pub(super) ordinal: Option<Word<Ordinal>>,
    pub(super) total: Option<u32>,
}

/// Keys and their values. Without it, a list would be taken as well, its items for the keys in their order.
#[derive(Debug, Default)]
pub(super) struct Map<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Reader<T> {
            type Value = Map<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of keys")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Map<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Map)
            }

            // A key with nothing, or nothing but comments, below it.
            fn visit_none<E: de::Error>(self) -> Result<Map<T>, E> {
                Ok(Map::default())
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// A value that is written as text and has a grammar of its own.
#[derive(Debug)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Reader<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text; put it in quotes if it looks like a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
                text.parse().map(Text).map_err(E::custom)
            }

            // A number is never taken for text, which may have looked different; but what is wrong with it may say more.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text<T>, E> {
                match number.to_string().parse::<T>() {
                    Err(error) => Err(E::custom(error)),
                    Ok(_) => Err(E::invalid_type(Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text<T>, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::invalid_type(Unexpected::Signed(number), &self)),
                }
            }
        }
        deserializer.deserialize_str(Reader(PhantomData))
    }
}

/// A length of time.
pub(super) type Span = Text<DurationText>;

/// A length of time as people write it.
#[derive(Debug)]
pub(super) struct DurationText(pub(super) Duration);

impl FromStr for DurationText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self).map_err(|_| "expected a duration such as `30s`, `5m` or `1h`")
    }
}

/// The path of a file that need not be there yet.
#[derive(Debug)]
pub(super) struct FilePath(pub(super) PathBuf);

impl FromStr for FilePath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = PathBuf::from(text);
        let names_folder = text.ends_with('/') || path.file_name().is_none();
        if names_folder { Err("expected the path of a file, not of a folder") } else { Ok(Self(path)) }
    }
}

/// The id of an enterprise project; `0` is the one that every account has.
pub(super) type EnterpriseProject = ProjectId;

/// A number of bytes.
#[derive(Debug)]
pub(super) struct Size(pub(super) u64);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size: Result<bytesize::ByteSize, _> = text.parse();
        size.map(|size| Self(size.as_u64())).map_err(|_| "expected a size such as `16MiB`")
    }
}

/// A value that is one of a few words.
pub(super) type Word<T> = Text<Choice<T>>;

/// One of a few words.
#[derive(Debug)]
pub(super) struct Choice<T>(pub(super) T);

impl FromStr for Choice<Language> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "en-us" => Ok(Self(Language::English)),
            "zh-cn" => Ok(Self(Language::Chinese)),
            _ => Err("expected `en-us` or `zh-cn`"),
        }
    }
}

impl FromStr for Choice<OffsetCounts> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "rows" => Ok(Self(OffsetCounts::Rows)),
            "pages" => Ok(Self(OffsetCounts::Pages)),
            _ => Err("expected `rows` or `pages`"),
        }
    }
}

impl FromStr for Choice<Shown> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self(Shown::All)),
            "unfinished" => Ok(Self(Shown::Unfinished)),
            "none" => Ok(Self(Shown::None)),
            _ => Err("expected `all`, `unfinished` or `none`"),
        }
    }
}

/// Where an exporter finds out which of several it is: in the name of its pod.
#[derive(Debug)]
pub(super) struct Ordinal;

impl FromStr for Choice<Ordinal> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self(Ordinal)),
            _ => Err("expected `auto`, which takes the number at the end of the pod's name; or write `index` instead"),
        }
    }
}

/// A secret, or where it is.
#[derive(Debug)]
pub(super) enum Secret {
    Value(SecretString),
    Elsewhere(Place),
}

/// Where a secret is: exactly one of these.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Place {
    pub(super) file: Option<PathBuf>,
    pub(super) env: Option<String>,
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the secret as text, `{file: PATH}` or `{env: NAME}`")
            }

            fn visit_str<E: de::Error>(self, secret: &str) -> Result<Secret, E> {
                Ok(Secret::Value(secret.into()))
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Secret, M::Error> {
                Place::deserialize(MapAccessDeserializer::new(map)).map(Secret::Elsewhere)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
