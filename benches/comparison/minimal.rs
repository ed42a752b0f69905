//! The least that a refresh can be: fetches every page that the exporter fetches, parses it into rows that borrow from it,
//! and drops them. What the exporter's refresh costs is measured against it.
//!
//!     minimal http://127.0.0.1:10059 PROJECT TOKEN ROUNDS JOB…

use std::borrow::Cow;
use std::io::{self, Write};

use reqwest::Client;
use serde::Deserialize;

/// Rows a request, as the exporter asks for by default.
const PAGE_SIZE: usize = 1000;

#[derive(Deserialize)]
struct Page<'a> {
    count: usize,
    #[serde(borrow)]
    flow_compare_data: Vec<Row<'a>>,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    src_db: Cow<'a, str>,
    #[serde(borrow)]
    src_tb: Cow<'a, str>,
    #[serde(borrow)]
    dst_db: Cow<'a, str>,
    #[serde(borrow)]
    dst_tb: Cow<'a, str>,
    progress: u8,
}

// One thread, as several would only cost more.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, project, token, rounds, jobs @ ..] = &arguments[..] else {
        anyhow::bail!("usage: minimal ADDRESS PROJECT TOKEN ROUNDS JOB…");
    };
    let client = Client::builder().no_proxy().build()?;
    let (mut rows, mut bytes) = (0, 0);
    for _ in 0..rounds.parse()? {
        for job in jobs {
            let mut offset = 0;
            loop {
                let url =
                    format!("{address}/v5/{project}/jobs/{job}/progress-data/table?limit={PAGE_SIZE}&offset={offset}");
                let answer = client.get(url).header("x-auth-token", token).send().await?.error_for_status()?;
                let body = answer.bytes().await?;
                let page: Page<'_> = serde_json::from_slice(&body)?;
                for row in &page.flow_compare_data {
                    bytes += [&row.src_db, &row.src_tb, &row.dst_db, &row.dst_tb]
                        .map(|name| name.len())
                        .iter()
                        .sum::<usize>();
                    bytes += usize::from(row.progress / 100);
                }
                rows += page.flow_compare_data.len();
                offset += page.flow_compare_data.len();
                if offset >= page.count || page.flow_compare_data.is_empty() {
                    break;
                }
            }
        }
    }
    writeln!(io::stdout(), "{rows} rows, {bytes} bytes of names")?;
    Ok(())
}
