//! Every fault of the matrix in `tests/FAULTS.md` that an account can meet on its way to an answer: it is counted, told with
//! what to do, and hurts nobody else.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use wiremock::{Request, ResponseTemplate};

use crate::support::drs::{Drs, failure, whole};
use crate::support::eventually;
use crate::support::exporter::Exporter;

/// An account that has nothing but a fault, and what is to be seen of it.
struct Fault {
    /// The name of the account and of its only job.
    name: String,
    /// Its keys beside its name, its limits and its job.
    account: String,
    outcome: &'static str,
    /// What it is counted by; nothing where it is no error.
    code: String,
    /// What the log tells to do.
    advice: &'static str,
}

/// Accounts with a fault each, and one without.
fn config(faults: &[Fault], good: &Drs) -> String {
    let mut config = "poll: {interval: 1s, settled_interval: 1s}\naccounts:\n".to_owned();
    let limits = "job_view: false, limits: {timeout: 2s, requests_per_second: 1000, burst: 1000}";
    for Fault { name, account, .. } in faults {
        writeln!(config, "  - {{name: {name}, {account}, {limits}, jobs: [{{id: {name}, types: [table]}}]}}").unwrap();
    }
    let job = "{id: good, types: [table], interval: 3s}";
    let uri = good.uri();
    config
        + &format!("  - {{name: good, endpoint: {uri}, project_id: p, auth: {{token: t}}, {limits}, jobs: [{job}]}}\n")
}

/// Meets all of these faults at once, while another account is well.
async fn meets(faults: &[Fault]) {
    let good = Drs::answering(|ask| whole(ask, 3)).await;
    let exporter = Exporter::start(&config(faults, &good)).await;
    exporter.polled("good", "table", "success", 1.0).await;
    for Fault { name, outcome, code, advice, .. } in faults {
        let samples = exporter.polled(name, "table", outcome, 1.0).await;
        let success = if *outcome == "success" { 1.0 } else { 0.0 };
        let expected = (*outcome != "unsupported").then_some(success);
        assert_eq!(samples.of("drs_poll_success", name, "table"), expected, "{name}");
        assert_eq!(samples.objects(name, "table"), 0, "{name}");
        assert_eq!(samples.objects("good", "table"), 3, "while {name}");
        let counted = samples.beginning(&format!("drs_api_errors_total{{job=\"{name}\""));
        let codes: Vec<&str> = counted.iter().map(|(series, _)| series.split('"').nth(5).unwrap()).collect();
        assert_eq!(codes, Vec::from_iter((!code.is_empty()).then_some(&code[..])), "{name}: {}", told(&exporter, name));
        if !advice.is_empty() {
            let word = || async { Some(told(&exporter, name)).filter(|told| !told.is_empty()) };
            let told = eventually("a word in the log", word).await;
            assert!(told.contains(advice), "{name}: {told}");
        }
    }
    let before = exporter.samples().await.polls("good", "table", "success");
    let samples = exporter.polled("good", "table", "success", before + 2.0).await;
    assert_eq!(samples.of("drs_polls_skipped_total", "good", "table"), Some(0.0), "the good job was polled on time");
    assert_eq!(samples.polls("good", "table", "error"), 0.0);
    for path in ["/metrics", "/", "/api/v1/jobs", "/-/healthy"] {
        assert_eq!(exporter.get(path).await.status(), 200, "{path}");
    }
    assert!(!exporter.log().contains("panic"), "{}", exporter.log());
}

/// The first line of the log that tells of a poll of this job that went wrong.
fn told(exporter: &Exporter, job: &str) -> String {
    let log = exporter.log();
    let about = |line: &&str| line.contains(&format!(" job={job} ")) && line.contains("problem=");
    log.lines().find(about).unwrap_or_default().replace("\\'", "'")
}

const ID: &str = "check the job's id, `project_id` and `endpoint`";
const GONE: &str = "take the job out of the configuration";
const FEWER: &str = "lower `limits.requests_per_second`, or poll less often";
const PROOF: &str = "check the account's `auth`";
const PERMISSION: &str = "give the user the permission to read DRS jobs";
const LATER: &str = "the next poll tries again";
const LOOK: &str = "check `endpoint`, since not every region answers this call, and `project_id`";

/// Status, code, outcome, what is counted, and the advice.
const ANSWERS: [(u16, &str, &str, &str, &str); 38] = [
    (400, "DRS.M05003", "gone", "DRS.M05003", ID),
    (400, "DRS.M05004", "gone", "DRS.M05004", GONE),
    (400, "DRS.M00289", "gone", "DRS.M00289", GONE),
    (400, "DRS.10000010", "gone", "DRS.10000010", GONE),
    (400, "DRS.M01503", "throttled", "DRS.M01503", FEWER),
    (429, "APIGW.0308", "throttled", "APIGW.0308", FEWER),
    (429, "APIG.0308", "throttled", "APIG.0308", FEWER),
    (429, "", "throttled", "http_429", FEWER),
    (429, "NEW.1", "throttled", "NEW.1", FEWER),
    (400, "DRS.M00304", "unsupported", "DRS.M00304", "nothing to do: it is asked again, rarely"),
    (403, "DRS.M00100", "auth", "DRS.M00100", PROOF),
    (401, "APIGW.0301", "auth", "APIGW.0301", PROOF),
    (401, "APIG.0301", "auth", "APIG.0301", PROOF),
    (401, "", "auth", "http_401", PROOF),
    (401, "NEW.1", "auth", "NEW.1", PROOF),
    (401, "DRS.M00102", "auth", "DRS.M00102", PERMISSION),
    (403, "DRS.M00102", "auth", "DRS.M00102", PERMISSION),
    (401, "DRS.M00103", "auth", "DRS.M00103", PERMISSION),
    (403, "DRS.M00103", "auth", "DRS.M00103", PERMISSION),
    (403, "DRS.M00261", "auth", "DRS.M00261", "correct `project_id`"),
    (403, "", "auth", "http_403", PERMISSION),
    (403, "NEW.1", "auth", "NEW.1", PERMISSION),
    // An empty listing is a listing.
    (422, "DRS.M00002", "success", "", ""),
    (422, "DRS.M00004", "error", "DRS.M00004", LATER),
    (500, "DRS.M00004", "error", "DRS.M00004", LATER),
    (408, "", "error", "http_408", LATER),
    (500, "", "error", "http_500", LATER),
    (500, "NEW.1", "error", "NEW.1", LATER),
    (502, "", "error", "http_502", LATER),
    (503, "", "error", "http_503", LATER),
    (504, "", "error", "http_504", LATER),
    (400, "DRS.M00202", "error", "DRS.M00202", LOOK),
    (400, "", "error", "http_400", LOOK),
    (404, "", "error", "http_404", LOOK),
    (404, "APIGW.0101", "error", "APIGW.0101", LOOK),
    (418, "NEW.1", "error", "NEW.1", LOOK),
    (400, "two words", "error", "other", LOOK),
    (204, "", "error", "decode", "check that `endpoint` is DRS and not a proxy or a log-in page"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_that_says_no_is_counted_and_told_with_what_to_do() {
    let cloud = Drs::answering(|ask| {
        let (status, code, ..) = ANSWERS[ask.job.strip_prefix("answer-").unwrap().parse::<usize>().unwrap()];
        match code {
            "" => ResponseTemplate::new(status).set_body_string("<html>no</html>"),
            _ => failure(status, code),
        }
    })
    .await;
    let fault =
        |(number, (_, _, outcome, code, advice)): (usize, &(u16, &str, &'static str, &str, &'static str))| Fault {
            name: format!("answer-{number}"),
            account: format!("endpoint: {}, project_id: p, auth: {{token: t}}", cloud.uri()),
            outcome,
            code: (*code).to_owned(),
            advice,
        };
    meets(&ANSWERS.iter().enumerate().map(fault).collect::<Vec<_>>()).await;
}

const IAM: &str = "check that `iam_endpoint` is IAM and not a proxy or a log-in page";
const WAY: &str = "check `region` or `iam_endpoint`, DNS, the proxy and the network";
const HOST: &str = "give this host an agency that may read DRS, or choose another way in";
const ELSEWHERE: &str = "elsewhere name another way in under `auth`";

/// The way in, what is wrong with it, and the advice.
const LOG_INS: [(&str, &str, &str); 19] = [
    (
        "password",
        "401",
        "check the user, the domain (the account's name), the password or the key, and the clock of this host",
    ),
    ("password", "403", "check that the user may log in by program, and `project_id`"),
    ("password", "404", "check `region` or `project_id`, whichever is named, and `iam_endpoint`"),
    ("password", "429", "it is tried again, but not often"),
    ("password", "503", "it is tried again, but not often"),
    ("password", "html", IAM),
    ("password", "nothing", IAM),
    ("password", "no-end", IAM),
    ("password", "302", WAY),
    ("password", "hangs", WAY),
    ("password", "away", WAY),
    ("agency", "401", HOST),
    ("agency", "404", HOST),
    ("agency", "503", HOST),
    ("agency", "html", "check the `endpoint` of the agency"),
    ("agency", "nothing", "check the `endpoint` of the agency"),
    ("agency", "302", ELSEWHERE),
    ("agency", "hangs", ELSEWHERE),
    ("agency", "away", ELSEWHERE),
];

/// The answer of a service for log-ins that has a fault, by the beginning of the path.
fn log_in(request: &Request) -> ResponseTemplate {
    match request.url.path().split('/').nth(1).unwrap() {
        "html" => ResponseTemplate::new(200).set_body_string("<html>log in</html>"),
        "nothing" => ResponseTemplate::new(200),
        "no-end" => ResponseTemplate::new(201)
            .insert_header("X-Subject-Token", "t")
            .set_body_json(json!({"token": {"expires_at": "soon"}})),
        "302" => ResponseTemplate::new(302).insert_header("Location", "http://127.0.0.1:1/"),
        "hangs" => ResponseTemplate::new(200).set_delay(Duration::from_secs(600)),
        status => ResponseTemplate::new(status.parse::<u16>().unwrap()),
    }
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_log_in_that_fails_is_told_with_what_to_do() {
    let cloud = Drs::answering_all(|ask| whole(ask, 1), log_in).await;
    let nobody = nobody().await;
    let fault = |(way, what, advice): &(&str, &str, &'static str)| {
        let place = if *what == "away" { format!("http://{nobody}") } else { format!("{}/{what}", cloud.uri()) };
        let auth = match *way {
            "password" => "{password: {user: u, domain: d, password: p}}".to_owned(),
            _ => format!("{{agency: {{endpoint: {place}}}}}"),
        };
        Fault {
            name: format!("{way}-{what}"),
            account: format!("endpoint: {}, iam_endpoint: {place}, project_id: p, auth: {auth}", cloud.uri()),
            outcome: "auth",
            code: "log_in".to_owned(),
            advice,
        }
    };
    meets(&LOG_INS.iter().map(fault).collect::<Vec<_>>()).await;
    assert!(cloud.all_asked().is_empty(), "DRS was asked without a proof");
}

/// A server of TLS that never answers, by a certificate for `name`, and its authority in PEM. It may want a certificate of
/// whoever asks, by the same authority.
async fn tls(name: &str, ended: bool, wants_another: bool) -> (SocketAddr, String) {
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let mut certificate = CertificateParams::new([name.to_owned()]).unwrap();
    if ended {
        (certificate.not_before, certificate.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    }
    let certificate: CertificateDer<'static> = certificate.signed_by(&key, &issuer).unwrap().der().clone();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let config = if wants_another {
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        config.with_client_cert_verifier(verifier)
    } else {
        config.with_no_client_auth()
    };
    let config =
        config.with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(client) = acceptor.accept(client).await {
                    tokio::time::sleep(Duration::from_secs(600)).await;
                    drop(client);
                }
            });
        }
    });
    (address, root.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_that_leads_nowhere_is_told_with_what_to_do() {
    const HANDSHAKE: &str = "its certificate is trusted here (`ca_file`) and valid by this host's clock; a certificate of ours cannot be shown";
    const PLACE: &str = "check `region` or `endpoint`, DNS, the proxy and the network; the next poll tries again";
    const SLOW: &str = "raise `limits.timeout` if DRS is just slow";
    let folder = TempDir::new().unwrap();
    let plain = Drs::answering(|ask| whole(ask, 1)).await;
    let nobody = nobody().await;
    let mut faults = Vec::new();
    let mut add = |name: &str, place: &str, code: &str, advice| {
        let account = format!("endpoint: {place}, project_id: p, auth: {{token: t}}");
        faults.push(Fault { name: name.to_owned(), account, outcome: "error", code: code.to_owned(), advice });
    };
    for (name, host, ended, wants_another, trusted) in [
        ("unknown-authority", "127.0.0.1", false, false, false),
        ("expired", "127.0.0.1", true, false, true),
        ("wrong-name", "another.test", false, false, true),
        ("wants-a-certificate", "127.0.0.1", false, true, true),
    ] {
        let (address, authority) = tls(host, ended, wants_another).await;
        let file = folder.path().join(name);
        std::fs::write(&file, authority).unwrap();
        let trust = if trusted { format!(", ca_file: {}", file.display()) } else { String::new() };
        add(name, &format!("https://{address}{trust}"), "tls", HANDSHAKE);
    }
    add("no-tls", &plain.uri().replace("http:", "https:"), "tls", HANDSHAKE);
    let (address, authority) = tls("127.0.0.1", false, false).await;
    let file = folder.path().join("silent");
    std::fs::write(&file, authority).unwrap();
    add("silent-tls", &format!("https://{address}, ca_file: {}", file.display()), "timeout", SLOW);
    add("nobody", &format!("http://{nobody}"), "connect", PLACE);
    // A name that is never given to anybody.
    add("no-such-name", "http://drs.invalid", "connect", PLACE);
    add("no-proxy", &format!("{}, proxy_url: http://{nobody}", plain.uri()), "connect", PLACE);
    meets(&faults).await;
    assert!(plain.all_asked().is_empty());
}
