//! The status page, as a browser shows it and as its text has it.

use std::sync::{Arc, Mutex};

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::Value;
use wiremock::Request;

use crate::support::chromium::Chromium;
use crate::support::drs::{Drs, failure, page, row, whole};
use crate::support::eventually;
use crate::support::exporter::Exporter;
use crate::support::project::{Project, job};
use crate::support::states::{self, NASTY, NASTY_JOB, STATES};

async fn text(exporter: &Exporter, path: &str) -> String {
    exporter.get(path).await.text().await.unwrap()
}

/// The names of the jobs on a page, in order.
fn jobs(page: &str) -> Vec<&str> {
    page.split("<h2 id=\"job-").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect()
}

/// What a page says, without its tags.
fn words(page: &str) -> String {
    let parts = page.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect::<String>().replace("&#38;", "&").replace("&#39;", "'").replace("&#34;", "\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_what_there_is_and_asks_nobody_else() {
    let (_drs, exporter) = states::all().await;
    let chromium = Chromium::start().await;
    chromium.open(&exporter.url("/?job=stalled")).await;
    let text = chromium.text().await;
    for expected in [
        &format!("{NASTY_JOB} Stalled")[..],
        "62.5 %",
        "1 object stands still:",
        &format!("table a.{NASTY} → c.{NASTY} at 50 %"),
        "1 stalled, 1 not started, 2 done",
        "not known: nothing moves",
        "none since the first look",
        "DRS says FULL_TRANSFER_STARTED",
        "increments 3 s behind",
        "Without objects: event.",
    ] {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
    let bars = "return [...document.querySelectorAll('progress')].map(bar => [bar.ariaLabel, bar.value])";
    let told = chromium.run(bars).await;
    assert_eq!(told[0], serde_json::json!([format!("Progress of {NASTY_JOB}"), 62.5]));
    chromium.open(&exporter.url("/")).await;
    let count = async |selector: &str| {
        chromium.run(&format!("return document.querySelectorAll({selector:?}).length")).await.as_u64().unwrap()
    };
    assert_eq!(count("article.job").await, STATES.len() as u64);
    for nothing in
        ["script", "img", "link", "iframe", "[style]", "[onclick]", "progress:not([aria-label])", "th:not([scope])"]
    {
        assert_eq!(count(nothing).await, 0, "{nothing}");
    }
    for one in ["main", "header.top", "footer", "h1", "form[role=search]", "meta[http-equiv=refresh]", "html[lang=en]"]
    {
        assert_eq!(count(one).await, 1, "{one}");
    }
    for some in ["nav[aria-label]", "time[datetime][title]", "details", "article[aria-labelledby]"] {
        assert!(count(some).await > 0, "{some}");
    }
    let unnamed = "return [...document.querySelectorAll('article')].filter(job => \
                   !document.getElementById(job.getAttribute('aria-labelledby'))?.textContent).length \
                   + [...document.querySelectorAll('input:not([type=hidden]), select')].filter(field => !field.labels.length).length";
    assert_eq!(chromium.run(unnamed).await, 0);
    assert_eq!(chromium.run("return document.title").await, "5 need attention · DRS migrations");
    let requests = chromium.requests().await;
    let ours: Vec<&String> =
        requests.iter().filter(|url| !url.starts_with("data:") && !url.starts_with("chrome")).collect();
    assert!(ours.len() >= 2 && ours.iter().all(|url| url.starts_with(&exporter.url("/"))), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_it_is_the_same() {
    let drs = Drs::answering(|_| page(2, &[row("a", 100), row("b", 100)])).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    states::until(&exporter, "j", "finished").await;
    let chromium = Chromium::start().await;
    let shown = async || {
        chromium.open(&exporter.url("/?job=j")).await;
        // Ages and the time are others each time.
        let words = chromium.text().await;
        words
            .lines()
            .filter(|line| !line.contains("ago") && !line.contains("now") && !line.contains("UTC"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let with = shown().await;
    chromium.without_scripts().await;
    assert_eq!(shown().await, with);
    assert!(with.contains("Finished") && with.contains("100 %") && with.contains("2 done"), "{with}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_looked_at_in_light_and_dark_and_on_a_phone() {
    let (_drs, exporter) = states::all().await;
    let chromium = Chromium::start().await;
    let mut brightness = Vec::new();
    for (name, width, height, scheme) in
        [("light", 1280, 1600, "light"), ("dark", 1280, 1600, "dark"), ("phone", 390, 1600, "light")]
    {
        chromium.screen(width, height, scheme).await;
        for (page, path) in [("all", "/"), ("job", "/?job=stalled")] {
            chromium.open(&exporter.url(path)).await;
            let wide = chromium.run("return document.documentElement.scrollWidth").await;
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{name} {page}: {wide} pixels wide");
            let picture = chromium.picture(&format!("{name}-{page}")).await;
            assert_eq!((picture.width, picture.height), (width, height));
            assert!(picture.colours() > 100, "{name} {page}: {} colours", picture.colours());
            brightness.push(picture.brightness());
            assert_eq!(too_faint(&chromium).await, [""; 0], "{name} {page}");
        }
    }
    let [light, light_job, dark, dark_job, phone, phone_job] = brightness[..] else { panic!("{brightness:?}") };
    assert!(light.min(light_job).min(phone).min(phone_job) > 190 && dark.max(dark_job) < 70, "{brightness:?}");
}

/// Texts with too little contrast to what is behind them, by the formula of WCAG.
async fn too_faint(chromium: &Chromium) -> Vec<String> {
    let script = r#"
        const parts = colour => colour.match(/[\d.]+/g).map(Number);
        const luminance = colour => parts(colour).slice(0, 3)
            .map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
        const behind = element => {
            const colour = getComputedStyle(element).backgroundColor;
            const clear = colour === "transparent" || parts(colour)[3] === 0;
            return !clear ? colour : element.parentElement ? behind(element.parentElement) : "rgb(255, 255, 255)";
        };
        const faint = [];
        for (const element of document.body.querySelectorAll("*")) {
            if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
            const [one, other] = [luminance(getComputedStyle(element).color), luminance(behind(element))];
            const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
            if (contrast < 4.5) faint.push(`${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 80)}`);
        }
        return faint"#;
    serde_json::from_value(chromium.run(script).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_told_in_words() {
    let (_drs, exporter) = states::all().await;
    let table: [(&str, &[&str]); 12] = [
        ("failed", &["Failed", "DRS says that the job failed: FULL_TRANSFER_FAILED."]),
        ("stalled", &["Stalled", "1 object stands still:", "not known: nothing moves"]),
        ("stale", &["No fresh data", "Polls of table fail: ", "about DRS.M00202", "which is too old to be shown."]),
        ("failing", &["Polls fail", "Polls of table fail: ", "about DRS.M00202", "Nothing was read since the start."]),
        ("gone", &["Gone", "DRS has no table of this job any more: ", "about DRS.M05004"]),
        ("paused", &["Paused", "DRS says that the job is paused: PAUSING.", "30 %"]),
        ("in_progress", &["In progress", "1 in progress, 1 done"]),
        ("not_started", &["Not started", "0 %", "1 not started", "not known: nothing moves"]),
        ("waiting", &["First poll to come", "not known yet", "First poll to come: table."]),
        ("finished", &["Finished", "100 %", "1 done", "nothing left"]),
        ("empty", &["No objects", "nothing to move", "Without objects: table."]),
        ("unsupported", &["Not listed", "Not listed by DRS for this job: table."]),
    ];
    for (job, expected) in table {
        let page = text(&exporter, &format!("/?job={job}")).await;
        let words = words(&page);
        for expected in expected {
            assert!(words.contains(expected), "{job}: no {expected:?} in {words}");
        }
        assert_eq!(jobs(&page), [job]);
    }
    let urgent_first = text(&exporter, "/").await;
    assert_eq!(jobs(&urgent_first), STATES);
    assert!(words(&urgent_first).contains("1 first poll is still to come."));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_polls_fail_the_last_good_listing_is_shown_with_its_age() {
    let drs =
        Drs::answering(|ask| if ask.nth == 0 { page(1, &[row("a", 40)]) } else { failure(400, "DRS.M00202") }).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    let job = states::until(&exporter, "j", "failing").await;
    assert_eq!(job["progress_percent"], 40.0);
    let words = words(&text(&exporter, "/").await);
    for expected in ["Polls fail", "40 %", "about DRS.M00202", "It was last read "] {
        assert!(words.contains(expected), "no {expected:?} in {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_has_a_pace_and_a_time_left_and_what_fell_or_left_is_told() {
    let drs = Drs::answering(|ask| match ask.nth {
        0 => page(4, &[row("a", 50), row("b", 40), row("c", 90), row("d", 10)]),
        nth => page(2, &[row("a", 30), row("d", 10 + nth as u64 % 80)]),
    })
    .await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    exporter.until("a time left", |samples| samples.of("drs_eta_seconds", "j", "table").is_some()).await;
    let words = words(&text(&exporter, "/?job=j").await);
    for expected in [
        "% a minute",
        "about ",
        "2 in progress",
        "table: a percent fell 1 time since the start.",
        "table: 2 objects below 100 % left the listing since the start.",
        "Slowest objects on their way",
    ] {
        assert!(words.contains(expected), "no {expected:?} in {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_and_ordered_by_the_address_alone() {
    let (_drs, exporter) = states::all().await;
    let shown = async |query: &str| {
        let page = text(&exporter, &format!("/?{query}")).await;
        jobs(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown("state=attention").await, ["failed", "stalled", "stale", "failing", "gone"]);
    assert_eq!(shown("state=stalled&q=").await, ["stalled"]);
    assert_eq!(shown("q=ORDERS").await, ["stalled"], "by name");
    assert_eq!(shown("q=finish").await, ["finished"], "by id");
    assert_eq!(shown("q=test").await.len(), STATES.len(), "by account");
    assert_eq!(shown("q=test&state=gone").await, ["gone"]);
    assert_eq!(shown("job=gone&job=empty&q=x&sort=name").await, ["empty", "gone"]);
    let by_progress = shown("sort=progress").await;
    assert_eq!(by_progress.iter().position(|job| job == "not_started"), Some(0), "{by_progress:?}");
    let unknown = ["empty", "failing", "gone", "stale", "unsupported", "waiting"];
    assert_eq!(by_progress[6..], unknown, "what is not known comes last");
    assert_eq!(by_progress[5], "finished");
    let page = text(&exporter, "/?state=waiting&q=nobody").await;
    assert!(words(&page).contains("None of the 12 jobs is like that."), "{page}");
    for wrong in ["state=x", "sort=x", "refresh=x", "job=.."] {
        assert_eq!(exporter.get(&format!("/?{wrong}")).await.status(), 400, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_renews_itself_as_it_is_or_holds_still() {
    let (_drs, exporter) = states::all().await;
    let renewed = text(&exporter, "/?state=stalled&sort=name").await;
    assert!(
        renewed.contains(r#"<meta http-equiv="refresh" content="15">"#),
        "without an address, so that it stays this one"
    );
    assert!(
        renewed.contains(r#"<a href="/?state=stalled&#38;sort=name&#38;refresh=off">Hold it still</a>"#),
        "{renewed}"
    );
    assert!(renewed.contains(r#"<option value="stalled" selected>"#));
    assert!(renewed.contains(r#"<a href="/?job=stalled&#38;state=stalled&#38;sort=name">"#), "the job's own page");
    let still = text(&exporter, "/?state=stalled&refresh=off").await;
    assert!(!still.contains("http-equiv"), "{still}");
    assert!(still.contains(r#"<input type="hidden" name="refresh" value="off">"#), "{still}");
    let own = text(&exporter, "/?job=stalled&refresh=off").await;
    assert!(own.contains("<details open>") && own.contains(r#"<a href="/?refresh=off">← All jobs</a>"#), "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_do_nothing_with_it_but_show_it() {
    let (_drs, exporter) = states::all().await;
    let answer = exporter.get("/").await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("script") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(
        (&answer.headers()["x-content-type-options"], &answer.headers()["cache-control"]),
        (&"nosniff".parse().unwrap(), &"no-store".parse().unwrap())
    );
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    let body = answer.text().await.unwrap();
    for name in ["<script", "<img", "http://", "https://", "style=\""] {
        assert!(!body.contains(name), "{name}");
    }
    let packed = exporter.client().get(exporter.url("/")).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
    assert!(packed.bytes().await.unwrap().len() * 4 < body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_names_the_version_and_links_to_what_there_is() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let config = drs.config(&["{id: j, types: [table]}"]);
    let exporter = Exporter::start_with(&config, &["--web.telemetry-path=/drs/metrics"]).await;
    exporter.until_ready().await;
    let page = text(&exporter, "/").await;
    assert!(page.contains(concat!("drs-exporter ", env!("CARGO_PKG_VERSION"))), "{page}");
    let links: Vec<&str> = page.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
    for expected in [
        "/drs/metrics",
        "/drs/metrics?job=j",
        "/api/v1/jobs?job=j",
        "/api/v1/jobs",
        "/api/v1/schema",
        "/-/healthy",
        "/-/ready",
    ] {
        assert!(links.contains(&expected), "no {expected} in {links:?}");
    }
    for link in links.iter().filter(|link| link.starts_with('/')) {
        assert_eq!(exporter.get(&link.replace("&#38;", "&")).await.status(), 200, "{link}");
    }
    assert_eq!(exporter.get("/metrics").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_followed_no_more_is_gone_from_it() {
    let project = Project::with([job("stays", "sync"), job("leaves", "sync")]);
    let pages = project.clone();
    let drs = Drs::answering_all(|ask| whole(ask, 1), move |request: &Request| pages.page(request)).await;
    let config = drs.config(&[]).replace("jobs:\n", "discovery: {interval: 1s, types: [table]}\n");
    let exporter = Exporter::start(&config).await;
    states::until(&exporter, "leaves", "in_progress").await;
    assert!(jobs(&text(&exporter, "/").await).contains(&"leaves"));
    project.remove("leaves");
    eventually("the job to be forgotten", || async {
        (exporter.get("/api/v1/jobs?job=leaves").await.status() == 404).then_some(())
    })
    .await;
    assert_eq!(jobs(&text(&exporter, "/").await), ["stays"]);
    let answer = exporter.get("/?job=leaves").await;
    assert_eq!(answer.status(), 404);
    let page = answer.text().await.unwrap();
    assert!(page.contains("The job leaves is not followed.") && page.contains("http-equiv=\"refresh\""), "{page}");
    project.remove("stays");
    let empty = eventually("no job", || async {
        let page = text(&exporter, "/").await;
        jobs(&page).is_empty().then_some(page)
    });
    assert!(empty.await.contains("No job is followed at present."));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_are_cut_and_told_in_full_where_somebody_points_at_them() {
    let (long, endless) = ("l".repeat(100), "e".repeat(5000));
    let listing = Arc::new(Mutex::new(page(2, &[row(&long, 50), row(&endless, 60)])));
    let drs = Drs::answering(move |_| listing.lock().unwrap().clone()).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    let job = states::until(&exporter, "j", "in_progress").await;
    let slowest = |place: usize| job["types"][0]["slowest"][place]["src_tb"].as_str().unwrap().to_owned();
    assert_eq!(slowest(0), long);
    assert!(slowest(1).ends_with("e…") && slowest(1).len() <= 1024);
    let page = text(&exporter, "/?job=j").await;
    assert!(page.contains(&format!("title=\"a.{long}\">a.{}…<", "l".repeat(62))), "{page}");
    assert!(!page.contains(&"e".repeat(1025)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_jobs_fit_on_it() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let lines: Vec<String> = (0..1000).map(|number| format!("{{id: job-{number:04}, interval: 30d}}")).collect();
    let exporter = Exporter::start(&drs.config(&lines.iter().map(String::as_str).collect::<Vec<_>>())).await;
    eventually("all jobs", || async {
        let document: Value = states::document(&exporter).await;
        let types = document["jobs"].as_array().unwrap().iter().map(|job| job["types"].as_array().unwrap().len());
        (types.sum::<usize>() == 9000).then_some(())
    })
    .await;
    let page = text(&exporter, "/").await;
    assert_eq!(jobs(&page).len(), 1000);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert_eq!(page.matches("<details>").count(), 50);
    assert_eq!(jobs(&text(&exporter, "/?q=job-00").await).len(), 100);
}
