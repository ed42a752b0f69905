//! The command line: flags in Prometheus's style, and what the process exits with.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use indicatif::MultiProgress;

use crate::app::{self, Options};
use crate::http::{self, ListenAddress, TelemetryPath};
use crate::{simulator, telemetry};

/// The port that is served unless another is named.
const PORT: u16 = 10058;

/// Prometheus exporter for migrations on Huawei Cloud DRS.
///
/// Without a command it follows the jobs of the configuration and serves their progress.
#[derive(Debug, Parser)]
#[command(name = "drs-exporter", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration, YAML or TOML by its ending.
    #[arg(long = "config.file", value_name = "FILE", default_value = "drs-exporter.yml", global = true)]
    config_file: PathBuf,
    #[command(flatten)]
    web: Web,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a simulated DRS and the exporter on it, on this machine only; no configuration needed.
    Demo,
    /// Run the simulated DRS and IAM alone.
    Simulate(Simulate),
    /// Read the configuration and print every problem in it.
    Check {
        /// Also log in and read one row of each job and type.
        #[arg(long)]
        connect: bool,
    },
    /// Poll everything once and write the metrics; exit code 0 only if every poll succeeded.
    Once {
        /// Replace this file, and only if every poll succeeded; standard output otherwise.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Web {
    /// An address to serve at; repeat the flag for more. [default: :10058; for the demo 127.0.0.1:10058]
    #[arg(long = "web.listen-address", value_name = "ADDRESS", global = true)]
    listen_addresses: Vec<ListenAddress>,
    /// The path of the metrics.
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics", global = true)]
    telemetry_path: TelemetryPath,
    /// The file that says who may read: TLS, passwords and more, in the format of Prometheus's exporters.
    #[arg(long = "web.config.file", value_name = "FILE", global = true)]
    web_config: Option<OsString>,
    /// How many requests are answered at once; more are refused with 503. 0 for any number.
    #[arg(long = "web.max-requests", value_name = "NUMBER", default_value_t = 40, global = true)]
    max_requests: usize,
    /// Reread the configuration on POST /-/reload as well, and not on SIGHUP alone.
    #[arg(long = "web.enable-lifecycle", global = true)]
    enable_lifecycle: bool,
    /// Leave out the metrics of the exporter itself: its build and its process.
    #[arg(long = "web.disable-exporter-metrics", global = true)]
    disable_exporter_metrics: bool,
}

#[derive(Debug, Args)]
struct Log {
    /// How much is logged.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", global = true)]
    level: telemetry::Level,
    /// How a line of the log looks.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", global = true)]
    format: telemetry::Format,
}

#[derive(Debug, Args)]
struct Simulate {
    /// The address to serve at.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10059")]
    listen: SocketAddr,
    /// How many jobs there are; each seventh has two children.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    jobs: usize,
    /// How many tables each job has.
    #[arg(long, value_name = "NUMBER", default_value_t = 40)]
    objects: u64,
    /// What names and paces follow from.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How long tokens from a log-in and temporary keys are good for, by what they say of themselves.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = humantime::parse_duration)]
    token_ttl: Duration,
    /// When tokens from a log-in end without having said so, as after a change of the password.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    token_dies_after: Option<Duration>,
    /// For how long objects that stall stand still, from the start; for ever otherwise.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    stands_for: Option<Duration>,
    /// Let the world stand still, as it is so long after its start; it goes on otherwise.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    frozen_at: Option<Duration>,
    /// How long each answer takes, such as 50ms.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// Requests to DRS allowed in each second; more are refused with 429.
    #[arg(long, value_name = "NUMBER")]
    requests_per_second: Option<u32>,
    /// How many of 100 requests to DRS fail with 500.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    fault_percent: u8,
}

impl Web {
    fn options(self, default_address: ListenAddress) -> Options {
        let listen_addresses =
            if self.listen_addresses.is_empty() { vec![default_address] } else { self.listen_addresses };
        let http = http::Config {
            listen_addresses,
            telemetry_path: self.telemetry_path,
            max_requests: NonZero::new(self.max_requests),
            // As for the exporters that share the format, an empty name is none.
            web_config: self.web_config.filter(|file| !file.is_empty()).map(PathBuf::from),
        };
        Options { http, own_metrics: !self.disable_exporter_metrics, lifecycle: self.enable_lifecycle }
    }
}

impl From<Simulate> for simulator::Config {
    fn from(flags: Simulate) -> Self {
        Self {
            jobs: flags.jobs,
            objects: flags.objects,
            seed: flags.seed,
            token_ttl: flags.token_ttl,
            token_dies_after: flags.token_dies_after,
            stands_for: flags.stands_for,
            frozen_at: flags.frozen_at,
            latency: flags.latency,
            requests_per_second: flags.requests_per_second,
            fault_percent: flags.fault_percent,
            ..Self::default()
        }
    }
}

/// The command line as it is known, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs what the command line asks for: exit code 0 after a stop that was asked for or a check that went well, 1 after a failure,
/// 2 for wrong flags.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // They are drawn on standard error where it is a terminal, and nowhere else.
    let bars = MultiProgress::new();
    telemetry::start(cli.log.level, cli.log.format, bars.clone());
    match run(cli, &bars) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Where standard error is gone, there is nobody to tell.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(cli: Cli, bars: &MultiProgress) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let file = &cli.config_file;
    let ended = match cli.command {
        None => runtime.block_on(app::run(file, &cli.web.options(ListenAddress::any(PORT)))).map(|()| true),
        Some(Command::Demo) => {
            runtime.block_on(app::demo::run(&cli.web.options(ListenAddress::loopback(PORT)))).map(|()| true)
        }
        Some(Command::Simulate(flags)) => {
            let listen = flags.listen;
            runtime.block_on(app::simulate::run(flags.into(), listen)).map(|()| true)
        }
        Some(Command::Check { connect }) => {
            let web_config = cli.web.web_config.as_deref().filter(|file| !file.is_empty()).map(Path::new);
            runtime.block_on(app::check::run(file, web_config, connect))
        }
        Some(Command::Once { output }) => runtime.block_on(app::once::run(file, output, bars)),
    };
    // A look-up of a name or a rendering may still be under way, on a thread that cannot be stopped; nothing waits for it.
    runtime.shutdown_background();
    ended
}
