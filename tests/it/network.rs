//! The way to the cloud: through a proxy, to a host with a private certificate, and nowhere that an answer leads to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use wiremock::{Request, ResponseTemplate};

use crate::support::drs::{Drs, whole};
use crate::support::exporter::{Exporter, program, run};
use crate::support::samples::Samples;

/// Names that no name server knows.
const DRS: &str = "drs.test";
const IAM: &str = "iam.test";

/// A proxy that takes all connections to one server, whatever host they are meant for.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, server, Arc::clone(&record)));
            }
        });
        Self { address, heads }
    }

    /// The heads of the requests that connections began with.
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Whether a request began like this.
    fn was_asked(&self, beginning: &str) -> bool {
        self.heads().iter().any(|head| head.starts_with(beginning))
    }
}

async fn pass_on(mut client: TcpStream, server: SocketAddr, record: Arc<Mutex<Vec<String>>>) {
    let mut begun = Vec::new();
    while !begun.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut begun).await.unwrap_or_default() == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&begun).into_owned();
    let tunnel = head.starts_with("CONNECT ");
    record.lock().unwrap().push(head);
    let mut server = TcpStream::connect(server).await.unwrap();
    let (to, what) = if tunnel { (&mut client, &b"HTTP/1.1 200 OK\r\n\r\n"[..]) } else { (&mut server, &begun[..]) };
    to.write_all(what).await.unwrap();
    // Either side may just go away.
    copy_bidirectional(&mut client, &mut server).await.ok();
}

/// A server of TLS in front of another server, with a certificate of an authority that nobody knows.
struct Tls {
    address: SocketAddr,
    /// The authority, in PEM.
    authority: String,
}

impl Tls {
    async fn before(server: SocketAddr) -> Self {
        let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let names = [DRS, IAM, "127.0.0.1"].map(str::to_owned);
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into());
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust us goes away.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(server).await.unwrap();
                    copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
        Self { address, authority: pem }
    }
}

/// The answer of an IAM that lets everybody in.
fn log_in(request: &Request) -> ResponseTemplate {
    assert_eq!(request.url.path(), "/v3/auth/tokens");
    let answer = json!({"token": {"expires_at": "2999-01-01T00:00:00.000000Z"}});
    ResponseTemplate::new(201).insert_header("X-Subject-Token", "lent").set_body_json(answer)
}

/// A DRS whose IAM gives tokens to whoever asks, and where it is.
async fn cloud() -> (Drs, SocketAddr) {
    let drs = Drs::answering_all(|ask| whole(ask, 3), log_in).await;
    let address = drs.uri().strip_prefix("http://").unwrap().parse().unwrap();
    (drs, address)
}

/// A configuration of a user who logs in, with another line for the way.
fn config(drs: &Drs, scheme: &str, line: &str) -> String {
    let places = format!("endpoint: {scheme}://{DRS}\n    iam_endpoint: {scheme}://{IAM}\n    {line}");
    drs.config(&["{id: j, types: [table]}"])
        .replace(&format!("endpoint: {}", drs.uri()), &places)
        .replace("{token: the-token}", "{password: {user: monitor, domain: acme, password: sesame}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_and_a_listing_go_through_the_proxy() {
    let (drs, server) = cloud().await;
    let proxy = Proxy::to(server).await;
    let config = config(&drs, "http", &format!("proxy_url: http://{}", proxy.address));
    let exporter = Exporter::start(&config).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!(samples.objects("j", "table"), 3);
    assert_eq!(drs.asked("j")[0].headers["x-auth-token"], "lent");
    let page = format!("GET http://{DRS}/v5/the-project/jobs/j/progress-data/table?limit=1000&offset=0 HTTP/1.1\r\n");
    for asked in [&format!("POST http://{IAM}/v3/auth/tokens HTTP/1.1\r\n"), &page] {
        assert!(proxy.was_asked(asked), "{:#?}", proxy.heads());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_told_its_password_and_the_log_is_not() {
    let (drs, server) = cloud().await;
    let proxy = Proxy::to(server).await;
    let config = config(&drs, "http", &format!("proxy_url: http://alice:open%3Asesame@{}", proxy.address));
    let exporter = Exporter::start(&config).await;
    exporter.polled("j", "table", "success", 1.0).await;
    // alice:open:sesame
    let proof = "proxy-authorization: Basic YWxpY2U6b3BlbjpzZXNhbWU=\r\n";
    let told = |head: &String| head.to_lowercase().contains(&proof.to_lowercase());
    assert!(proxy.heads().iter().all(told), "{:#?}", proxy.heads());
    for secret in ["open:sesame", "open%3Asesame", "YWxpY2U6b3Blbj"] {
        assert!(!exporter.log().contains(secret), "{}", exporter.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_variables_name_a_proxy_too() {
    let (drs, server) = cloud().await;
    let proxy = Proxy::to(server).await;
    for (name, reached) in [("HTTP_PROXY", true), ("http_proxy", true), ("HTTPS_PROXY", false)] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("drs-exporter.yml");
        std::fs::write(&file, config(&drs, "http", "")).unwrap();
        let mut command = program();
        command.arg("--config.file").arg(&file).arg("once").env(name, format!("http://{}", proxy.address));
        let ended = command.output().await.unwrap();
        assert_eq!(ended.status.success(), reached, "{name}: {}", String::from_utf8_lossy(&ended.stderr));
    }
    assert!(proxy.was_asked(&format!("GET http://{DRS}/v5/")), "{:#?}", proxy.heads());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_sees_nothing_of_what_is_encrypted() {
    let (drs, server) = cloud().await;
    let tls = Tls::before(server).await;
    let proxy = Proxy::to(tls.address).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &tls.authority).unwrap();
    let lines = format!("proxy_url: http://{}\n    ca_file: {}", proxy.address, file.display());
    let exporter = Exporter::start(&config(&drs, "https", &lines)).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!(samples.objects("j", "table"), 3);
    for host in [DRS, IAM] {
        assert!(proxy.was_asked(&format!("CONNECT {host}:443 HTTP/1.1\r\n")), "{:#?}", proxy.heads());
    }
    assert!(proxy.heads().iter().all(|head| head.starts_with("CONNECT ") && !head.contains("lent")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_by_its_file_only() {
    let (drs, server) = cloud().await;
    let tls = Tls::before(server).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &tls.authority).unwrap();
    let here = format!("https://{}", tls.address);
    let trusting = config(&drs, "https", &format!("ca_file: {}", file.display()));
    let trusting = trusting.replace(&format!("https://{DRS}"), &here).replace(&format!("https://{IAM}"), &here);
    let exporter = Exporter::start(&trusting).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!(samples.objects("j", "table"), 3);

    let plain = drs.config(&["{id: doubted, types: [table]}"]).replace(&drs.uri(), &here);
    let exporter = Exporter::start(&plain).await;
    let samples = exporter.polled("doubted", "table", "error", 1.0).await;
    assert!(samples.errors("doubted", "table", "tls") >= 1.0, "{:?}", samples.beginning("drs_api_errors"));
    assert!(exporter.log().contains("its certificate is trusted here"), "{}", exporter.log());
    assert_eq!(drs.asked("doubted").len(), 0);

    let user = trusting.replace(&format!("ca_file: {}", file.display()), "");
    let told = run(&user, &["check", "--connect"]).await;
    assert_eq!(told.code, Some(1));
    assert!(told.out.contains("IAM cannot be asked: the TLS handshake failed"), "{}", told.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_certificates_that_is_of_no_use_is_told_at_the_start() {
    let (drs, _) = cloud().await;
    let folder = TempDir::new().unwrap();
    let told = async |name: &str, text: Option<&str>| {
        let file = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let told =
            run(&config(&drs, "http", &format!("ca_file: {}", file.display())), &["--web.listen-address=127.0.0.1:0"])
                .await;
        assert_eq!(told.code, Some(1), "{}", told.err);
        let words = told.err.lines().filter(|line| line.starts_with("account ")).collect::<Vec<_>>().join("\n");
        words.replace(&format!("{}/", folder.path().display()), "")
    };
    insta::assert_snapshot!(told("missing.pem", None).await, @"account test: `ca_file` missing.pem: cannot be read: No such file or directory (os error 2); name a file of certificates in PEM that this process may read");
    insta::assert_snapshot!(told("empty.pem", Some("")).await, @"account test: `ca_file` empty.pem: holds no certificate; name a file of certificates in PEM that this process may read");
    insta::assert_snapshot!(told("no.pem", Some("hello\n")).await, @"account test: `ca_file` no.pem: holds no certificate; name a file of certificates in PEM that this process may read");
    let broken = "-----BEGIN CERTIFICATE-----\nhello\n-----END CERTIFICATE-----\n";
    insta::assert_snapshot!(told("broken.pem", Some(broken)).await, @"account test: `ca_file` broken.pem: builder error: invalid certificate encoding; name a file of certificates in PEM that this process may read");
}

/// The answers that lead elsewhere.
const REDIRECTS: [u16; 4] = [301, 302, 307, 308];

/// Somebody else, and how often anybody came.
async fn elsewhere() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, visits) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&visits);
    tokio::spawn(async move {
        while let Ok((mut visitor, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            visitor.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.ok();
        }
    });
    (port, visits)
}

/// The redirect that a word such as `301-port` names.
fn redirect(word: &str, port: u16) -> ResponseTemplate {
    let (status, place) = word.split_once('-').unwrap();
    let location = match place {
        "host" => format!("http://localhost:{port}/"),
        "port" => format!("http://127.0.0.1:{port}/"),
        "scheme" => format!("https://127.0.0.1:{port}/"),
        _ => "/elsewhere".to_owned(),
    };
    ResponseTemplate::new(status.parse::<u16>().unwrap()).insert_header("Location", location)
}

/// All of them.
fn redirects() -> impl Iterator<Item = String> {
    let places = ["host", "port", "scheme", "path"];
    REDIRECTS.into_iter().flat_map(move |status| places.map(|place| format!("{status}-{place}")))
}

/// The names of accounts, and the ways in that each of them is to try.
const WAYS: [(&str, &str); 3] = [
    ("token", "{token: sesame}"),
    ("key", "{access_key: {id: AKEYOFOURS, secret: sesame, security_token: sesame}}"),
    ("user", "{password: {user: USER, domain: acme, password: sesame}}"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_of_drs_is_followed() {
    let (port, visits) = elsewhere().await;
    let drs = Drs::answering_all(move |ask| redirect(ask.job.split_once('_').unwrap().1, port), log_in).await;
    let mut config = "accounts:\n".to_owned();
    let mut jobs = Vec::new();
    for (way, auth) in WAYS {
        let these: Vec<String> = redirects().map(|redirect| format!("{way}_{redirect}")).collect();
        let listed: Vec<String> = these.iter().map(|job| format!("{{id: {job}, types: [table]}}")).collect();
        let place = format!("endpoint: {0}, iam_endpoint: {0}, project_id: p, job_view: false", drs.uri());
        let limits = "limits: {requests_per_second: 1000, burst: 1000}";
        config += &format!("  - {{name: {way}, {place}, {limits}, auth: {auth}, jobs: [{}]}}\n", listed.join(", "));
        jobs.extend(these);
    }
    let told = run(&config, &["once"]).await;
    assert_eq!(told.code, Some(1));
    let samples = Samples::parse(&told.out);
    for job in &jobs {
        assert_eq!(samples.errors(job, "table", "redirect"), 1.0, "{job}: {}", told.err);
        assert_eq!(drs.asked(job).len(), 1, "{job}: asked again");
    }
    assert!(told.err.contains("redirects are not followed, since secrets would go with them"), "{}", told.err);
    assert_eq!(visits.load(Ordering::SeqCst), 0, "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_of_iam_is_followed() {
    let (port, visits) = elsewhere().await;
    let iam = move |request: &Request| match request.url.path() {
        "/v3/auth/tokens" => {
            let body: serde_json::Value = request.body_json().unwrap();
            redirect(body.pointer("/auth/identity/password/user/name").unwrap().as_str().unwrap(), port)
        }
        "/v3/projects" => redirect(&request.url.query_pairs().next().unwrap().1, port),
        other => panic!("unexpected path {other}"),
    };
    let drs = Drs::answering_all(|ask| whole(ask, 1), iam).await;
    let mut config = "accounts:\n".to_owned();
    let mut jobs = Vec::new();
    for ((way, auth), word) in WAYS.iter().flat_map(|way| redirects().map(move |word| (way, word))) {
        // A user asks for a token first; the others for the project of the region.
        let project = if *way == "user" { "project_id: p".to_owned() } else { format!("region: {word}") };
        let place = format!("endpoint: {0}, iam_endpoint: {0}, {project}, job_view: false", drs.uri());
        let (job, auth) = (format!("{way}_{word}"), auth.replace("USER", &word));
        config += &format!("  - {{name: {job}, {place}, auth: {auth}, jobs: [{{id: {job}, types: [table]}}]}}\n");
        jobs.push(job);
    }
    let told = run(&config, &["once"]).await;
    assert_eq!(told.code, Some(1));
    let samples = Samples::parse(&told.out);
    for job in &jobs {
        assert_eq!(samples.errors(job, "table", "log_in"), 1.0, "{job}: {}", told.err);
        let line = told.err.lines().find(|line| line.contains(&format!("job={job} "))).unwrap_or_default();
        assert!(line.contains("IAM cannot be asked: HTTP 30") && line.contains("with a redirect to"), "{job}: {line}");
    }
    assert_eq!((drs.others().len(), drs.all_asked().len()), (jobs.len(), 0));
    assert_eq!(visits.load(Ordering::SeqCst), 0, "a redirect was followed");
}
