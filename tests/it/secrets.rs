//! Secrets stay where they are: whatever the cloud answers, and whatever is wrong with the configuration, none of them is in
//! the log, on a page, on standard output or on the command line.

use std::net::SocketAddr;
use std::{env, fmt, fs};

use drs_exporter::config::Config;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::PATIENCE;
use crate::support::exporter::{Exporter, program, run, run_with};
use crate::support::samples::Samples;

/// What each secret of these tests has in it, and nothing else has.
const MARK: &str = "S3NTINEL";

/// The mark in Base64, as it stands in the proof for a proxy: by its place among three bytes.
const MARKS_IN_BASE64: [&str; 3] = ["UzNOVElORU", "MzTlRJTkVM", "TM05USU5FT"];

/// More than any request of these tests has.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// A token as long as the cloud's; a message that is cut must not end in the middle of it.
fn long(what: &str) -> String {
    MARK.repeat(250) + what
}

fn assert_clean(what: impl fmt::Display, text: &str) {
    let marks = MARKS_IN_BASE64.into_iter().chain([MARK]);
    for mark in marks {
        let place = text.find(mark).map(|at| &text[text[..at].rfind('\n').unwrap_or(0)..]);
        assert!(place.is_none(), "{what} has a secret: {:.1000}", place.unwrap_or_default());
    }
}

/// How a cloud answers that does not answer well.
const FAULTS: [&str; 12] =
    ["401", "403", "404", "429", "500", "302", "garbage", "wrong-type", "echo", "echo-code", "reset", "timeout"];

/// What the log says of them, in the end.
const WORDS: [&str; 12] = [
    "HTTP 401",
    "HTTP 403",
    "HTTP 404",
    "HTTP 429",
    "HTTP 500",
    "HTTP 302 with a redirect to http://127.0.0.1:1/[secret]",
    "expected value at line 1",
    "expected u64",
    "HTTP 400 [secret]",
    "limits.timeout",
    "the connection failed or broke",
    "the TLS handshake failed",
];

/// Those of them that show what they were sent, and are not tried again.
const INDISCREET: [&str; 4] = ["302", "wrong-type", "echo", "echo-code"];

/// Every header and the body of a request, as a gateway may repeat them.
fn echo(request: &Request) -> String {
    let headers = request.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
    headers.collect::<String>() + &String::from_utf8_lossy(&request.body)
}

/// The secret that a request came with.
fn proof(request: &Request) -> String {
    let of = |name| Some(request.headers.get(name)?.to_str().unwrap().to_owned());
    of("x-auth-token").or(of("x-security-token")).or(of("authorization")).unwrap_or_default()
}

fn answer(fault: &str, request: &Request) -> ResponseTemplate {
    let body =
        |status| ResponseTemplate::new(status).set_body_json(json!({"error_code": "X.1", "error_msg": echo(request)}));
    match fault {
        "302" => ResponseTemplate::new(302).insert_header("Location", format!("http://127.0.0.1:1/{}", proof(request))),
        "garbage" => ResponseTemplate::new(200).set_body_string(format!("<html>{}", echo(request))),
        "wrong-type" => {
            ResponseTemplate::new(200).set_body_json(json!({"count": proof(request), "token": proof(request)}))
        }
        "echo" => body(400),
        "echo-code" => {
            ResponseTemplate::new(400).set_body_json(json!({"error_code": proof(request), "error_msg": "no"}))
        }
        "timeout" => ResponseTemplate::new(200).set_delay(PATIENCE),
        status => body(status.parse::<u16>().unwrap()),
    }
}

/// A cloud with one fault: DRS, IAM and the metadata service.
///
/// Below `/good` the latter two let everybody in.
async fn faulty(fault: &'static str) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |request: &Request| match request.url.path() {
        "/good/v3/auth/tokens" => ResponseTemplate::new(201)
            .insert_header("X-Subject-Token", long("-lent-token"))
            .set_body_json(json!({"token": {"expires_at": "2999-01-01T00:00:00Z"}})),
        "/good/openstack/latest/securitykey" => ResponseTemplate::new(200).set_body_json(json!({"credential": {
            "access": format!("{MARK}-lent-id"),
            "secret": format!("{MARK}-lent-secret"),
            "securitytoken": long("-lent-security-token"),
            "expires_at": "2999-01-01T00:00:00Z",
        }})),
        _ => answer(fault, request),
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// A server that reads what it is asked and hangs up.
async fn hang_up() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            client.read_buf(&mut Vec::with_capacity(MAX_REQUEST_BYTES)).await.ok();
        }
    });
    address
}

/// An account with each way in at each fault, of DRS and of what lets it in, and where their secrets are.
struct Accounts {
    config: String,
    names: Vec<String>,
    folder: TempDir,
    /// They answer for as long as they are kept.
    servers: Vec<MockServer>,
}

/// Variables with secrets: one that the configuration names, and those of the vendor's.
fn variables() -> Vec<(&'static str, String)> {
    vec![
        ("DRS_TEST_SECRET", format!("{MARK}-variable")),
        ("HUAWEICLOUD_SDK_AK", format!("{MARK}-vendors-id")),
        ("HUAWEICLOUD_SDK_SK", format!("{MARK}-vendors-secret")),
        ("HUAWEICLOUD_SDK_SECURITY_TOKEN", long("-vendors-token")),
    ]
}

impl Accounts {
    async fn at(faults: &[&'static str]) -> Self {
        let folder = TempDir::new().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("token"), long("-file")).unwrap();
        let section = format!("[basic]\nak={MARK}-file-id\nsk={MARK}-file-secret\nsecurity_token={MARK}-file-token\n");
        fs::write(place("credentials"), section).unwrap();
        let token_file = place("token").display().to_string();
        let mut accounts = Self { config: "accounts:\n".to_owned(), names: Vec::new(), folder, servers: Vec::new() };
        for &fault in faults {
            let there = match fault {
                "reset" => format!("http://{}", hang_up().await),
                _ => {
                    let server = faulty(fault).await;
                    let there = server.uri();
                    accounts.servers.push(server);
                    there
                }
            };
            let proxy =
                format!("proxy_url: 'http://{MARK}-user:{MARK}-proxy@{}'", there.strip_prefix("http://").unwrap());
            let password = format!("auth: {{password: {{user: u, domain: d, password: {MARK}-password}}}}");
            let key = format!("auth: {{access_key: {{id: {MARK}-id, secret: {MARK}-secret");
            let ways = [
                ("token", format!("auth: {{token: {}}}", long("-token"))),
                ("token-file", format!("auth: {{token: {{file: {token_file}}}}}")),
                ("variable", "auth: {token: {env: DRS_TEST_SECRET}}".to_owned()),
                ("key", format!("{key}}}}}")),
                ("temporary-key", format!("{key}, security_token: {}}}}}", long("-security-token"))),
                ("chain", String::new()),
                ("proxy", format!("{proxy}\n    auth: {{token: {MARK}-token}}")),
                ("user", format!("iam_endpoint: {there}\n    {password}")),
                ("user-lent", format!("iam_endpoint: {there}/good\n    {password}")),
                ("agency", format!("auth: {{agency: {{endpoint: '{there}'}}}}")),
                ("agency-lent", format!("auth: {{agency: {{endpoint: '{there}/good'}}}}")),
            ];
            for (way, lines) in ways {
                accounts.add(&format!("{way}-{fault}"), &there, "project_id: p", &lines);
                if matches!(way, "token" | "key" | "chain") {
                    let project = format!("region: r\n    iam_endpoint: {there}");
                    accounts.add(&format!("{way}-project-{fault}"), &there, &project, &lines);
                }
            }
            if fault == "garbage" {
                let there = there.replace("http:", "https:");
                accounts.add("tls", &there, "project_id: p", &format!("auth: {{token: {MARK}-token}}"));
                let lines = format!("iam_endpoint: {there}\n    {password}");
                accounts.add("tls-user", &there, "project_id: p", &lines);
            }
        }
        accounts
    }

    fn add(&mut self, name: &str, endpoint: &str, project: &str, lines: &str) {
        // The machine may be busy; only where nobody answers is there no need to wait for it.
        let timeout = if name.ends_with("timeout") { "500ms" } else { "50s" };
        let limits = format!("limits: {{timeout: {timeout}, requests_per_second: 1000, burst: 1000}}");
        let jobs = format!("jobs: [{{id: {name}, types: [table], interval: 1h}}]");
        let rest = format!("endpoint: {endpoint}\n    {project}\n    {limits}\n    {jobs}\n    {lines}");
        self.config += &format!("  - name: {name}\n    job_view: false\n    {rest}\n");
        self.names.push(name.to_owned());
    }

    /// The variables, with the vendor's chain by the environment, or else by its file.
    fn variables(&self, chain_of_variables: bool) -> Vec<(&'static str, String)> {
        if chain_of_variables {
            return variables();
        }
        let file = self.folder.path().join("credentials").display().to_string();
        variables().into_iter().take(1).chain([("HUAWEICLOUD_SDK_CREDENTIALS_FILE", file)]).collect()
    }
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, &value[..])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_of_the_cloud_brings_a_secret_out() {
    let accounts = Accounts::at(&FAULTS).await;
    for (format, chain_of_variables) in [("logfmt", true), ("json", false)] {
        let variables = accounts.variables(chain_of_variables);
        let flags = ["once", "--log.level=debug", &format!("--log.format={format}")];
        let told = run_with(&accounts.config, &flags, &borrowed(&variables)).await;
        assert_eq!(told.code, Some(1), "{}", told.err);
        for name in &accounts.names {
            let log =
                told.err.lines().any(|line| line.contains(name) && line.contains("a poll brought no clean listing"));
            assert!(log, "{name} did not fail: {}", told.err);
        }
        assert_clean("the log", &told.err);
        assert_clean("the metrics", &told.out);
        // Or there would have been nothing to find.
        for words in WORDS {
            assert!(told.err.contains(words), "{words}: {}", told.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_check_of_an_account_brings_a_secret_out() {
    let accounts = Accounts::at(&INDISCREET).await;
    for chain_of_variables in [true, false] {
        let variables = accounts.variables(chain_of_variables);
        let told =
            run_with(&accounts.config, &["check", "--connect", "--log.level=debug"], &borrowed(&variables)).await;
        assert_eq!(told.code, Some(1));
        assert!(
            accounts.names.iter().all(|name| told.out.contains(&format!("\n{name}: {name}/table: "))),
            "{}",
            told.out
        );
        assert_clean("check", &(told.out + &told.err));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_and_no_command_line_has_a_secret() {
    let accounts = Accounts::at(&INDISCREET).await;
    let file = accounts.folder.path().join("drs-exporter.yml");
    fs::write(&file, accounts.config.replace("interval: 1h", "interval: 1s")).unwrap();
    let mut command = program();
    command.arg("--config.file").arg(&file).args(["--web.listen-address=127.0.0.1:0", "--log.level=debug"]);
    let variables = accounts.variables(true);
    command.envs(borrowed(&variables));
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    for name in &accounts.names {
        let failed = |samples: &Samples| samples.of("drs_poll_success", name, "table") == Some(0.0);
        exporter.until(&format!("{name} to fail"), failed).await;
    }
    for accept in ["text/plain", "application/openmetrics-text"] {
        assert_clean(accept, &String::from_utf8(exporter.body(accept, "").await).unwrap());
    }
    let paths = ["/", "/api/v1/jobs", "/api/v1/schema", "/-/healthy", "/-/ready", "/nowhere", "/-/reload"];
    for path in paths.into_iter().chain(["/?job=none", "/api/v1/jobs?job=none", "/metrics?job=none", "/metrics?x=%00"])
    {
        assert_clean(path, &exporter.get(path).await.text().await.unwrap());
    }
    let line = fs::read_to_string(format!("/proc/{}/cmdline", exporter.id())).unwrap();
    assert!(line.contains("drs-exporter.yml"), "{line}");
    assert_clean("the command line", &line);
    assert_clean("the log", &exporter.log());
}

#[tokio::test]
async fn a_configuration_prints_no_secret() {
    let accounts = Accounts::at(&INDISCREET).await;
    let file = accounts.folder.path().join("drs-exporter.yml");
    // A variable that every process has, since the test's own must not be changed.
    fs::write(&file, accounts.config.replace("DRS_TEST_SECRET", "PATH")).unwrap();
    let config = Config::load(&file).unwrap();
    for text in [format!("{config:?}"), format!("{config:#?}")] {
        assert!(text.contains("token-file-302"), "{text}");
        assert!(!text.contains(&env::var("PATH").unwrap()), "the value of a variable: {text}");
        assert_clean("the configuration", &text);
    }
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_not_repeated_where_secrets_may_be() {
    let good = "
accounts:
  - name: prod
    endpoint: http://127.0.0.1:1
    project_id: p
    auth: {token: sesame}
    jobs: [{id: a}]
";
    let secret = format!("{MARK}-x");
    let auths = [
        secret.clone(),
        format!("[{secret}]"),
        format!("{{token: {secret}, password: {{user: u, domain: d, password: {secret}}}}}"),
        format!("{{token: {secret}, access_key: {{id: {secret}, secret: {secret}}}}}"),
        format!("{{token: [{secret}]}}"),
        format!("{{{secret}}}"),
        format!("{{token: {{{secret}}}}}"),
        format!("{{token: {{{secret}: 1}}}}"),
        format!("{{token: {{{{{secret}}}}}}}"),
        format!("{{token: {{file: [{secret}]}}}}"),
        format!("{{token: {{file: a, env: b, value: {secret}}}}}"),
        format!("{{password: {secret}}}"),
        format!("{{password: {{user: [{secret}], password: {secret}}}}}"),
        format!("{{password: {{user: u, password: {{env: [{secret}]}}}}}}"),
        format!("{{access_key: [{secret}, {secret}]}}"),
        format!("{{access_key: {{id: {secret}, secret: [{secret}], security_token: {{x: {secret}}}}}}}"),
        format!("{{agency: {secret}}}"),
        format!("{{agency: {{endpoint: 'http://u:{secret}@h'}}}}"),
    ];
    let auths = auths.iter().map(|auth| good.replace("{token: sesame}", auth));
    let places = [
        good.replace("http://127.0.0.1:1", &format!("'http://u:{secret}@127.0.0.1'")),
        good.replace("http://127.0.0.1:1", &format!("'http://127.0.0.1/?token={secret}'")),
        good.replace("    auth:", &format!("    proxy_url: 'ftp://u:{secret}@h'\n    auth:")),
        good.replace("    auth:", &format!("    proxy_url: ['{secret}']\n    auth:")),
        good.replace("    auth:", &format!("    iam_endpoint: 'u:{secret}@h'\n    auth:")),
        good.replace("{token: sesame}", &format!("{{token: \"{secret}}}")),
        good.replace("{token: sesame}", &format!("{{token: {secret}, token: {secret}}}")),
        good.replace("{token: sesame}", &format!("{{token: *{secret}}}")),
        good.replace("{token: sesame}", &format!("{{token: !{secret} x}}")),
    ];
    for config in auths.chain(places) {
        for arguments in [&["check"][..], &["once"], &["--web.listen-address=127.0.0.1:0"]] {
            let told = run(&config, arguments).await;
            assert_eq!(told.code, Some(1), "{config}");
            assert!(told.err.contains("in the configuration; nothing was started"), "{}", told.err);
            assert_clean(config.replace(MARK, "..."), &(told.out + &told.err));
        }
    }
    let variables = [
        ("DRS_EXPORTER_ACCOUNTS__0__AUTH__PASSWORD__PASSWORD", secret.clone()),
        ("DRS_EXPORTER_ACCOUNTS__0__AUTH__ACCESS_KEY__SECRET", secret.clone()),
        ("DRS_EXPORTER_ACCOUNTS__0__PROXY_URL", format!("ftp://u:{secret}@h")),
    ];
    for variable in variables {
        let told = run_with(good, &["check"], &borrowed(std::slice::from_ref(&variable))).await;
        assert_eq!(told.code, Some(1), "{}", variable.0);
        assert_clean(variable.0, &(told.out + &told.err));
    }
}
