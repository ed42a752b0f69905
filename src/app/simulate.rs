//! The simulated DRS alone.

use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::Context as _;

use super::stop_signal;
use crate::simulator::{Config, Simulator};

/// Runs the simulated DRS until the process is asked to stop, and first prints a configuration for the exporter.
///
/// # Errors
/// When the address cannot be had, or the server fails.
pub async fn run(config: Config, listen: SocketAddr) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let (project, token) = (config.project_id.clone(), config.token.clone());
    let simulator = Simulator::bind(config, listen).await?;
    introduce(&simulator, &project, &token).context("cannot write to standard output")?;
    tokio::select! {
        () = stop => Ok(()),
        ended = simulator.serve() => ended.context("the simulated DRS failed"),
    }
}

fn introduce(simulator: &Simulator, project: &str, token: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let address = simulator.address();
    write!(
        out,
        "# A simulated DRS runs at http://{address}. A configuration for it:
accounts:
  - name: simulated
    endpoint: http://{address}
    project_id: {project}
    auth: {{token: {token}}}
    limits: {{requests_per_second: 1000, burst: 1000}}
    jobs:
"
    )?;
    for job in simulator.job_ids() {
        writeln!(out, "      - {{id: {job}, interval: 5s}}")?;
    }
    out.flush()
}
