//! What a poll does with each page, and what a scrape does: parse, render, join, negotiate.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use anyhow::Context as _;
use criterion::{BatchSize, Criterion, Throughput};
use drs_exporter::drs::Page;
use drs_exporter::exposition::{Config, Encoding, Exposition, Format, Selection};
use drs_exporter::model::{
    Change, GroupKey, JobId, LastChange, Listing, ObjectType, Objects, Percent, PollStatus, Progress, Report, Shown,
    States,
};
use prometheus_client::registry::Registry;

/// Rows of a page.
const PAGE: usize = 1000;

/// What Prometheus 3 asks for.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// A page as DRS writes it, of objects that are `moved` on.
fn body(page: usize, moved: usize) -> String {
    let mut rows = String::new();
    for object in page * PAGE..(page + 1) * PAGE {
        let comma = if rows.is_empty() { "" } else { "," };
        let progress = (object * 37 + moved) % 101;
        // Writing to a string cannot fail.
        let _ = write!(
            rows,
            r#"{comma}{{"src_db":"shop","src_tb":"orders_{object:06}","dst_db":"shop_cloud","dst_tb":"orders_{object:06}","progress":{progress}}}"#,
        );
    }
    format!(r#"{{"count":1000000,"create_time":"1686038576882","flow_compare_data":[{rows}]}}"#)
}

fn objects(page: usize, moved: usize) -> anyhow::Result<Objects> {
    Ok(Page::parse(body(page, moved).as_bytes()).map_err(anyhow::Error::msg)?.objects)
}

fn key(job: usize) -> anyhow::Result<GroupKey> {
    Ok(GroupKey { job: format!("job-{job}").parse::<JobId>()?, object_type: ObjectType::Table })
}

/// What a good poll reports; the numbers do not matter here.
fn report(key: &GroupKey, count: usize) -> Report {
    let progress = Progress {
        states: States::default(),
        average: 50.0,
        minimum: Percent::default(),
        last_change: LastChange::NotSince(std::time::UNIX_EPOCH),
        pace: None,
        left: None,
        stalled: Vec::new(),
        slowest: Vec::new(),
    };
    let listing = Listing { count: count as u64, data_time: None };
    Report { key: key.clone(), status: PollStatus::default(), change: Change::Listing(listing, Some(progress)) }
}

fn exposition() -> anyhow::Result<Exposition> {
    let config = Config { max_series_per_job: 1_000_000, ..Config::default() };
    Ok(Exposition::new(config, Registry::default(), false)?)
}

/// Publishes a listing of some pages.
fn publish(exposition: &Exposition, key: &GroupKey, pages: &[Objects]) -> anyhow::Result<()> {
    let mut draft = exposition.draft(key, Shown::All);
    pages.iter().for_each(|page| draft.add(page));
    Ok(exposition.publish(&report(key, pages.len() * PAGE), Some(draft))?)
}

fn parse(criterion: &mut Criterion) -> anyhow::Result<()> {
    let good = body(0, 0);
    let bad = good.replacen(r#""progress":37"#, r#""progress":null"#, 1);
    let escaped = good.replace("orders_", r"b\u00fccher_");
    let mut group = criterion.benchmark_group("parse");
    for (name, body) in [("good rows", good), ("one bad row", bad), ("escapes", escaped)] {
        anyhow::ensure!(Page::parse(body.as_bytes()).is_ok_and(|page| page.objects.len() >= PAGE - 10), "{name}");
        group.throughput(Throughput::Elements(PAGE as u64));
        group.bench_function(name, |bencher| bencher.iter(|| Page::parse(black_box(body.as_bytes()))));
    }
    group.finish();
    Ok(())
}

fn render(criterion: &mut Criterion) -> anyhow::Result<()> {
    let (exposition, key) = (exposition()?, key(0)?);
    let (before, moved) = ([objects(0, 0)?], [objects(0, 1)?]);
    publish(&exposition, &key, &before)?;
    let mut group = criterion.benchmark_group("render");
    group.throughput(Throughput::Elements(PAGE as u64));
    for (name, [page]) in [("a page that moved", &moved), ("a page as it was", &before)] {
        let draft = || exposition.draft(&key, Shown::All);
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(draft, |draft| draft.add(black_box(page)), BatchSize::SmallInput);
        });
    }
    group.finish();
    Ok(())
}

fn join(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group("join");
    group.measurement_time(Duration::from_secs(10));
    for groups in [1, 10, 100] {
        let exposition = exposition()?;
        let pages = (0..10).map(|page| objects(page, 0)).collect::<anyhow::Result<Vec<_>>>()?;
        for job in 0..groups {
            publish(&exposition, &key(job)?, &pages)?;
        }
        group.throughput(Throughput::Elements((groups * pages.len() * PAGE) as u64));
        for (name, format, encoding) in [
            ("text, gzip", Format::Text, Encoding::Gzip),
            ("text, identity", Format::Text, Encoding::Identity),
            ("OpenMetrics, gzip", Format::OpenMetrics, Encoding::Gzip),
        ] {
            let scrape = || -> anyhow::Result<u64> {
                let body = exposition.scrape(&Selection::Everything, format, encoding)?;
                let length = body.length();
                let sent: usize = body.map(|piece| piece.map(|piece| piece.len())).sum::<Result<_, _>>()?;
                anyhow::ensure!(sent as u64 == length, "{sent} bytes of {length}");
                Ok(length)
            };
            scrape().context(name)?;
            group.bench_function(format!("{groups} jobs, {name}"), |bencher| bencher.iter(scrape));
        }
    }
    group.finish();
    Ok(())
}

fn negotiate(criterion: &mut Criterion) -> anyhow::Result<()> {
    let hostile = "a/b;q=0.1,".repeat(800);
    let mut group = criterion.benchmark_group("negotiate");
    for (name, header) in [("Prometheus 3", PROMETHEUS), ("8 kB of nonsense", &hostile)] {
        group.bench_function(name, |bencher| bencher.iter(|| Format::preferred(black_box(header))));
    }
    group.bench_function("gzip", |bencher| bencher.iter(|| Encoding::preferred(black_box("gzip"))));
    group.finish();
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for bench in [parse, render, join, negotiate] {
        bench(&mut criterion)?;
    }
    criterion.final_summary();
    Ok(())
}
