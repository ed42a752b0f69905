//! The exporter itself: which build it is, whether its configuration holds, whether it shares the jobs, and what the process uses.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::model::Shard;

/// What is told of the configuration; clones tell the same.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    successful: Gauge,
    success_timestamp: Gauge<f64, AtomicU64>,
    shards: Family<ShardLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShardLabels {
    index: u32,
}

impl Configured {
    /// The one that the process has started with was read just now.
    pub(super) fn new() -> Self {
        let new = Self { successful: Gauge::default(), success_timestamp: Gauge::default(), shards: Family::default() };
        new.tell(true);
        new
    }

    /// It was read, or could not be taken over.
    pub(super) fn tell(&self, success: bool) {
        self.successful.set(success.into());
        if success {
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            self.success_timestamp.set(since_1970.as_secs_f64());
        }
    }

    /// It is for one of several exporters, or for the only one.
    pub(super) fn share(&self, shard: Shard) {
        self.shards.clear();
        if shard.is_one_of_many() {
            self.shards.get_or_create(&ShardLabels { index: shard.index() }).set(shard.total().into());
        }
    }
}

/// Registers the metrics that tell of the exporter and not of DRS.
pub(super) fn register(registry: &mut Registry, configured: &Configured) {
    registry.register(
        "drs_exporter_config_last_reload_successful",
        "Whether the configuration was taken over when it was last to be reread; 1 from the start",
        configured.successful.clone(),
    );
    registry.register(
        "drs_exporter_config_last_reload_success_timestamp_seconds",
        "When the configuration that holds was read",
        configured.success_timestamp.clone(),
    );
    registry.register(
        "drs_exporter_shards",
        "How many exporters share the jobs, with the index of this one; absent where it follows all of them",
        configured.shards.clone(),
    );
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("drs_exporter_build", "Which build of the exporter this is", build);
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(linux::Process));
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt;

    use procfs::process::LimitValue;
    use procfs::{ProcResult, WithCurrentSystemInfo};
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::counter::ConstCounter;
    use prometheus_client::metrics::gauge::ConstGauge;
    use tracing::debug;

    /// Reads `/proc/self` at each scrape, by the names that Prometheus's client libraries share.
    #[derive(Debug)]
    pub(super) struct Process;

    struct Usage {
        cpu_seconds: f64,
        open_fds: u64,
        max_fds: Option<u64>,
        virtual_memory_bytes: u64,
        resident_memory_bytes: u64,
        start_time_seconds: f64,
        threads: i64,
    }

    fn usage() -> ProcResult<Usage> {
        let process = procfs::process::Process::myself()?;
        let stat = process.stat()?;
        let ticks_per_second = procfs::ticks_per_second() as f64;
        let max_fds = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(files) => Some(files),
            LimitValue::Unlimited => None,
        };
        Ok(Usage {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks_per_second,
            open_fds: process.fd_count()? as u64,
            max_fds,
            virtual_memory_bytes: stat.vsize,
            resident_memory_bytes: stat.rss_bytes().get(),
            start_time_seconds: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks_per_second,
            threads: stat.num_threads,
        })
    }

    impl Collector for Process {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let usage = match usage() {
                Ok(usage) => usage,
                Err(error) => {
                    debug!(%error, "cannot read /proc/self: the process metrics are left out");
                    return Ok(());
                }
            };
            let mut put = |name: &str, help: &str, metric: &dyn Encode| metric.put(&mut encoder, name, help);
            put(
                "process_cpu_seconds",
                "CPU time of the process, user and system",
                &ConstCounter::new(usage.cpu_seconds),
            )?;
            put("process_open_fds", "Open file descriptors", &ConstGauge::new(usage.open_fds))?;
            if let Some(max_fds) = usage.max_fds {
                put("process_max_fds", "Most file descriptors that the process may open", &ConstGauge::new(max_fds))?;
            }
            put("process_virtual_memory_bytes", "Virtual memory", &ConstGauge::new(usage.virtual_memory_bytes))?;
            put("process_resident_memory_bytes", "Resident memory", &ConstGauge::new(usage.resident_memory_bytes))?;
            put(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
                &ConstGauge::new(usage.start_time_seconds),
            )?;
            put("process_threads", "Threads of the process", &ConstGauge::new(usage.threads))
        }
    }

    /// A metric of any value type, so that the list above reads as a list.
    trait Encode {
        fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result;
    }

    impl<M: EncodeMetric> Encode for M {
        fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result {
            let metric = encoder.encode_descriptor(name, help, None, self.metric_type())?;
            self.encode(metric)
        }
    }
}
