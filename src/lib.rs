//! A Prometheus exporter that follows migrations on Huawei Cloud DRS: the progress of every table, view and procedure.
//!
//! # The map
//!
//! Values flow one way:
//!
//! ```text
//! config → app → cloud → auth → drs → poller → store → exposition and board → http
//! ```
//!
//! | module | what it owns |
//! |---|---|
//! | [`model`] | the words: jobs, types, objects, listings, outcomes |
//! | [`cloud`] | one exchange with the cloud, for IAM and DRS alike |
//! | [`auth`] | ways in, and when they may be tried |
//! | [`drs`] | the API: one listing, whole or not at all |
//! | [`poller`] | when to ask, and what came of it |
//! | [`store`] | the newest group of each job and type |
//! | [`exposition`] | the text that Prometheus reads |
//! | [`board`] | what people look at: the status page and the API are made from it |
//! | [`http`] | the server |
//! | [`config`] | the file, and every problem in it |
//! | [`simulator`] | a DRS to run against; it knows none of the others |
//! | [`app`], [`cli`], [`telemetry`] | all of it put together |
//!
//! Who may know whom is tested in `tests/it/architecture.rs`.
//!
//! To read it all, begin with [`model`], go on with [`drs`] and [`poller`], then [`exposition`], [`board`] and [`http`];
//! [`app`] shows how they are wired.

pub mod app;
pub mod auth;
pub mod board;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod drs;
pub mod exposition;
pub mod http;
pub mod model;
pub mod poller;
pub mod simulator;
pub mod store;
pub mod telemetry;
