//! Accounts while the configuration is reread: who asks for a job may change, and what the cloud remembers of an account is remembered
//! here as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use wiremock::{Request, ResponseTemplate};

use crate::support::drs::{Drs, failure, page, row, whole};
use crate::support::eventually;
use crate::support::exporter::Exporter;
use crate::support::project::{Project, job};
use crate::support::samples::Samples;

const LIFECYCLE: &[&str] = &["--web.enable-lifecycle"];

/// Most attempts to log in within five minutes.
const MOST: usize = 4;

/// One account of a configuration.
struct Account<'a> {
    name: &'a str,
    drs: &'a Drs,
    /// What stands under `auth`, and more keys of the account.
    keys: &'a str,
    jobs: &'a [&'a str],
}

fn config(accounts: &[Account<'_>]) -> String {
    let account = |account: &Account<'_>| {
        let jobs: String = account.jobs.iter().map(|id| format!("      - {{id: {id}, types: [table]}}\n")).collect();
        let jobs = if jobs.is_empty() { "    jobs: []\n".to_owned() } else { format!("    jobs:\n{jobs}") };
        format!(
            "  - name: {}\n    endpoint: {uri}\n    iam_endpoint: {uri}\n    project_id: p\n    job_view: false\n    {}\n{jobs}",
            account.name,
            account.keys,
            uri = account.drs.uri(),
        )
    };
    let accounts: String = accounts.iter().map(account).collect();
    format!("accounts:\n{accounts}poll: {{interval: 1s, settled_interval: 1h}}\n")
}

const TOKEN: &str = "auth: {token: t}\n    limits: {timeout: 2s, requests_per_second: 1000, burst: 1000}";

async fn start(config: &str) -> Exporter {
    Exporter::start_with(config, LIFECYCLE).await
}

/// All that is told of the listings of a job.
fn all_of(samples: &Samples, job: &str) -> BTreeMap<String, f64> {
    let label = format!(r#"job="{job}",type="#);
    let of_job = samples.beginning("").into_iter().filter(|(series, _)| series.contains(&label));
    of_job.map(|(series, value)| (series.to_owned(), value)).collect()
}

fn of_account(samples: &Samples, account: &str) -> Vec<String> {
    let label = format!(r#"account="{account}""#);
    let of_account = samples.beginning("").into_iter().filter(|(series, _)| series.contains(&label));
    of_account.map(|(series, _)| series.to_owned()).collect()
}

async fn time_passes(exporter: &Exporter) {
    let polls = exporter.samples().await.polls("clock", "table", "success");
    exporter.polled("clock", "table", "success", polls + 3.0).await;
}

/// A DRS whose jobs are done, but for the clock.
async fn done() -> Drs {
    Drs::answering(|ask| if ask.job == "clock" { whole(ask, 1) } else { page(1, &[row("t", 100)]) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_taken_out_leaves_nothing_behind() {
    let project = Project::with([job("found", "migration")]);
    let token = |request: &Request| {
        (request.url.path() == "/v3/auth/tokens").then(|| {
            let ends = humantime::format_rfc3339_micros(std::time::SystemTime::now() + Duration::from_secs(86400));
            ResponseTemplate::new(201)
                .insert_header("X-Subject-Token", "t")
                .set_body_json(json!({"token": {"expires_at": ends.to_string(), "methods": ["password"]}}))
        })
    };
    let lists = project.clone();
    let b =
        Drs::answering_all(|ask| whole(ask, 1), move |request| token(request).unwrap_or_else(|| lists.page(request)));
    let (a, b) = (done().await, b.await);
    let first = Account { name: "a", drs: &a, keys: TOKEN, jobs: &["stays", "clock"] };
    let keys = "auth: {password: {user: u, domain: d, password: p}}\n    discovery: {interval: 1s}";
    let second = Account { name: "b", drs: &b, keys, jobs: &["named"] };
    let exporter = start(&config(&[first, second])).await;
    exporter.polled("named", "table", "success", 1.0).await;
    let before = exporter.polled("found", "table", "success", 1.0).await;
    let told = of_account(&before, "b").join("\n");
    for name in [
        "drs_api_requests_total",
        "drs_api_request_duration",
        "drs_api_budget_wait",
        "drs_auth_renewals",
        "drs_auth_expiry",
        "drs_discovery_success",
        "drs_discovery_last",
        "drs_job_info",
    ] {
        assert!(told.contains(name), "no {name}: {told}");
    }
    let stays = all_of(&before, "stays");
    let first = || Account { name: "a", drs: &a, keys: TOKEN, jobs: &["stays", "clock"] };
    exporter.takes(&config(&[first()])).await;
    let samples = exporter.until("nothing of the account", |samples| of_account(samples, "b").is_empty()).await;
    assert!(all_of(&samples, "named").is_empty() && all_of(&samples, "found").is_empty());
    let asked = (b.all_asked().len(), b.others().len());
    time_passes(&exporter).await;
    assert_eq!((b.all_asked().len(), b.others().len()), asked, "it is asked on");
    let samples = exporter.samples().await;
    assert_eq!((of_account(&samples, "b"), all_of(&samples, "stays")), (Vec::new(), stays));
    // It may come back, and begins anew.
    exporter.takes(&config(&[first(), Account { name: "b", drs: &b, keys: TOKEN, jobs: &["named"] }])).await;
    exporter.polled("named", "table", "success", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_when_it_moves_to_another_account_or_that_is_called_otherwise() {
    let (a, b) = (done().await, done().await);
    let at = |name, drs, jobs| Account { name, drs, keys: TOKEN, jobs };
    let exporter = start(&config(&[at("a", &a, &["moves", "clock"]), at("b", &b, &["other"])])).await;
    exporter.polled("other", "table", "success", 1.0).await;
    let before = exporter.polled("moves", "table", "success", 1.0).await;
    exporter.takes(&config(&[at("a", &a, &["clock"]), at("b", &b, &["other", "moves"])])).await;
    let whose = |samples: &Samples, account: &str| {
        samples
            .beginning(r#"drs_job_info{job="moves""#)
            .iter()
            .any(|(series, _)| series.contains(&format!(r#"account="{account}""#)))
    };
    exporter.until("it to be the other account's", |samples| whose(samples, "b")).await;
    exporter.takes(&config(&[at("a", &a, &["clock"]), at("c", &b, &["other", "moves"])])).await;
    let after =
        exporter.until("another name", |samples| whose(samples, "c") && of_account(samples, "b").is_empty()).await;
    for job in ["moves", "other"] {
        assert_eq!(all_of(&after, job), all_of(&before, job));
    }
    time_passes(&exporter).await;
    assert_eq!((a.asked("moves").len(), b.asked("moves").len(), b.asked("other").len()), (1, 0, 1), "no extra poll");
    // Asked for from now on is the other one.
    let quick = config(&[at("a", &a, &["clock"]), at("c", &b, &["other", "moves"])]).replace("1h", "1s");
    exporter.takes(&quick).await;
    let samples = exporter.polled("moves", "table", "success", 2.0).await;
    assert_eq!(a.asked("moves").len(), 1);
    assert!(!b.asked("moves").is_empty() && samples.polls("moves", "table", "error") == 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_put_right_hold_at_once() {
    for (wrong, right) in [
        ("auth: {token: wrong}", "auth: {token: right}"),
        ("auth: {access_key: {id: wrong, secret: s}}", "auth: {access_key: {id: right, secret: s}}"),
        // The password is the same, and the user another one.
        (
            "auth: {password: {user: wrong, domain: d, password: p}}",
            "auth: {password: {user: right, domain: d, password: p}}",
        ),
    ] {
        let log_in = |request: &Request| {
            if !String::from_utf8_lossy(&request.body).contains("\"right\"") {
                return failure(401, "APIGW.0301");
            }
            let ends = humantime::format_rfc3339_micros(std::time::SystemTime::now() + Duration::from_secs(86400));
            ResponseTemplate::new(201)
                .insert_header("X-Subject-Token", "right")
                .set_body_json(json!({"token": {"expires_at": ends.to_string(), "methods": ["password"]}}))
        };
        let drs = Drs::answering_all(
            |ask| {
                let good = ["x-auth-token", "authorization"]
                    .iter()
                    .any(|name| ask.headers.get(*name).is_some_and(|value| value.contains("right")));
                if good { whole(ask, 1) } else { failure(401, "APIGW.0301") }
            },
            log_in,
        )
        .await;
        let with = |keys| config(&[Account { name: "a", drs: &drs, keys, jobs: &["j", "k"] }]);
        let exporter = start(&with(wrong)).await;
        exporter.polled("j", "table", "auth", 2.0).await;
        let before = exporter.polled("k", "table", "auth", 2.0).await;
        exporter.takes(&with(right)).await;
        // An account that was refused would try again after 75 s by itself.
        let after = exporter.polled("j", "table", "success", 1.0).await;
        exporter.polled("k", "table", "success", 1.0).await;
        assert!(after.polls("j", "table", "auth") >= before.polls("j", "table", "auth"), "counters go on");
        let refused = |headers: &BTreeMap<String, String>| !headers.values().any(|value| value.contains("right"));
        let asked = drs.all_asked().into_iter().map(|ask| ask.headers.into_iter().collect::<BTreeMap<_, _>>());
        let attempts = asked.filter(refused).count() + drs.others().len();
        assert!((1..=MOST).contains(&attempts), "{wrong}: {attempts} attempts");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reload_makes_more_than_four_attempts() {
    for (auth, names) in [
        ("{access_key: {id: wrong-N, secret: s}}", ["a", "a"]),
        ("{token: wrong-N}", ["a", "a"]),
        ("{password: {user: u, domain: d, password: wrong-N}}", ["a", "a"]),
        // Another name each time, and taken out in between.
        ("{access_key: {id: wrong, secret: s}}", ["a", "b"]),
        ("{password: {user: u, domain: d, password: wrong}}", ["a", "b"]),
    ] {
        let (bad, good) =
            (Drs::answering_all(|_| failure(401, "APIGW.0301"), |_| failure(401, "APIGW.0301")).await, done().await);
        let clock = || Account { name: "clock", drs: &good, keys: TOKEN, jobs: &["clock"] };
        let with = |n: usize| {
            let keys = format!(
                "auth: {}\n    limits: {{requests_per_second: {}}}",
                auth.replace('N', &n.to_string()),
                100 + n
            );
            config(&[clock(), Account { name: names[n % 2], drs: &bad, keys: &keys, jobs: &["j", "k"] }])
        };
        let exporter = start(&with(0)).await;
        exporter.polled("j", "table", "auth", 1.0).await;
        for n in 1..8 {
            if n % 3 == 0 {
                exporter.takes(&config(&[clock()])).await;
            }
            exporter.takes(&with(n)).await;
            let tried = |samples: &Samples| samples.polls("j", "table", "auth") >= 1.0;
            exporter.until("a poll", tried).await;
        }
        time_passes(&exporter).await;
        let attempts = bad.all_asked().len() + bad.others().len();
        assert!((2..=MOST).contains(&attempts), "{auth} {names:?}: {attempts} attempts");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_other_limits_and_another_key() {
    let (pausing, good) =
        (Drs::answering(|_| failure(429, "APIGW.0308").insert_header("Retry-After", "3600")).await, done().await);
    let clock = || Account { name: "clock", drs: &good, keys: TOKEN, jobs: &["clock"] };
    let with = |keys| config(&[clock(), Account { name: "a", drs: &pausing, keys, jobs: &["j"] }]);
    let exporter = start(&with("auth: {token: t}")).await;
    exporter.polled("j", "table", "throttled", 1.0).await;
    let asked = pausing.all_asked().len();
    for keys in [
        "auth: {token: t}\n    limits: {concurrency: 7}",
        "auth: {token: other}",
        "auth: {token: other}\n    language: zh-cn",
    ] {
        exporter.takes(&with(keys)).await;
    }
    exporter.takes(&config(&[clock()])).await;
    exporter.takes(&with("auth: {token: t}")).await;
    time_passes(&exporter).await;
    assert_eq!(pausing.all_asked().len(), asked, "asked while it pauses");
    // Another DRS has not asked for a pause.
    exporter.takes(&config(&[clock(), Account { name: "a", drs: &good, keys: TOKEN, jobs: &["j"] }])).await;
    exporter.polled("j", "table", "success", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_credentials_do_not_wait_for_a_poll_under_way() {
    let slow = Drs::answering(|ask| {
        let late = ask.headers["x-auth-token"] == "old";
        whole(ask, 1).set_delay(Duration::from_secs(if late { 3600 } else { 0 }))
    })
    .await;
    let keys = |token: &str| format!("auth: {{token: {token}}}\n    limits: {{timeout: 10m}}");
    let with = |token: &str| config(&[Account { name: "a", drs: &slow, keys: &keys(token), jobs: &["j"] }]);
    let exporter = start(&with("old")).await;
    eventually("a poll under way", || async { (slow.asked("j").len() == 1).then_some(()) }).await;
    exporter.takes(&with("new")).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!(samples.polls("j", "table", "error"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_that_stays_is_not_made_again() {
    let log_in = |_: &Request| {
        let ends = humantime::format_rfc3339_micros(std::time::SystemTime::now() + Duration::from_secs(86400));
        ResponseTemplate::new(201)
            .insert_header("X-Subject-Token", "t")
            .set_body_json(json!({"token": {"expires_at": ends.to_string(), "methods": ["password"]}}))
    };
    let drs = Drs::answering_all(|ask| whole(ask, 1), log_in).await;
    let user = "auth: {password: {user: u, domain: d, password: p}}";
    let with = |more: &str, jobs| {
        let keys = format!("{user}\n    limits: {{requests_per_second: 1000, {more}}}");
        config(&[Account { name: "a", drs: &drs, keys: &keys, jobs }])
    };
    let exporter = start(&with("burst: 10", &["clock"])).await;
    exporter.polled("clock", "table", "success", 1.0).await;
    exporter.takes(&with("burst: 10", &["clock", "j"])).await;
    exporter.takes(&with("burst: 20", &["clock", "j"])).await;
    time_passes(&exporter).await;
    assert_eq!(drs.others().len(), 1);
    let samples = exporter.samples().await;
    assert_eq!(samples.beginning("drs_auth_expiry_timestamp_seconds").len(), 1);
    // What a token of the user's own is good for, nobody says.
    exporter.takes(&config(&[Account { name: "a", drs: &drs, keys: TOKEN, jobs: &["clock", "j"] }])).await;
    let samples = exporter.samples().await;
    assert!(samples.beginning("drs_auth_expiry_timestamp_seconds").is_empty());
    assert_eq!(samples.get(r#"drs_auth_renewals_total{account="a",outcome="success"}"#), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_comes_changes_and_goes() {
    let project = Project::with([job("one", "migration"), job("two", "sync"), job("named", "sync")]);
    let lists = project.clone();
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let drs = Drs::answering_all(
        |ask| if ask.job == "clock" { whole(ask, 1) } else { page(1, &[row("t", 100)]) },
        move |request| if failing.load(Ordering::SeqCst) { failure(500, "") } else { lists.page(request) },
    )
    .await;
    let with = |name: &'static str, discovery: &str, jobs| {
        let keys = format!("{TOKEN}{discovery}");
        config(&[Account { name, drs: &drs, keys: &keys, jobs }])
    };
    let found = |filter: &str| format!("\n    discovery: {{interval: 6h, types: [table]{filter}}}");
    let exporter = start(&with("a", "", &["named", "clock"])).await;
    let before = exporter.polled("named", "table", "success", 1.0).await;
    // It comes, and is listed at once.
    exporter.takes(&with("a", &found(""), &["named", "clock"])).await;
    exporter.polled("one", "table", "success", 1.0).await;
    let both = exporter.polled("two", "table", "success", 1.0).await;
    let asked = drs.others().len();
    // Other filters need no other list; a job that is not named any more goes on where the list has it.
    exporter.takes(&with("a", &found(", exclude: one"), &["clock"])).await;
    let samples = exporter.samples().await;
    assert!(all_of(&samples, "one").is_empty());
    assert_eq!((all_of(&samples, "two"), all_of(&samples, "named")), (all_of(&both, "two"), all_of(&before, "named")));
    exporter.takes(&with("a", &found(""), &["clock"])).await;
    exporter.polled("one", "table", "success", 1.0).await;
    time_passes(&exporter).await;
    assert_eq!(drs.others().len(), asked, "listed again");
    assert_eq!((drs.asked("one").len(), drs.asked("two").len(), drs.asked("named").len()), (2, 1, 1));
    // By another name, while there is no list.
    fails.store(true, Ordering::SeqCst);
    exporter.takes(&with("b", &found(""), &["clock"])).await;
    exporter
        .until("a list that fails", |samples| samples.get(r#"drs_discovery_success{account="b"}"#) == Some(0.0))
        .await;
    let samples = exporter.until("the other name", |samples| of_account(samples, "a").is_empty()).await;
    assert_eq!((all_of(&samples, "two"), all_of(&samples, "named")), (all_of(&both, "two"), all_of(&before, "named")));
    // Other jobs are wanted: what is followed stays until there is a list of these.
    exporter.takes(&with("b", &found(", job_types: [migration]"), &["clock"])).await;
    assert_eq!(all_of(&exporter.samples().await, "two"), all_of(&both, "two"));
    fails.store(false, Ordering::SeqCst);
    exporter.takes(&with("b", &found(", job_types: [migration], enterprise_project_id: \"0\""), &["clock"])).await;
    exporter.until("the list", |samples| all_of(samples, "two").is_empty()).await;
    // It goes.
    exporter.takes(&with("b", "", &["clock"])).await;
    let samples = exporter.samples().await;
    assert!(all_of(&samples, "one").is_empty() && samples.beginning("drs_discovery").is_empty());
}
