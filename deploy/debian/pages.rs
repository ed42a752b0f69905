//! Writes the man pages and the completions of shells into a folder, from the command line as the program knows it.
//!
//! `cargo run --example pages -- FOLDER`

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// What the flags do not tell: for each section its entries, a word and what it means.
const SECTIONS: [(&str, &[(&str, &str)]); 4] = [
    (
        "FILES",
        &[
            ("/etc/drs-exporter/drs-exporter.yml", "The configuration of the service."),
            ("/etc/drs-exporter/credentials/", "Secrets for the service, a file each; root alone may read them."),
            ("/var/lib/drs-exporter/state", "How long objects have stood still, over a restart."),
            ("/usr/share/drs-exporter/", "Rules for Prometheus with their runbook, and dashboards for Grafana."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "DRS_EXPORTER_…",
                "Overrides a key of the configuration, with two underscores between levels: DRS_EXPORTER_POLL__INTERVAL=30s.",
            ),
            (
                "HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK",
                "The access key of an account that names no way in, as the vendor's own tools have it.",
            ),
            ("HTTPS_PROXY, NO_PROXY", "A proxy on the way to the cloud, where the account names none."),
            ("NOTIFY_SOCKET, WATCHDOG_USEC", "Set by systemd, which is told that the process serves, lives and stops."),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "Rereads the configuration. One with a problem changes nothing, and the log says what is wrong.",
            ),
            ("SIGTERM, SIGINT", "Lets scrapes under way end, saves the state, and ends within five seconds."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "It was asked to stop; or all was well, for check and once."),
            (
                "1",
                "The configuration has problems, an address cannot be had, a part has failed, or a poll of once has.",
            ),
            ("2", "The flags are wrong."),
        ],
    ),
];

fn main() -> anyhow::Result<()> {
    let folder = env::args_os().nth(1).context("name the folder to write to: cargo run --example pages -- FOLDER")?;
    write(Path::new(&folder)).with_context(|| format!("cannot write to {}", folder.display()))
}

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut drs_exporter::cli::command(), "drs-exporter", folder)?;
    }
    // Without the one for help, which the flag says as well.
    let mut command = drs_exporter::cli::command().disable_help_subcommand(true);
    command.build();
    page(&command, folder, &SECTIONS)?;
    for subcommand in command.get_subcommands() {
        page(subcommand, folder, &[])?;
    }
    Ok(())
}

fn page(command: &Command, folder: &Path, sections: &[(&str, &[(&str, &str)])]) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut file = File::create(folder.join(format!("{name}.1")))?;
    let man = Man::new(command.clone()).manual("Prometheus exporters");
    man.render_title(&mut file)?;
    man.render_name_section(&mut file)?;
    man.render_synopsis_section(&mut file)?;
    man.render_description_section(&mut file)?;
    man.render_options_section(&mut file)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut file)?;
    }
    let mut more = Roff::new();
    for (title, entries) in sections {
        more.control("SH", [*title]);
        for (word, meaning) in *entries {
            more.control("TP", []).text([bold(*word)]).text([roman(*meaning)]);
        }
    }
    file.write_all(more.render().as_bytes())
}
