//! Tests through the public door: the program as a user runs it, against a scripted or simulated DRS, read by real tools.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, unreachable_pub)]

mod api;
mod architecture;
mod benchmark;
mod budget;
mod check;
mod clocks;
mod configuration;
mod dashboard_queries;
mod dashboards;
mod demo;
mod discovery;
mod endings;
mod exposition;
mod fault_matrix;
mod fault_table;
mod faults;
mod guards;
mod kills;
mod limits;
mod listing;
mod login;
mod names;
mod network;
mod once;
mod outcomes;
mod overview;
mod process;
mod progress;
mod readme;
mod release;
mod reload;
mod reload_accounts;
mod restart;
mod rules;
mod sd;
mod secrets;
mod shards;
mod simulate;
mod soak;
mod status_page;
mod support;
mod vendor;
mod web_config;
