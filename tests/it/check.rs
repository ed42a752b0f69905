//! `check` says what is wrong before anything runs, and with `--connect` what the cloud thinks of it: each mistake in other
//! words, and what to do about it.

use crate::support::drs::{Drs, failure, whole};
use crate::support::exporter::{Run, run};
use crate::support::simulator::Simulator;

/// Checks this configuration and asks the cloud about it; the address of the simulator is left out of what is told.
async fn connect(simulator: &Simulator, config: &str) -> Run {
    let told = run(config, &["check", "--connect"]).await;
    Run { out: told.out.replace(&simulator.url(""), "http://SIMULATOR"), ..told }
}

/// An account on the simulator, with these lines below its name.
fn account(simulator: &Simulator, lines: &[&str]) -> String {
    let endpoint = simulator.url("");
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!("accounts:\n  - name: prod\n    endpoint: {endpoint}\n    iam_endpoint: {endpoint}\n{lines}")
}

/// The access key that the simulator prints.
fn key(simulator: &Simulator) -> &str {
    let ways = simulator.config.lines().filter_map(|line| line.trim().strip_prefix("# auth: "));
    ways.into_iter().find(|way| way.contains("access_key")).unwrap()
}

async fn authentication_failures(simulator: &Simulator) -> usize {
    simulator.statistics().await["authentication_failures"].as_array().unwrap().len()
}

/// How many requests there were to DRS, whatever it answered.
async fn requests(simulator: &Simulator) -> u64 {
    let seconds = simulator.statistics().await["seconds"].clone();
    seconds.as_array().unwrap().iter().map(|second| second["requests"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_good_configuration_is_said_to_be_good_and_nobody_is_asked() {
    let simulator = Simulator::start(&["--jobs", "2"]).await;
    let told = run(&simulator.config, &["check"]).await;
    insta::assert_snapshot!(told.out, @"drs-exporter.yml: no problem found (1 account, 2 jobs)");
    assert_eq!((told.code, &told.err[..]), (Some(0), ""));
    assert_eq!(requests(&simulator).await, 0);
}

#[tokio::test]
async fn every_problem_is_told_and_nobody_is_asked() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let config =
        account(&simulator, &["auth: {}", "language: de", "jobs: [{id: a, types: [tabel]}, {id: b}, {id: b}]"]);
    for arguments in [&["check"][..], &["check", "--connect"]] {
        let told = run(&config, arguments).await;
        insta::allow_duplicates!(insta::assert_snapshot!(told.err, @r#"
        drs-exporter.yml: accounts[0].jobs[0].types[0]: expected one of table, event, table_structure, procedure, view, function, database, trigger, table_indexs; found string "tabel"
        drs-exporter.yml: accounts[0].language: expected `en-us` or `zh-cn`; found string "de"
        drs-exporter.yml: accounts[0].auth: expected exactly one of `token`, `password`, `access_key` and `agency: {}`; leave `auth` out for the vendor's chain of environment, credentials file and agency
        drs-exporter.yml: accounts[0].jobs[2].id: expected each job once; `b` stands twice
        4 problems in the configuration; nothing was started
        "#));
        assert_eq!((told.code, &told.out[..]), (Some(1), ""));
    }
    assert_eq!(requests(&simulator).await, 0);
}

#[tokio::test]
async fn a_job_that_is_there_is_told_with_its_objects() {
    let simulator = Simulator::start(&["--jobs", "1", "--objects", "2500"]).await;
    let job = simulator.jobs().remove(0);
    let jobs = format!("jobs: [{{id: {job}, types: [table, view, event]}}]");
    let told =
        connect(&simulator, &account(&simulator, &["region: simulated-1", "auth: {token: simulated-token}", &jobs]))
            .await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 1 job)
    prod: moving-a833bdcd/table: 2500 objects
    prod: moving-a833bdcd/view: 312 objects
    prod: moving-a833bdcd/event: 50 objects
    ");
    assert_eq!((told.code, &told.err[..]), (Some(0), ""));
    assert_eq!(requests(&simulator).await, 3, "one row of each type");
}

#[tokio::test]
async fn a_job_that_is_not_there_is_told_once_and_the_others_are_asked_for() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let job = simulator.jobs().remove(0);
    let jobs = format!("jobs: [{{id: other, types: [table, view]}}, {{id: {job}, types: [table]}}]");
    let auth = format!("auth: {}", key(&simulator));
    let told = connect(&simulator, &account(&simulator, &["region: simulated-1", &auth, &jobs])).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 2 jobs)
    prod: other/table: DRS answered HTTP 400 DRS.M05003: Task information not found.; check the job's id, `project_id` and `endpoint`
    prod: other: its other types were not asked for
    prod: moving-a833bdcd/table: 40 objects
    ");
    assert_eq!(told.code, Some(1));
}

#[tokio::test]
async fn a_wrong_key_is_told_and_not_tried_until_it_is_locked() {
    let simulator = Simulator::start(&["--jobs", "5"]).await;
    let auth = format!("auth: {}", key(&simulator).replace("simulated-secret-key", "other"));
    let jobs: Vec<String> = simulator.jobs().iter().map(|job| format!("{{id: {job}}}")).collect();
    let jobs = format!("jobs: [{}]", jobs.join(", "));
    let told = connect(&simulator, &account(&simulator, &["project_id: simulated-project", &auth, &jobs])).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 5 jobs)
    prod: moving-a833bdcd/table: DRS answered HTTP 401 APIGW.0301: Incorrect IAM authentication information: the signature does not match; check the account's `auth`: a token may have ended, a key may be wrong or this host's clock
    prod: nothing more was asked with this log-in
    ");
    assert_eq!(told.code, Some(1));
    let failures = authentication_failures(&simulator).await;
    assert!((1..=4).contains(&failures), "{failures} of the five that lock a key");
    assert_eq!(requests(&simulator).await, 1);
}

#[tokio::test]
async fn a_wrong_key_is_tried_no_more_where_the_jobs_are_to_be_found() {
    let simulator = Simulator::start(&["--jobs", "5"]).await;
    let auth = format!("auth: {}", key(&simulator).replace("simulated-secret-key", "other"));
    let lines = ["project_id: simulated-project", &auth, "jobs: [{id: a}, {id: b}]", "discovery: {}"];
    let told = connect(&simulator, &account(&simulator, &lines)).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 2 jobs)
    prod: discovery: DRS answered HTTP 401 APIGW.0301: Incorrect IAM authentication information: the signature does not match; check the account's `auth`: a token may have ended, a key may be wrong or this host's clock
    prod: nothing more was asked with this log-in
    ");
    assert_eq!(told.code, Some(1));
    assert_eq!(requests(&simulator).await, 1);
}

#[tokio::test]
async fn a_wrong_password_is_told_and_drs_is_not_asked() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let auth = "auth: {password: {user: monitor, domain: simulated-domain, password: other}}";
    let lines = ["project_id: simulated-project", auth, "jobs: [{id: a}, {id: b}, {id: c}]"];
    let told = connect(&simulator, &account(&simulator, &lines)).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 3 jobs)
    prod: a/table: IAM refused the log-in with HTTP 401: The username or password is wrong.; check the user, the domain (the account's name), the password or the key, and the clock of this host; DRS was not asked
    prod: nothing more was asked with this log-in
    ");
    assert_eq!(told.code, Some(1));
    assert_eq!((authentication_failures(&simulator).await, requests(&simulator).await), (1, 0));
}

#[tokio::test]
async fn a_wrong_region_is_told_by_its_name() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let job = format!("jobs: [{{id: {}}}]", simulator.jobs().remove(0));
    let auth = format!("auth: {}", key(&simulator));
    let told = connect(&simulator, &account(&simulator, &["region: simulated-2", &auth, &job])).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 1 job)
    prod: moving-a833bdcd/table: IAM knows no project of the region simulated-2; check `region`, or name the `project_id`, which the console shows under My Credentials; DRS was not asked
    prod: nothing more was asked with this log-in
    ");
    assert_eq!(told.code, Some(1));
    let auth = "auth: {password: {user: monitor, domain: simulated-domain, password: simulated-password}}";
    let told = connect(&simulator, &account(&simulator, &["region: simulated-2", auth, &job])).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 1 job)
    prod: moving-a833bdcd/table: IAM refused the log-in with HTTP 404: Could not find the project.; check `region` or `project_id`, whichever is named, and `iam_endpoint`; DRS was not asked
    prod: nothing more was asked with this log-in
    ");
    assert_eq!(told.code, Some(1));
    assert_eq!(requests(&simulator).await, 0);
}

#[tokio::test]
async fn a_region_that_does_not_exist_is_told_with_what_to_look_at() {
    let config = "
accounts:
  - {name: with-project, region: nowhere-9, project_id: p, auth: {token: sesame}, jobs: [{id: a, types: [table]}]}
  - {name: without, region: nowhere-9, auth: {token: sesame}, jobs: [{id: b, types: [table]}]}
";
    let told = run(config, &["check", "--connect"]).await;
    assert_eq!(told.code, Some(1));
    let of = |account: &str| told.out.lines().find(|line| line.starts_with(account)).unwrap_or_default();
    let (drs, iam) = (of("with-project:"), of("without:"));
    assert!(drs.contains("dns error") && drs.contains("check `region` or `endpoint`, DNS"), "{}", told.out);
    assert!(iam.contains("dns error") && iam.contains("check `region` or `iam_endpoint`, DNS"), "{}", told.out);
}

#[tokio::test]
async fn the_jobs_that_would_be_found_are_counted_and_asked_for() {
    let simulator = Simulator::start(&["--jobs", "5"]).await;
    let (jobs, token) = (simulator.jobs(), "auth: {token: simulated-token}");
    let (project, named) = ("project_id: simulated-project", format!("jobs: [{{id: {}, types: [view]}}]", jobs[0]));
    let lines = [project, token, &named, "discovery: {exclude: '[13]$', types: [table]}"];
    let told = connect(&simulator, &account(&simulator, &lines)).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 1 job)
    prod: discovery: 3 of 5 jobs would be followed
    prod: moving-a833bdcd/view: 5 objects
    prod: disappearing-a14cd725/table: 40 objects
    prod: finishing-2343e372/table: 40 objects
    prod: stalling-96236d63/table: 40 objects
    ");
    assert_eq!(told.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_the_job_does_not_have_is_no_fault() {
    let drs = Drs::answering(|ask| match &ask.object_type[..] {
        "view" => failure(400, "DRS.M00304"),
        _ => whole(ask, 1),
    })
    .await;
    let told = run(&drs.config(&["{id: j, types: [view, table]}"]), &["check", "--connect"]).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (1 account, 1 job)
    test: j/view: the job has no such listing in its present state
    test: j/table: 1 object
    ");
    assert_eq!((told.code, &told.err[..]), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_account_does_not_keep_the_next_one_from_being_asked() {
    let drs = Drs::answering(|ask| match &ask.headers["x-auth-token"][..] {
        "good" => whole(ask, 1),
        _ => failure(403, "DRS.M00100"),
    })
    .await;
    let account = |name: &str, token: &str, ca_file: &str| {
        let place = format!("endpoint: {}, project_id: p, job_view: false", drs.uri());
        format!(
            "  - {{name: {name}, {place}, auth: {{token: {token}}}, jobs: [{{id: {name}, types: [table]}}]{ca_file}}}\n"
        )
    };
    let [first, second, third] = [
        account("first", "bad", ""),
        account("second", "good", ", ca_file: /nowhere.pem"),
        account("third", "good", ""),
    ];
    let told = run(&format!("accounts:\n{first}{second}{third}"), &["check", "--connect"]).await;
    insta::assert_snapshot!(told.out, @"
    drs-exporter.yml: no problem found (3 accounts, 3 jobs)
    first: first/table: DRS answered HTTP 403 DRS.M00100: about DRS.M00100; check the account's `auth`: a token may have ended, a key may be wrong or this host's clock
    first: nothing more was asked with this log-in
    second: account second: `ca_file` /nowhere.pem: cannot be read: No such file or directory (os error 2); name a file of certificates in PEM that this process may read
    third: third/table: 1 object
    ");
    assert_eq!(told.code, Some(1));
}
