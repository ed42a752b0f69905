//! How the exporter gets in, whichever way, and that it never knocks so often that it is locked out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::{Request, ResponseTemplate};

use crate::support::drs::{Ask, Drs, failure, whole};
use crate::support::exporter::{Exporter, program};
use crate::support::samples::Samples;
use crate::support::simulator::Simulator;
use crate::support::{PATIENCE, eventually, eventually_within};

const JOB: &str = "{id: j, types: [table]}";

/// Most attempts in five minutes.
const MOST: usize = 4;

const PASSWORD: &str = "{password: {user: monitor, domain: acme, password: s3cret}}";
const ACCESS_KEY: &str = "{access_key: {id: AK, secret: SK}}";

/// A scripted DRS and an IAM that hands out the tokens `token-1`, `token-2` and so on, each good for so long.
struct Cloud {
    drs: Drs,
    log_ins: Arc<Mutex<Vec<Instant>>>,
}

impl Cloud {
    async fn new(life: Duration, script: impl Fn(&Ask) -> ResponseTemplate + Send + Sync + 'static) -> Self {
        let log_ins = Arc::new(Mutex::new(Vec::new()));
        let count = Arc::clone(&log_ins);
        let other = move |request: &Request| {
            let mut log_ins = count.lock().unwrap();
            log_ins.push(Instant::now());
            let nth = log_ins.len();
            match request.url.path() {
                "/v3/auth/tokens" => token(nth, life),
                "/openstack/latest/securitykey" => security_key(nth, life),
                path => panic!("unexpected path {path}"),
            }
        };
        Self { drs: Drs::answering_all(script, other).await, log_ins }
    }

    fn log_ins(&self) -> usize {
        self.log_ins.lock().unwrap().len()
    }

    fn config(&self, auth: &str, jobs: &[&str]) -> String {
        config(&self.drs, auth, jobs)
    }
}

fn config(drs: &Drs, auth: &str, jobs: &[&str]) -> String {
    let auth = auth.replace("{agency}", &format!("{{agency: {{endpoint: {}}}}}", drs.uri()));
    drs.config(jobs).replace("auth: {token: the-token}", &format!("auth: {auth}\n    iam_endpoint: {}", drs.uri()))
}

fn ends(life: Duration) -> String {
    humantime::format_rfc3339_micros(SystemTime::now() + life).to_string()
}

fn token(nth: usize, life: Duration) -> ResponseTemplate {
    ResponseTemplate::new(201)
        .insert_header("X-Subject-Token", format!("token-{nth}"))
        .set_body_json(json!({"token": {"expires_at": ends(life), "methods": ["password"]}}))
}

fn security_key(nth: usize, life: Duration) -> ResponseTemplate {
    let (access, secret, token) = (format!("AK-{nth}"), format!("SK-{nth}"), format!("token-{nth}"));
    let key = json!({"access": access, "secret": secret, "securitytoken": token, "expires_at": ends(life)});
    ResponseTemplate::new(200).set_body_json(json!({"credential": key}))
}

fn renewals(samples: &Samples, outcome: &str) -> f64 {
    samples.get(&format!(r#"drs_auth_renewals_total{{account="test",outcome="{outcome}"}}"#)).unwrap_or_default()
}

fn expiry(samples: &Samples, account: &str) -> Option<f64> {
    samples.get(&format!(r#"drs_auth_expiry_timestamp_seconds{{account="{account}"}}"#))
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn every_way_in_is_open_also_where_only_the_region_is_named() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let job = simulator.jobs().remove(0);
    let by_region = format!("region: simulated-1\n    iam_endpoint: {}", simulator.url(""));
    let agency = format!("{{agency: {{endpoint: {}}}}}", simulator.url(""));
    for (auth, lent) in [
        ("{token: simulated-token}", false),
        ("{access_key: {id: SIMULATEDACCESSKEY, secret: simulated-secret-key}}", false),
        ("{password: {user: monitor, domain: simulated-domain, password: simulated-password}}", true),
        (&agency, true),
    ] {
        for project in ["project_id: simulated-project", ""] {
            let config = simulator.config.replace("auth: {token: simulated-token}", &format!("auth: {auth}"));
            let config = config.replace("project_id: simulated-project", &format!("{by_region}\n    {project}"));
            let exporter = Exporter::start(&config).await;
            let samples = exporter.polled(&job, "table", "success", 1.0).await;
            assert_eq!(expiry(&samples, "simulated").is_some(), lent, "{auth}");
            assert_eq!(samples.polls(&job, "table", "auth"), 0.0, "{auth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_dies_in_the_middle_of_a_listing_is_renewed_once() {
    // The first token dies when 30 pages were read, without having said so.
    let read = AtomicUsize::new(0);
    let cloud = Cloud::new(DAY, move |ask| {
        let dead = ask.headers["x-auth-token"] == "token-1" && read.fetch_add(1, Ordering::SeqCst) >= 30;
        if dead { failure(403, "DRS.M00100") } else { whole(ask, 50) }
    })
    .await;
    let jobs = ["a", "b", "c"];
    let lines = jobs.map(|job| format!("{{id: {job}, types: [table]}}"));
    let config = cloud.config(PASSWORD, &lines.each_ref().map(String::as_str));
    let exporter = Exporter::start(&config.replace("interval: 1s, ", "interval: 1s, page_size: 2, ")).await;
    for job in jobs {
        let samples = exporter.polled(job, "table", "success", 1.0).await;
        assert_eq!(samples.objects(job, "table"), 50);
    }
    let samples = exporter.polled("a", "table", "success", 3.0).await;
    for job in jobs {
        assert_eq!(samples.polls(job, "table", "auth"), 0.0, "{job}");
    }
    assert!(jobs.iter().any(|job| samples.errors(job, "table", "DRS.M00100") > 0.0), "it is counted all the same");
    assert_eq!(cloud.log_ins(), 2);
    assert_eq!((renewals(&samples, "success"), renewals(&samples, "failure")), (2.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lent_is_renewed_ahead_of_its_end_and_by_one_request_at_a_time() {
    for auth in [PASSWORD, "{agency}"] {
        let life = Duration::from_secs(8);
        let cloud = Cloud::new(life, |ask| whole(ask, 1)).await;
        let exporter = Exporter::start(&cloud.config(auth, &["{id: j}", "{id: k}", "{id: l}"])).await;
        let first = exporter.until("the first log-in", |samples| expiry(samples, "test").is_some()).await;
        let later = |samples: &Samples| expiry(samples, "test") > expiry(&first, "test");
        let samples = exporter.until("a renewal", later).await;
        assert_eq!(cloud.log_ins(), 2, "{auth}: one for each, however many wait");
        assert_eq!(renewals(&samples, "success"), 2.0);
        let log_ins = cloud.log_ins.lock().unwrap().clone();
        assert!(log_ins[1] - log_ins[0] < life * 7 / 8, "{auth}: {:?}", log_ins[1] - log_ins[0]);
        let failed = samples
            .beginning("drs_polls_total")
            .into_iter()
            .filter(|(series, polls)| !series.contains("success") && *polls > 0.0);
        assert_eq!(failed.count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_proves_itself_with_temporary_keys_and_opens_a_session_where_one_is_wanted() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&seen);
    let metadata = move |request: &Request| {
        let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        asked.lock().unwrap().push((request.method.to_string(), request.url.path().to_owned()));
        match (request.method.as_str(), header("x-metadata-token").as_deref()) {
            ("PUT", _) if header("x-metadata-token-ttl-seconds").is_some() => {
                ResponseTemplate::new(200).set_body_string("session\n")
            }
            ("GET", Some("session")) => security_key(1, DAY),
            _ => ResponseTemplate::new(401),
        }
    };
    let drs = Drs::answering_all(|ask| whole(ask, 1), metadata).await;
    let exporter = Exporter::start(&config(&drs, "{agency}", &[JOB])).await;
    exporter.polled("j", "table", "success", 2.0).await;
    let headers = &drs.asked("j")[0].headers;
    assert_eq!(headers["x-security-token"], "token-1");
    assert!(headers["authorization"].starts_with("SDK-HMAC-SHA256 Access=AK-1, SignedHeaders="), "{headers:?}");
    assert!(headers["authorization"].contains("x-security-token") && headers["authorization"].contains("host"));
    let (key, session) = ("/openstack/latest/securitykey", "/meta-data/latest/api/token");
    let expected =
        [("GET", key), ("PUT", session), ("GET", key)].map(|(method, path)| (method.to_owned(), path.to_owned()));
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_refused_is_not_tried_more_than_four_times() {
    let refusals = [(401, "APIGW.0301"), (403, "DRS.M00100"), (401, "")];
    let ways = ["{token: t}", PASSWORD, ACCESS_KEY, "{agency}"].into_iter();
    let cases = ways.flat_map(|auth| refusals.map(|(status, code)| refused_for_good(auth, status, code)));
    join_all(cases).await;
}

async fn refused_for_good(auth: &str, status: u16, code: &'static str) {
    let cloud = Cloud::new(DAY, move |_| failure(status, code)).await;
    let exporter = Exporter::start(&cloud.config(auth, &["{id: j}", "{id: k, types: [table, view]}"])).await;
    let waited = |samples: &Samples| samples.get(r#"drs_api_budget_wait_seconds_total{account="test"}"#);
    let before = exporter.polled("j", "table_indexs", "auth", 3.0).await;
    let samples = exporter.polled("j", "table", "auth", 6.0).await;
    assert_eq!(waited(&samples), waited(&before), "what may not be asked does not stand in line");
    let asked = cloud.drs.all_asked().len();
    assert!((1..=MOST).contains(&(asked + cloud.log_ins())), "{auth} {code}: {asked} and {} log-ins", cloud.log_ins());
    let word = if code.is_empty() { "http_401" } else { code };
    let counted: f64 = samples.beginning("drs_api_errors_total").iter().map(|(_, times)| times).sum();
    assert_eq!(counted, asked as f64, "{auth} {code}: what was not asked is no error of DRS");
    assert!(samples.beginning("drs_api_errors_total").iter().all(|(series, _)| series.contains(word)));
    assert_eq!(samples.of("drs_poll_success", "j", "table"), Some(0.0));
    let log = exporter.log();
    assert!(log.contains("nothing is asked before 20") && log.contains("check its `auth`"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_that_fails_is_not_tried_more_than_four_times_and_a_new_password_at_once() {
    let wrong = |request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let user = &body["auth"]["identity"]["password"]["user"];
        assert_eq!((&user["name"], &user["domain"]["name"]), (&json!("monitor"), &json!("acme")));
        assert_eq!(body["auth"]["scope"]["project"]["id"], "the-project");
        if user["password"] == "new" {
            return token(1, DAY);
        }
        let refusal =
            json!({"error": {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}});
        ResponseTemplate::new(401).set_body_json(refusal)
    };
    let drs = Drs::answering_all(|ask| whole(ask, 1), wrong).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "old").unwrap();
    let auth = format!("{{password: {{user: monitor, domain: acme, password: {{file: {}}}}}}}", file.display());
    let exporter = Exporter::start(&config(&drs, &auth, &["{id: j}", "{id: k}"])).await;
    let samples = exporter.polled("j", "table", "auth", 6.0).await;
    assert!(drs.others().len() <= MOST && renewals(&samples, "failure") == drs.others().len() as f64);
    assert!(drs.all_asked().is_empty(), "DRS was asked without a token");
    let log = exporter.log();
    assert!(log.contains("The username or password is wrong.") && log.contains("check the user"), "{log}");
    let before = drs.others().len();
    std::fs::write(&file, "new\n").unwrap();
    exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!(drs.others().len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iam_that_gives_no_token_is_told_of() {
    let answers = [
        ResponseTemplate::new(200).set_body_string("<html>log in</html>"),
        token(1, DAY).insert_header("X-Subject-Token", ""),
        ResponseTemplate::new(201).insert_header("X-Subject-Token", "t").set_body_json(json!({"token": {}})),
    ];
    let words = ["no token with its end; check that `iam_endpoint` is IAM", "is empty", "no token with its end"];
    for (answer, words) in answers.into_iter().zip(words) {
        let drs = Drs::answering_all(|ask| whole(ask, 1), move |_| answer.clone()).await;
        let exporter = Exporter::start(&config(&drs, PASSWORD, &[JOB])).await;
        exporter.polled("j", "table", "auth", 1.0).await;
        assert!(exporter.log().contains(words), "{}", exporter.log());
        assert!(drs.all_asked().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iam_that_is_away_is_asked_rarely_and_told_of() {
    let drs = Drs::answering_all(|ask| whole(ask, 1), |_| ResponseTemplate::new(503)).await;
    for auth in [PASSWORD, "{agency}"] {
        let before = drs.others().len();
        let exporter = Exporter::start(&config(&drs, auth, &["{id: j}", "{id: k}"])).await;
        let samples = exporter.polled("j", "table", "auth", 6.0).await;
        assert!((1..=MOST).contains(&(drs.others().len() - before)));
        assert!(samples.beginning("drs_api_errors_total").iter().any(|(series, _)| series.contains("log_in")));
        assert!(exporter.log().contains("HTTP 503"), "{}", exporter.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_project_is_the_one_that_iam_has_for_the_region() {
    let answers = [
        (json!([{"id": "found"}]), None),
        (json!([]), Some("IAM knows no project of the region ap-southeast-3; check `region`")),
        (
            json!([{"id": "one"}, {"id": "two"}]),
            Some("IAM knows 2 projects of the region ap-southeast-3, one among them; name"),
        ),
        (json!([{"id": "../.."}]), Some("check that `iam_endpoint` is IAM")),
    ];
    for (projects, problem) in answers {
        let listed = move |request: &Request| {
            assert_eq!((request.url.path(), request.url.query()), ("/v3/projects", Some("name=ap-southeast-3")));
            assert!(request.headers.contains_key("authorization"));
            ResponseTemplate::new(200).set_body_json(json!({"projects": projects}))
        };
        let drs = Drs::answering_all(|ask| whole(ask, 1), listed).await;
        let config = config(&drs, ACCESS_KEY, &[JOB]).replace("project_id: the-project", "region: ap-southeast-3");
        let exporter = Exporter::start(&config).await;
        match problem {
            None => {
                exporter.polled("j", "table", "success", 3.0).await;
                assert_eq!(drs.asked("j")[0].project, "found");
                assert_eq!(drs.others().len(), 1, "asked once");
            }
            Some(problem) => {
                exporter.polled("j", "table", "auth", 2.0).await;
                assert!(exporter.log().contains(problem), "{}", exporter.log());
                assert!(drs.asked("j").is_empty());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_iam_refuses_is_not_shown_to_it_again_and_again() {
    let refused = |_: &Request| failure(401, "APIGW.0301");
    let drs = Drs::answering_all(|ask| whole(ask, 1), refused).await;
    let config = config(&drs, ACCESS_KEY, &["{id: j}", "{id: k}"]).replace("project_id: the-project", "region: a");
    // Longer than what IAM said is believed.
    let exporter = Exporter::start(&config).await;
    exporter.polled("j", "table", "auth", 14.0).await;
    assert_eq!(drs.others().len(), 1, "the next attempt is far off");
    assert!(drs.all_asked().is_empty());
    assert!(exporter.log().contains("IAM does not tell the project with HTTP 401"), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_way_is_named_the_vendors_places_are_looked_at_in_their_order() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let job = simulator.jobs().remove(0);
    let (home, iam) = (TempDir::new().unwrap(), simulator.url(""));
    let folder = home.path().join(".huaweicloud");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("credentials");
    let profile = format!(
        "; of the simulator\n[basic]\nak = SIMULATEDACCESSKEY\nsk = simulated-secret-key\nproject_id = simulated-project\niam_endpoint = {iam}\n"
    );
    std::fs::write(&file, &profile).unwrap();
    let elsewhere = home.path().join("elsewhere.ini");
    std::fs::write(&elsewhere, profile.replace("SIMULATEDACCESSKEY", "OTHER")).unwrap();
    let elsewhere = elsewhere.to_str().unwrap();
    let good = [("HUAWEICLOUD_SDK_AK", "SIMULATEDACCESSKEY"), ("HUAWEICLOUD_SDK_SK", "simulated-secret-key")];
    let project = [("HUAWEICLOUD_SDK_PROJECT_ID", "simulated-project")];
    let file_named = [("HUAWEICLOUD_SDK_CREDENTIALS_FILE", elsewhere)];
    let config = simulator.config.replace("    auth: {token: simulated-token}\n", "");
    let config = config.replace("    project_id: simulated-project\n", "");
    let table = [
        (vec![], "success", "the access key of the credentials file is used"),
        (file_named.to_vec(), "auth", "the access key of the credentials file is used"),
        ([&good[..], &project, &file_named].concat(), "success", "the access key of the environment is used"),
        ([&good[..1], &file_named].concat(), "auth", "the access key of the credentials file is used"),
    ];
    for (variables, outcome, told) in table {
        let place = TempDir::new().unwrap();
        let path = place.path().join("drs-exporter.yml");
        std::fs::write(&path, &config).unwrap();
        let mut command = program();
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=debug", "--config.file"]).arg(&path);
        command.env("HOME", home.path()).envs(variables.iter().copied());
        let exporter = Exporter::run(command, place).await;
        exporter.polled(&job, "table", outcome, 1.0).await;
        assert!(exporter.log().contains(told), "{variables:?}: {}", exporter.log());
    }
    // A file is read anew, so a key that was changed there is used.
    std::fs::write(&file, profile.replace("SIMULATEDACCESSKEY", "OTHER")).unwrap();
    let place = TempDir::new().unwrap();
    let path = place.path().join("drs-exporter.yml");
    std::fs::write(&path, &config).unwrap();
    let mut command = program();
    command.args(["--web.listen-address=127.0.0.1:0", "--config.file"]).arg(&path).env("HOME", home.path());
    let exporter = Exporter::run(command, place).await;
    exporter.polled(&job, "table", "auth", 1.0).await;
    std::fs::write(&file, &profile).unwrap();
    exporter.polled(&job, "table", "success", 1.0).await;
    eventually("nobody locked out", || async {
        let statistics = simulator.statistics().await;
        let failures = statistics["authentication_failures"].as_array().unwrap().len();
        (failures <= 3 * MOST).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_refused_for_a_while_is_back_with_the_next_attempt() {
    let refused = AtomicUsize::new(0);
    let drs = Drs::answering(move |ask| match refused.fetch_add(1, Ordering::SeqCst) {
        0 => failure(401, "APIGW.0301"),
        _ => whole(ask, 1),
    })
    .await;
    // Of the polls that come while nothing may be asked, none waits for its next turn after that.
    let config = config(&drs, ACCESS_KEY, &["{id: j, interval: 50s}", "{id: k, interval: 50s}"]);
    let exporter = Exporter::start(&config.replace("settled_interval: 1s", "settled_interval: 50s")).await;
    let back = || async {
        let samples = exporter.samples().await;
        let good = samples.beginning("drs_poll_success").iter().filter(|(_, good)| *good == 1.0).count();
        (good == 18).then_some(samples)
    };
    let samples = eventually_within(2 * PATIENCE, "every type of both jobs", back).await;
    let refusals: f64 = samples.beginning("drs_api_errors_total").iter().map(|(_, times)| times).sum();
    assert_eq!(refusals, 1.0);
    let asked: Vec<Instant> = drs.all_asked().iter().map(|ask| ask.at).collect();
    assert!(asked[1] - asked[0] >= Duration::from_secs(75), "{:?}", asked[1] - asked[0]);
    let last = asked.iter().filter(|at| **at - asked[0] < Duration::from_secs(75 + 50)).count();
    assert!(last >= 19, "all within one interval of the attempt: {last}");
}
