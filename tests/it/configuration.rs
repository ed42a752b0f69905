//! What is wrong with a configuration is told at once, with its place, and nothing is started.

use std::fs;
use std::process::Output;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::drs::{Drs, whole};
use crate::support::exporter::{Exporter, program};

const GOOD: &str = "
accounts:
  - name: prod
    endpoint: http://127.0.0.1:1
    project_id: p
    auth: {token: sesame}
    jobs: [{id: a}]
";

/// Runs the program to its end on a configuration that it must refuse.
async fn refused(name: &str, config: &str, variables: &[(&str, &str)]) -> String {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, config).unwrap();
    let mut command = program();
    command.arg("--config.file").arg(&file).arg("--web.listen-address=127.0.0.1:0").envs(variables.iter().copied());
    let output: Output =
        timeout(PATIENCE, command.output()).await.expect("the program to refuse its configuration").unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(!words.contains("listening"), "{words}");
    words.replace(&format!("{}/", folder.path().display()), "")
}

#[tokio::test]
async fn six_mistakes_are_six_messages() {
    let config = "
accounts:
  - name: prod
    endpoint: drs.example.com
    project_id: p
    auth: {token: sesame}
    limits: {timeout: 10}
    jobs:
      - {id: a, types: [table, tabel]}
      - {id: a}
poll: {page_size: 2000, intervall: 60s}
";
    insta::assert_snapshot!(refused("six.yml", config, &[]).await, @r#"
    six.yml: accounts[0].endpoint: expected an address such as `https://drs.ap-southeast-3.myhuaweicloud.com`, without user, query or fragment
    six.yml: accounts[0].jobs[0].types[1]: expected one of table, event, table_structure, procedure, view, function, database, trigger, table_indexs; found string "tabel"
    six.yml: accounts[0].limits.timeout: expected a duration such as `30s`, `5m` or `1h`; found unsigned int `10`
    six.yml: poll.intervall: unknown key; expected one of `interval`, `page_size`, `stale_after`, `settled_interval`, `stall_after`
    six.yml: poll.page_size: expected a number from 1 to 1000; found 2000
    six.yml: accounts[0].jobs[1].id: expected each job once; `a` stands twice
    6 problems in the configuration; nothing was started
    "#);
}

#[tokio::test]
async fn the_same_mistakes_are_found_in_toml() {
    let config = r#"
[[accounts]]
name = "prod"
endpoint = "http://user:pw@127.0.0.1"
project_id = 5
language = "de"
offset_counts = "bytes"
auth.token = {file = "/a", env = "B"}
limits.max_response_bytes = "lots"
jobs = [{id = "a/b"}, 7]
[exposition]
job_label = "type"
max_label_bytes = 10
[poll]
stale_after = "soon"
"#;
    insta::assert_snapshot!(refused("many.toml", config, &[]).await, @r#"
    many.toml: accounts[0].endpoint: expected an address such as `https://drs.ap-southeast-3.myhuaweicloud.com`, without user, query or fragment
    many.toml: accounts[0].jobs[0].id: expected a job id: 1 to 64 letters, digits, `-` or `_`; found string "a/b"
    many.toml: accounts[0].jobs[1]: expected a map of keys; found signed int `7`
    many.toml: accounts[0].language: expected `en-us` or `zh-cn`; found string "de"
    many.toml: accounts[0].limits.max_response_bytes: expected a size such as `16MiB`; found string "lots"
    many.toml: accounts[0].offset_counts: expected `rows` or `pages`; found string "bytes"
    many.toml: accounts[0].project_id: expected text; put it in quotes if it looks like a number; found signed int `5`
    many.toml: exposition.job_label: expected a label name such as `drs_job`: letters, digits and `_`, no digit first, no `__` first, and none of type, src_db, src_tb, dst_db, dst_tb, state, outcome, reason, error_code, account, operation, name, region, job_type, engine_type, task_type, status, version; found string "type"
    many.toml: poll.stale_after: expected a duration such as `30s`, `5m` or `1h`; found string "soon"
    many.toml: exposition.max_label_bytes: expected a number from 64 to 1048576; found 10
    many.toml: accounts[0].auth.token: expected exactly one of `file` and `env`
    11 problems in the configuration; nothing was started
    "#);
}

#[tokio::test]
async fn a_state_file_is_a_file_and_a_stall_takes_time() {
    let wrong = |state_file: &str, stall_after: &str| {
        format!("{GOOD}poll: {{stall_after: {stall_after}}}\nstate_file: {state_file}\n")
    };
    insta::assert_snapshot!(refused("a.yml", &wrong("5", "soon"), &[]).await, @r#"
    a.yml: poll.stall_after: expected a duration such as `30s`, `5m` or `1h`; found string "soon"
    a.yml: state_file: expected text; put it in quotes if it looks like a number; found unsigned int `5`
    2 problems in the configuration; nothing was started
    "#);
    insta::assert_snapshot!(refused("b.yml", &wrong("/var/lib/drs-exporter/", "0s"), &[]).await, @r#"
    b.yml: state_file: expected the path of a file, not of a folder; found string "/var/lib/drs-exporter/"
    b.yml: poll.stall_after: expected a duration from 1s to 30days; found 0s
    2 problems in the configuration; nothing was started
    "#);
    insta::assert_snapshot!(refused("c.yml", &wrong("\"\"", "30"), &[]).await, @r#"
    c.yml: poll.stall_after: expected a duration such as `30s`, `5m` or `1h`; found unsigned int `30`
    c.yml: state_file: expected the path of a file, not of a folder; found string ""
    2 problems in the configuration; nothing was started
    "#);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    insta::assert_snapshot!(refused("empty.yml", "{}", &[]).await, @"
    empty.yml: accounts: expected a list of at least one account
    1 problem in the configuration; nothing was started
    ");
    insta::assert_snapshot!(refused("bare.yml", "accounts: [{jobs: [{}, {id: b, types: []}]}, null]", &[]).await, @"
    bare.yml: accounts[0].name: is missing; expected a name for the account
    bare.yml: accounts[0].endpoint: is missing; expected the address of DRS, or a `region`, such as `ap-southeast-3`, which gives it
    bare.yml: accounts[0].jobs[0].id: is missing; expected the id of the job, as the console shows it
    bare.yml: accounts[0].jobs[1].types: expected at least one: a type of objects, such as `table`; leave the key out for what is usual
    bare.yml: accounts[1].name: is missing; expected a name for the account
    bare.yml: accounts[1].endpoint: is missing; expected the address of DRS, or a `region`, such as `ap-southeast-3`, which gives it
    bare.yml: accounts[1].jobs: expected a list of at least one job, or `discovery`
    7 problems in the configuration; nothing was started
    ");
}

#[tokio::test]
async fn what_is_empty_is_left_out_and_what_is_no_map_is_told() {
    let config = GOOD.replace("    auth:", "    limits: 5\n    auth:") + "poll:\nexposition: [a]\n";
    insta::assert_snapshot!(refused("maps.yml", &config, &[]).await, @"
    maps.yml: accounts[0].limits: expected a map of keys; found unsigned int `5`
    maps.yml: exposition: expected a map of keys; found sequence
    2 problems in the configuration; nothing was started
    ");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_with_its_line() {
    insta::assert_snapshot!(refused("broken.yml", "accounts:\n  - name: [", &[]).await, @"
    broken.yml: did not find expected node content at line 3 column 1, while parsing a flow node
    1 problem in the configuration; nothing was started
    ");
    insta::assert_snapshot!(refused("broken.toml", "a = 1\ntoken = \"hunter2", &[]).await, @"
    broken.toml: invalid basic string at line 2
    1 problem in the configuration; nothing was started
    ");
    insta::assert_snapshot!(refused("list.yml", "- a\n- b", &[]).await, @"
    list.yml: expected a map of keys, such as `accounts`
    1 problem in the configuration; nothing was started
    ");
    insta::assert_snapshot!(refused("config.json", "{}", &[]).await, @"
    config.json: expected a file that ends in .yml, .yaml or .toml
    1 problem in the configuration; nothing was started
    ");
    insta::assert_snapshot!(refused("nested.yml", "accounts:\n  - auth:\n      token: hunter2\n      token: b", &[]).await, @"
    nested.yml: accounts[0].auth: the key `token` stands twice at line 3 column 7
    1 problem in the configuration; nothing was started
    ");
    insta::assert_snapshot!(refused("twice.yml", "poll: {interval: 5s}\npoll: {interval: 6s}", &[]).await, @"
    twice.yml: the key `poll` stands twice
    1 problem in the configuration; nothing was started
    ");
    let output = program().args(["--config.file", "/nowhere/drs-exporter.yml"]).output().await.unwrap();
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"
    /nowhere/drs-exporter.yml: cannot be read: No such file or directory (os error 2); name the file with --config.file, or try `drs-exporter demo`
    1 problem in the configuration; nothing was started
    ");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn problems_of_variables_name_the_variable() {
    let variables = [
        ("DRS_EXPORTER_POLL__INTERVAL", "often"),
        ("DRS_EXPORTER_POLL__PAGE_SIZE", "0"),
        ("DRS_EXPORTER_POL", "1"),
        ("DRS_EXPORTER_ACCOUNTS__0__JOBS__0__TYPES", "[table, tabel]"),
        ("DRS_EXPORTER_ACCOUNTS__7__NAME", "late"),
        // What Kubernetes sets beside a service called drs-exporter is none of ours.
        ("DRS_EXPORTER_PORT", "tcp://10.0.0.1:10058"),
        ("DRS_EXPORTER_PORT_10058_TCP_ADDR", "10.0.0.1"),
        ("DRS_EXPORTER_SERVICE_HOST", "10.0.0.1"),
        ("DRS_EXPORTER_SERVICE_PORT_HTTP", "10058"),
    ];
    insta::assert_snapshot!(refused("good.yml", GOOD, &variables).await, @r#"
    DRS_EXPORTER_ACCOUNTS__7__NAME: accounts[7].name: there is no such item in the list of the file
    DRS_EXPORTER_ACCOUNTS__0__JOBS__0__TYPES: accounts[0].jobs[0].types[1]: expected one of table, event, table_structure, procedure, view, function, database, trigger, table_indexs; found string "tabel"
    DRS_EXPORTER_POL: pol: unknown key; expected one of `accounts`, `poll`, `exposition`, `state_file`, `shard`
    DRS_EXPORTER_POLL__INTERVAL: poll.interval: expected a duration such as `30s`, `5m` or `1h`; found string "often"
    DRS_EXPORTER_POLL__PAGE_SIZE: poll.page_size: expected a number from 1 to 1000; found 0
    5 problems in the configuration; nothing was started
    "#);
}

#[tokio::test]
async fn a_secret_is_never_repeated() {
    for auth in [
        "hunter2",
        "{token: {hunter: hunter2}}",
        "{token: [hunter2]}",
        "{token: {file: [hunter2]}}",
        "[hunter2]",
        "{token: {env: 2}}",
    ] {
        let words = refused("secret.yml", &GOOD.replace("{token: sesame}", auth), &[]).await;
        assert!(words.contains("accounts[0].auth") && !words.contains("hunter2"), "{auth}: {words}");
    }
    let words = refused("secret.yml", &GOOD.replace("sesame", "{env: DRS_TEST_NOT_SET}"), &[]).await;
    assert!(
        words.contains("accounts[0].auth.token.env: expected the secret in the variable DRS_TEST_NOT_SET"),
        "{words}"
    );
    let words =
        refused("secret.yml", &GOOD.replace("id: a", "id: /"), &[("DRS_EXPORTER_ACCOUNTS__0__AUTH__TOKEN", "hunter2")])
            .await;
    assert!(!words.contains("hunter2"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_override_the_file() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs-exporter.toml");
    let toml = format!(
        r#"
accounts = [{{name = "a", endpoint = "{}", project_id = "p", auth = {{token = "wrong"}}, jobs = [{{id = "j", interval = "1h"}}]}}]
"#,
        drs.uri()
    );
    fs::write(&file, toml).unwrap();
    let mut command = program();
    command.arg("--config.file").arg(&file).args(["--web.listen-address=127.0.0.1:0"]).envs([
        ("DRS_EXPORTER_ACCOUNTS__0__JOBS__0__INTERVAL", "1s"),
        ("DRS_EXPORTER_ACCOUNTS__0__JOBS__0__TYPES", "[view, event]"),
        ("DRS_EXPORTER_ACCOUNTS__0__PROJECT_ID", "5237e10"),
        ("DRS_EXPORTER_ACCOUNTS__0__AUTH__TOKEN__ENV", "DRS_TEST_TOKEN"),
        ("DRS_TEST_TOKEN", "12345678"),
        ("DRS_EXPORTER_POLL__PAGE_SIZE", "17"),
        ("DRS_EXPORTER_EXPOSITION__MAX_LABEL_BYTES", "64"),
    ]);
    let exporter = Exporter::run(command, folder).await;
    exporter.polled("j", "view", "success", 1.0).await;
    let samples = exporter.polled("j", "event", "success", 1.0).await;
    assert_eq!(samples.polls("j", "table", "success"), 0.0);
    let asked = &drs.asked("j")[0];
    assert_eq!((&asked.project[..], asked.limit, &asked.headers["x-auth-token"][..]), ("5237e10", 17, "12345678"));
}
