//! The log: to standard error, in one line an event.

use std::io::{self, Write};

use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing_logfmt::{EventsFormatter, FieldsFormatter};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// What an operator has to act on.
    Error,
    /// And what may become an error.
    Warn,
    /// And what is worth knowing.
    Info,
    /// And each poll.
    Debug,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `key=value` pairs.
    Logfmt,
    /// A JSON object.
    Json,
}

/// Starts logging, above the `bars` that are drawn. Of the libraries, only warnings are shown. A second call changes nothing.
pub fn start(level: Level, format: Format, bars: MultiProgress) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("drs_exporter", level);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        Format::Logfmt => {
            let (events, fields) = (EventsFormatter::default(), FieldsFormatter::default());
            registry.with(fmt::layer().event_format(events).fmt_fields(fields).with_writer(AboveBars(bars))).try_init()
        }
        Format::Json => registry.with(fmt::layer().json().with_writer(AboveBars(bars))).try_init(),
    };
    // The only failure is that a log is there already.
    drop(started);
}

/// Writes to standard error, and keeps bars that are drawn there below it.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
