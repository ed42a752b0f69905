//! The simulated DRS and IAM alone.

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
    let simulator = Simulator::bind(config.clone(), listen).await?;
    introduce(&simulator, &config).context("cannot write to standard output")?;
    tokio::select! {
        () = stop => Ok(()),
        ended = simulator.serve() => ended.context("the simulated DRS failed"),
    }
}

fn introduce(simulator: &Simulator, config: &Config) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let address = simulator.address();
    let Config { project_id, token, region, access_key, secret_key, user, password, domain, .. } = config;
    write!(
        out,
        "# A simulated DRS runs at http://{address}, with an IAM. A configuration for it:
accounts:
  - name: simulated
    endpoint: http://{address}
    project_id: {project_id}
    auth: {{token: {token}}}
    # Other ways in, each instead of the line above; project_id may then be left out, as IAM knows it by the region:
    # region: {region}
    # iam_endpoint: http://{address}
    # auth: {{access_key: {{id: {access_key}, secret: {secret_key}}}}}
    # auth: {{password: {{user: {user}, domain: {domain}, password: {password}}}}}
    # Temporary keys, as from the metadata service of a host: http://{address}/openstack/latest/securitykey
    # What it was asked, second by second: http://{address}/simulator/requests
    limits: {{requests_per_second: 1000, burst: 1000}}
    jobs:
"
    )?;
    for job in simulator.job_ids() {
        writeln!(out, "      - {{id: {job}, interval: 5s}}")?;
    }
    out.flush()
}
