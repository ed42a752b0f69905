//! A simulated DRS and the exporter on it, in one process, on addresses that only this machine reaches.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;

use super::reload::Source;
use super::{Exporter, Options, hangup_signal, stop_signal};
use crate::auth::{self, Secret, Way};
use crate::cloud::Network;
use crate::config::{Account, Config, Job};
use crate::drs::{self, Language, Limits, OffsetCounts};
use crate::model::{ObjectType, Shard, Shown};
use crate::simulator::{self, Simulator};
use crate::{exposition, poller};

/// Time between two polls, short enough for somebody who watches.
const INTERVAL: Duration = Duration::from_secs(1);
const SETTLED_INTERVAL: Duration = Duration::from_secs(10);
const STALE_AFTER: Duration = Duration::from_secs(30);
const STALL_AFTER: Duration = Duration::from_secs(30);

/// Runs both until the process is asked to stop, and first prints what to open.
///
/// # Errors
/// When an address cannot be had, or a part of it fails.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let (stop, hangup) = (stop_signal()?, hangup_signal()?);
    let world = simulator::Config::default();
    let simulator = Simulator::bind(world.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let simulated = simulator.address();
    let jobs = simulator.job_ids();
    let source = Source::Nowhere("the demo has no configuration file");
    let exporter = Exporter::new(config(&world, simulated, &jobs)?, source, options).await?;
    introduce(&exporter, options, &world, simulated, &jobs).context("cannot write to standard output")?;
    tokio::select! {
        ended = exporter.run(stop, hangup) => ended,
        ended = simulator.serve() => ended.context("the simulated DRS failed"),
    }
}

fn config(world: &simulator::Config, simulated: SocketAddr, jobs: &[String]) -> anyhow::Result<Config> {
    let drs = drs::Config {
        account: "demo".to_owned(),
        endpoint: format!("http://{simulated}").parse()?,
        network: Network::default(),
        language: Language::default(),
        offset_counts: OffsetCounts::default(),
        auth: auth::Config {
            way: Way::Token(Secret::Value(world.token.as_str().into())),
            region: None,
            iam_endpoint: None,
            project_id: Some(world.project_id.parse()?),
        },
        // The simulated DRS has no quota; a real one must not be asked as often.
        limits: Limits { requests_per_second: 1000.0, burst: 1000, ..Limits::default() },
    };
    let jobs = jobs.iter().map(|id| {
        let types = ObjectType::ALL.to_vec();
        Ok(Job { id: id.parse()?, name: None, types, interval: INTERVAL, shown: Shown::All })
    });
    let account = Account { drs, job_view: true, jobs: jobs.collect::<anyhow::Result<_>>()?, discovery: None };
    let poller = poller::Config {
        settled_interval: SETTLED_INTERVAL,
        stale_after: STALE_AFTER,
        stall_after: STALL_AFTER,
        ..poller::Config::default()
    };
    Ok(Config {
        accounts: vec![account],
        poller,
        exposition: exposition::Config::default(),
        state_file: None,
        shard: Shard::ONLY,
    })
}

fn introduce(
    exporter: &Exporter,
    options: &Options,
    world: &simulator::Config,
    simulated: SocketAddr,
    jobs: &[String],
) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let path = options.http.telemetry_path.as_str();
    writeln!(out, "A simulated DRS runs at http://{simulated}, with {} jobs:\n", jobs.len())?;
    for job in jobs {
        writeln!(out, "  {job}")?;
    }
    writeln!(out, "\nThe exporter follows them. Open:\n")?;
    let addresses = exporter.addresses()?;
    for address in &addresses {
        writeln!(out, "  http://{address}{path}  the metrics")?;
        writeln!(out, "  http://{address}/  the status page")?;
    }
    let targets: Vec<String> = addresses.iter().map(|address| format!("'{address}'")).collect();
    let targets = targets.join(", ");
    write!(
        out,
        "
Let Prometheus scrape it; prometheus.yml:

scrape_configs:
  - job_name: drs
    honor_labels: true
    metrics_path: {path}
    scrape_interval: 5s
    static_configs:
      - targets: [{targets}]

Ask the simulated DRS yourself:

  curl -H 'X-Auth-Token: {token}' \\
    'http://{simulated}/v5/{project}/jobs/{job}/progress-data/table?limit=3'

Ctrl-C ends it.
",
        token = world.token,
        project = world.project_id,
        job = jobs.first().map_or("JOB", String::as_str),
    )?;
    Ok(out.flush()?)
}
