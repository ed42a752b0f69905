//! Which objects have a series of their own where not all do, what is told of those that have none, and what is taken over from
//! one listing to the next.

use std::io::Read as _;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use reqwest::header::ACCEPT_ENCODING;
use tempfile::TempDir;

use crate::support::drs::{Ask, Drs, failure, page, row};
use crate::support::exporter::{Exporter, program, run};
use crate::support::project::{Project, job};
use crate::support::samples::Samples;
use crate::support::tools;

/// What a DRS lists, by type; a test changes it.
type World = Arc<Mutex<Vec<(&'static str, Vec<(String, u64)>)>>>;

fn world(types: &[(&'static str, &[(&str, u64)])]) -> World {
    let owned =
        |objects: &[(&str, u64)]| objects.iter().map(|(name, percent)| ((*name).to_owned(), *percent)).collect();
    Arc::new(Mutex::new(types.iter().map(|(object_type, objects)| (*object_type, owned(objects))).collect()))
}

/// Tells of the same world, whichever the job.
async fn drs(world: &World) -> Drs {
    let world = Arc::clone(world);
    Drs::answering(move |ask| listed(&world, ask)).await
}

fn listed(world: &World, ask: &Ask) -> wiremock::ResponseTemplate {
    let world = world.lock().unwrap();
    let objects = &world.iter().find(|(object_type, _)| *object_type == ask.object_type).unwrap().1;
    let rows: Vec<_> = objects.iter().map(|(name, percent)| row(name, *percent)).collect();
    let begin = (ask.offset as usize).min(rows.len());
    page(rows.len() as u64, &rows[begin..(begin + ask.limit as usize).min(rows.len())])
}

fn set(world: &World, object_type: &str, objects: Vec<(String, u64)>) {
    let mut world = world.lock().unwrap();
    world.iter_mut().find(|(known, _)| *known == object_type).unwrap().1 = objects;
}

/// The names of the objects that have a series.
fn shown(samples: &Samples, job: &str, object_type: &str) -> Vec<String> {
    let series = samples.beginning(&format!(r#"drs_object_progress{{job="{job}",type="{object_type}","#));
    let name = |series: &str| series.split("src_tb=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    series.iter().map(|(series, _)| name(series)).collect()
}

/// The polls after the present one: so many that what was asked for after this call is shown.
async fn two_polls_later(exporter: &Exporter, job: &str, object_type: &str) -> Samples {
    let now = exporter.samples().await.polls(job, object_type, "success");
    exporter.polled(job, object_type, "success", now + 2.0).await
}

/// What is told of a job's tables beside its objects, without times and counts of polls.
fn rollups(samples: &Samples, job: &str) -> Vec<(String, f64)> {
    let families = ["drs_objects{", "drs_objects_by_state{", "drs_progress_", "drs_objects_disappeared_total{"];
    let told = families.iter().flat_map(|family| samples.beginning(family));
    let of_job = told.filter(|(series, _)| series.contains(&format!("job=\"{job}\"")));
    of_job.map(|(series, value)| (series.replace(&format!("job=\"{job}\""), "job"), value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_shown_is_counted_and_every_rollup_goes_on() {
    let world = world(&[("table", &[("a", 0), ("b", 37), ("c", 100), ("d", 100), ("e", 99)]), ("view", &[])]);
    let drs = drs(&world).await;
    let jobs = [
        "{id: all, types: [table, view]}",
        "{id: unfinished, types: [table], objects: unfinished}",
        "{id: none, types: [table], objects: none}",
    ];
    let exporter = Exporter::start(&drs.config(&jobs)).await;
    let told =
        [("all", vec!["a", "b", "c", "d", "e"], 0.0), ("unfinished", vec!["a", "b", "e"], 2.0), ("none", vec![], 5.0)];
    let samples = {
        exporter.polled("all", "view", "success", 1.0).await;
        exporter.polled("all", "table", "success", 1.0).await;
        exporter.polled("unfinished", "table", "success", 1.0).await;
        exporter.polled("none", "table", "success", 1.0).await
    };
    for (job, names, suppressed) in told {
        assert_eq!(shown(&samples, job, "table"), names, "{job}");
        assert_eq!(samples.of("drs_objects_suppressed", job, "table"), Some(suppressed), "{job}");
        assert_eq!(rollups(&samples, job).iter().filter(|(series, _)| series.contains("table")).count(), 9, "{job}");
    }
    assert_eq!(samples.of("drs_objects_suppressed", "all", "view"), None, "an empty listing has nothing to leave out");

    // One is done, one falls back: the series follow, and the rollups are the same whatever is shown.
    set(
        &world,
        "table",
        ["a", "b", "c", "d", "e"].map(|name| (name.to_owned(), if "cd" < name { 99 } else { 100 })).into(),
    );
    for job in ["all", "unfinished", "none"] {
        two_polls_later(&exporter, job, "table").await;
    }
    let samples = exporter.samples().await;
    assert_eq!(shown(&samples, "unfinished", "table"), ["d", "e"]);
    let of_tables = |job| {
        let rollups = rollups(&samples, job).into_iter();
        rollups.filter(|(series, _)| series.contains("table")).collect::<Vec<_>>()
    };
    assert_eq!(of_tables("all"), of_tables("unfinished"));
    assert_eq!(of_tables("all"), of_tables("none"));
    assert_eq!(samples.of("drs_progress_regressions_total", "none", "table"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_never_has_more_series_than_it_may() {
    let tables: Vec<(String, u64)> =
        (0..30).map(move |number| (format!("t{number}"), if number < 12 { 100 } else { 50 })).collect();
    let views: Vec<(String, u64)> = (0..10).map(|number| (format!("v{number}"), number * 10)).collect();
    let world = world(&[("table", &[]), ("view", &[])]);
    set(&world, "table", tables.clone());
    set(&world, "view", views);
    let drs = drs(&world).await;
    let config = format!(
        "{}exposition: {{max_series_per_job: 25}}\n",
        drs.config(&["{id: capped, types: [table, view]}", "{id: other, types: [view]}"])
    );
    let config = config.replace("settled_interval: 1s", "settled_interval: 1s, page_size: 7");
    let exporter = Exporter::start(&config).await;
    let most = |samples: &Samples| samples.objects("capped", "table") + samples.objects("capped", "view");
    // 18 tables and 10 views are on their way, which is three too many; all of them come before the tables that are done.
    let settled = |samples: &Samples| {
        assert!(most(samples) <= 25, "{} series", most(samples));
        (samples.objects("capped", "table"), samples.objects("capped", "view")) == (18, 7)
    };
    let samples = exporter.until("18 tables and 7 views", settled).await;
    let suppressed =
        |samples: &Samples, object_type| samples.of("drs_objects_suppressed", "capped", object_type).unwrap();
    assert_eq!((suppressed(&samples, "table"), suppressed(&samples, "view")), (12.0, 3.0));
    assert_eq!((samples.objects("other", "view"), samples.of("drs_objects", "capped", "table")), (10, Some(30.0)));
    assert_eq!(samples.labelled("drs_objects_by_state", "capped", "table", "state", "completed"), Some(12.0));
    assert_eq!(samples.of("drs_progress_average", "capped", "table"), Some(70.0));
    let views = shown(&samples, "capped", "view");
    assert!(shown(&samples, "capped", "table").iter().all(|name| name[1..].parse::<u64>().unwrap() >= 12));

    // The same ones whatever the order, and after a restart.
    let reversed = || world.lock().unwrap().iter_mut().for_each(|(_, objects)| objects.reverse());
    reversed();
    let samples = two_polls_later(&exporter, "capped", "view").await;
    assert_eq!(most(&samples), 25);
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(shown(&samples, "capped", "view")), sorted(views.clone()));
    let restarted = Exporter::start(&config).await;
    let samples = restarted.until("18 tables and 7 views", settled).await;
    assert_eq!(sorted(shown(&samples, "capped", "view")), sorted(views));

    // What is done makes room: for the views on their way first, then for what is done.
    set(&world, "table", tables.into_iter().map(|(name, _)| (name, 100)).collect());
    let samples = exporter.until("15 tables and 10 views", |samples| {
        assert!(most(samples) <= 25, "{} series", most(samples));
        (samples.objects("capped", "table"), samples.objects("capped", "view")) == (15, 10)
    });
    assert_eq!(suppressed(&samples.await, "table"), 15.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_makes_room_at_once_for_what_is_not() {
    let (tables, views) = (
        (0..30).map(move |number| row(&format!("t{number}"), 100)).collect::<Vec<_>>(),
        (0..20).map(|number| row(&format!("v{number}"), 50)).collect::<Vec<_>>(),
    );
    let answers = Arc::new(AtomicBool::new(false));
    let views_answer = Arc::clone(&answers);
    let drs = Drs::answering(move |ask| match &ask.object_type[..] {
        "table" => page(30, &tables),
        _ if views_answer.load(Relaxed) => page(20, &views),
        _ => wiremock::ResponseTemplate::new(500),
    })
    .await;
    let config = drs.config(&["{id: capped, types: [table, view]}"]);
    let config = format!("{config}exposition: {{max_series_per_job: 25}}\n");
    let config = config.replace("settled_interval: 1s", "settled_interval: 1h");
    let exporter = Exporter::start(&config).await;
    let told = |samples: &Samples| {
        let of = |object_type| {
            (samples.objects("capped", object_type), samples.of("drs_objects_suppressed", "capped", object_type))
        };
        (of("table"), of("view"))
    };
    let samples = exporter.polled("capped", "table", "success", 1.0).await;
    assert_eq!(told(&samples), ((25, Some(5.0)), (0, None)));
    let all_tables = shown(&samples, "capped", "table");
    answers.store(true, Relaxed);
    let samples = exporter.polled("capped", "view", "success", 1.0).await;
    assert_eq!(told(&samples), ((5, Some(25.0)), (20, Some(0.0))));
    assert_eq!(samples.polls("capped", "table", "success"), 1.0, "nobody listed the tables again");
    assert_eq!(samples.of("drs_objects", "capped", "table"), Some(30.0));
    let tables_left = shown(&samples, "capped", "table");
    assert!(tables_left.iter().all(|name| all_tables.contains(name)), "{tables_left:?} of {all_tables:?}");

    // Whichever comes first, one look at everything shows the same.
    let once = run(&config, &["once"]).await;
    let samples = Samples::parse(&once.out);
    assert_eq!((once.code, told(&samples)), (Some(0), ((5, Some(25.0)), (20, Some(0.0)))), "{}", once.err);
    assert_eq!(shown(&samples, "capped", "table"), tables_left);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_a_listing_twice_counts_once_under_a_cap() {
    // Rows 4 to 6 come again on the second page, moved on.
    let drs = Drs::answering(|ask| match ask.offset {
        0 => page(12, &(0..7).map(|number| row(&format!("t{number}"), 10)).collect::<Vec<_>>()),
        7 => page(12, &(4..9).map(|number| row(&format!("t{number}"), 20)).collect::<Vec<_>>()),
        _ => page(12, &[]),
    })
    .await;
    for (most, told) in [(100, 9), (9, 9), (5, 5)] {
        let config = drs
            .config(&["{id: j, types: [table]}"])
            .replace("settled_interval: 1s", "settled_interval: 1s, page_size: 7");
        let exporter = Exporter::start(&format!("{config}exposition: {{max_series_per_job: {most}}}\n")).await;
        let samples = exporter.polled("j", "table", "inconsistent", 1.0).await;
        assert_eq!(samples.objects("j", "table"), told);
        assert_eq!(samples.of("drs_objects_suppressed", "j", "table"), Some((9 - told) as f64));
        assert_eq!(samples.labelled("drs_objects_by_state", "j", "table", "state", "in_progress"), Some(9.0));
        let moved = shown(&samples, "j", "table");
        let value = |name: &str| {
            let series = format!(
                r#"drs_object_progress{{job="j",type="table",src_db="a",src_tb="{name}",dst_db="c",dst_tb="{name}"}}"#
            );
            samples.get(&series).unwrap()
        };
        assert!(moved.iter().all(|name| value(name) == if &name[..] < "t4" { 10.0 } else { 20.0 }), "{moved:?}");
    }
}

/// The lines of the objects, as they stand in the body.
async fn lines(exporter: &Exporter) -> Vec<String> {
    let text = String::from_utf8(exporter.body("text/plain", "").await).unwrap();
    text.lines().filter(|line| line.starts_with("drs_object_progress{")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_over_from_the_listing_before_is_what_a_fresh_exporter_shows() {
    let objects =
        |numbers: std::ops::Range<u64>| numbers.map(|number| (format!("t{number}"), number % 101)).collect::<Vec<_>>();
    let world = world(&[("table", &[])]);
    set(&world, "table", objects(0..50));
    let drs = drs(&world).await;
    let config =
        drs.config(&["{id: j, types: [table]}"]).replace("settled_interval: 1s", "settled_interval: 1s, page_size: 10");
    let exporter = Exporter::start(&config).await;
    exporter.polled("j", "table", "success", 1.0).await;
    let mut one_moved = objects(0..50);
    one_moved[25].1 = 99;
    let in_front = [vec![("new".to_owned(), 1)], one_moved.clone()].concat();
    let steps = [objects(0..50), one_moved, in_front, objects(0..31), objects(0..80), objects(40..80), objects(0..50)];
    for (step, objects) in steps.into_iter().enumerate() {
        set(&world, "table", objects.clone());
        two_polls_later(&exporter, "j", "table").await;
        let fresh = Exporter::start(&config).await;
        fresh.polled("j", "table", "success", 1.0).await;
        let expected = objects.iter().map(|(name, percent)| {
            format!(r#"drs_object_progress{{job="j",type="table",src_db="a",src_tb="{name}",dst_db="c",dst_tb="{name}"}} {percent}"#)
        });
        let expected: Vec<String> = expected.collect();
        assert_eq!((lines(&exporter).await, lines(&fresh).await), (expected.clone(), expected), "step {step}");
    }
}

/// A configuration that looks for jobs, with these settings for what it finds.
fn finding(drs: &Drs, discovery: &str) -> String {
    drs.config(&[]).replace("    jobs:\n", &format!("    discovery: {{interval: 1s, types: [table], {discovery}}}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_shows_what_the_discovery_says() {
    let project = Project::with([job("found", "migration")]);
    let world = world(&[("table", &[("a", 0), ("b", 100), ("c", 50)])]);
    let (listing, listed_jobs) = (Arc::clone(&world), project.clone());
    let drs = Drs::answering_all(move |ask| listed(&listing, ask), move |request| listed_jobs.page(request)).await;
    for (objects, names, suppressed) in
        [("all", vec!["a", "b", "c"], 0.0), ("unfinished", vec!["a", "c"], 1.0), ("none", vec![], 3.0)]
    {
        let exporter = Exporter::start(&finding(&drs, &format!("objects: {objects}"))).await;
        let samples = exporter.polled("found", "table", "success", 1.0).await;
        assert_eq!(shown(&samples, "found", "table"), names, "{objects}");
        assert_eq!(samples.of("drs_objects_suppressed", "found", "table"), Some(suppressed), "{objects}");
        assert_eq!(samples.of("drs_objects", "found", "table"), Some(3.0), "{objects}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_does_not_tell_how_much_is_left_out() {
    let drs = Drs::answering(|ask| match ask.nth {
        0 => page(2, &[row("a", 10), row("b", 100)]),
        _ => failure(400, "DRS.M00202"),
    })
    .await;
    let config = drs
        .config(&["{id: j, types: [table], objects: unfinished}"])
        .replace("settled_interval: 1s", "settled_interval: 1s, stale_after: 4s");
    let exporter = Exporter::start(&config).await;
    let samples = exporter.polled("j", "table", "error", 1.0).await;
    let suppressed = |samples: &Samples| samples.of("drs_objects_suppressed", "j", "table");
    assert_eq!((suppressed(&samples), samples.objects("j", "table")), (Some(1.0), 1), "kept for now");
    let samples = exporter.until("the series to go", |samples| samples.objects("j", "table") == 0).await;
    assert_eq!((suppressed(&samples), samples.of("drs_objects", "j", "table")), (None, None));
    assert_eq!(samples.polls("j", "table", "success"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_met_exactly_and_by_one_more() {
    let world = world(&[("table", &[])]);
    let drs = drs(&world).await;
    let config = drs.config(&["{id: j, types: [table]}"]);
    let exporter = Exporter::start(&format!("{config}exposition: {{max_series_per_job: 25}}\n")).await;
    exporter.polled("j", "table", "success", 1.0).await;
    for (objects, told, suppressed) in [(24, 24, 0.0), (25, 25, 0.0), (26, 25, 1.0), (25, 25, 0.0)] {
        set(&world, "table", (0..objects).map(|number| (format!("t{number}"), 50)).collect());
        let samples = two_polls_later(&exporter, "j", "table").await;
        assert_eq!(samples.objects("j", "table"), told, "of {objects}");
        assert_eq!(samples.of("drs_objects_suppressed", "j", "table"), Some(suppressed), "of {objects}");
        assert_eq!(samples.of("drs_objects", "j", "table"), Some(f64::from(objects)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn toml_and_variables_say_what_is_shown() {
    let project = Project::with([job("found", "migration")]);
    let world = world(&[("table", &[("a", 0), ("b", 100), ("c", 50), ("d", 70)])]);
    let drs = Drs::answering_all(move |ask| listed(&world, ask), move |request| project.page(request)).await;
    let toml = format!(
        r#"
poll = {{interval = "1s"}}
exposition = {{max_series_per_job = 2}}
[[accounts]]
name = "a"
endpoint = "{}"
project_id = "p"
job_view = false
auth = {{token = "t"}}
discovery = {{interval = "1s", types = ["table"], objects = "none"}}
jobs = [{{id = "named", types = ["table"], objects = "unfinished"}}]
"#,
        drs.uri()
    );
    let overrides = [
        ("DRS_EXPORTER_ACCOUNTS__0__JOBS__0__OBJECTS", "none"),
        ("DRS_EXPORTER_ACCOUNTS__0__DISCOVERY__OBJECTS", "all"),
        ("DRS_EXPORTER_EXPOSITION__MAX_SERIES_PER_JOB", "3"),
    ];
    // What is shown of a named job and of a found one, without and with each variable.
    let cases: [(&[_], _, _); 3] = [(&[], 2, 0), (&overrides[..2], 0, 2), (&overrides[1..], 3, 3)];
    for (variables, named, found) in cases {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("drs-exporter.toml");
        std::fs::write(&file, &toml).unwrap();
        let mut command = program();
        command.arg("--config.file").arg(&file).args(["--web.listen-address=127.0.0.1:0", "--log.level=debug"]);
        command.envs(variables.iter().copied());
        let exporter = Exporter::run(command, folder).await;
        exporter.polled("named", "table", "success", 1.0).await;
        let samples = exporter.polled("found", "table", "success", 1.0).await;
        for (job, told) in [("named", named), ("found", found)] {
            assert_eq!(samples.objects(job, "table"), told, "{job} with {variables:?}");
            assert_eq!(samples.of("drs_objects_suppressed", job, "table"), Some(4.0 - told as f64), "{job}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_over_is_right_after_a_poll_that_failed_and_after_a_gap() {
    let world = world(&[("table", &[])]);
    let objects =
        |percent: u64| (0..30).map(move |number| (format!("t{number}"), if number == 25 { percent } else { 10 }));
    set(&world, "table", objects(10).collect());
    let fails = Arc::new(AtomicBool::new(false));
    let (failing, listing) = (Arc::clone(&fails), Arc::clone(&world));
    let drs = Drs::answering(move |ask| match failing.load(Relaxed) && ask.offset > 0 {
        // The first page comes, and is not to be seen without the others.
        true => failure(400, "DRS.M00202"),
        false => listed(&listing, ask),
    })
    .await;
    let config = drs
        .config(&["{id: j, types: [table]}"])
        .replace("settled_interval: 1s", "settled_interval: 1s, page_size: 10, stale_after: 4s");
    let exporter = Exporter::start(&config).await;
    exporter.polled("j", "table", "success", 1.0).await;
    let expected = |percent: u64| {
        let line = |(name, percent)| {
            format!(
                r#"drs_object_progress{{job="j",type="table",src_db="a",src_tb="{name}",dst_db="c",dst_tb="{name}"}} {percent}"#
            )
        };
        objects(percent).map(line).collect::<Vec<String>>()
    };
    for (percent, gap) in [(20, false), (40, true)] {
        fails.store(true, Relaxed);
        set(&world, "table", objects(percent).collect());
        let failed = exporter.samples().await.polls("j", "table", "error");
        let samples = exporter.polled("j", "table", "error", failed + 1.0).await;
        if gap {
            exporter.until("the series to go", |samples| samples.objects("j", "table") == 0).await;
        } else if samples.objects("j", "table") > 0 {
            assert_eq!(lines(&exporter).await, expected(10), "the listing before stays whole");
        }
        fails.store(false, Relaxed);
        two_polls_later(&exporter, "j", "table").await;
        assert_eq!(lines(&exporter).await, expected(percent));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_twice_over_three_pages_is_told_once_in_every_form() {
    // Each page repeats a row of each page before it, moved on; and a new object fills each gap.
    let rows = |numbers: &[u64], percent| numbers.iter().map(|n| row(&format!("t{n}"), percent)).collect::<Vec<_>>();
    let drs = Drs::answering(move |ask| match ask.offset {
        0 => page(12, &rows(&[0, 1, 2, 3], 10)),
        4 => page(12, &rows(&[3, 4, 5, 0], 20)),
        _ => page(12, &rows(&[5, 6, 1, 3], 30)),
    })
    .await;
    let config = drs
        .config(&["{id: j, types: [table]}"])
        .replace("settled_interval: 1s", "settled_interval: 1s, page_size: 4")
        .replace("{interval: 1s", "{interval: 30s");
    let exporter = Exporter::start(&config).await;
    exporter.polled("j", "table", "inconsistent", 1.0).await;
    let path = "/metrics?job=j";
    let identity = exporter.get(path).await.bytes().await.unwrap();
    let samples = Samples::parse(std::str::from_utf8(&identity).unwrap());
    let told: Vec<(String, f64)> = shown(&samples, "j", "table")
        .into_iter()
        .map(|name| {
            let series = format!(
                r#"drs_object_progress{{job="j",type="table",src_db="a",src_tb="{name}",dst_db="c",dst_tb="{name}"}}"#
            );
            (name, samples.get(&series).unwrap())
        })
        .collect();
    let expected = [("t0", 20.0), ("t1", 30.0), ("t2", 10.0), ("t3", 30.0), ("t4", 20.0), ("t5", 30.0), ("t6", 30.0)];
    assert_eq!(told, expected.map(|(name, percent)| (name.to_owned(), percent)));
    assert_eq!(samples.dropped("j", "table", "duplicate"), 5.0);
    let request = exporter.client().get(exporter.url(path)).header(ACCEPT_ENCODING, "gzip");
    let compressed = request.send().await.unwrap().bytes().await.unwrap();
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, identity);
    let checked = tools::run("prometheus", "promtool", &["check", "metrics"], &identity);
    let words = [checked.stdout, checked.stderr].concat();
    assert_eq!((checked.status.code(), String::from_utf8_lossy(&words)), (Some(0), "".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_word_or_number_is_refused_with_its_place() {
    let config = crate::support::drs::config("http://127.0.0.1:1", &["{id: j, objects: some}"]);
    let refused = run(&format!("{config}exposition: {{max_series_per_job: 0}}\n"), &["check"]).await;
    insta::assert_snapshot!(refused.out + &refused.err, @r#"
    drs-exporter.yml: accounts[0].jobs[0].objects: expected `all`, `unfinished` or `none`; found string "some"
    drs-exporter.yml: exposition.max_series_per_job: expected a number from 1 to 45000000; found 0
    2 problems in the configuration; nothing was started
    "#);
    assert_eq!(refused.code, Some(1));
}
