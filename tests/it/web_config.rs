//! Who may read, and how connections are made safe: the web configuration, as it is at the start and as it changes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body::Body as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::drs::{Drs, page, row, whole};
use crate::support::exporter::{Exporter, run};
use crate::support::prometheus::Prometheus;
use crate::support::{PATIENCE, eventually, eventually_within};

const PATHS: [&str; 8] =
    ["/", "/metrics", "/api/v1/jobs", "/api/v1/schema", "/sd", "/-/healthy", "/-/ready", "/nothing"];

/// A certificate and its key, in PEM.
struct Pair {
    cert: String,
    key: String,
}

/// An authority that signs certificates.
struct Authority {
    cert: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        Self { cert, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, names: Vec<SanType>) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        Pair { cert: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A certificate of this host.
    fn server(&self) -> Pair {
        self.sign(vec![SanType::IpAddress([127, 0, 0, 1].into())])
    }
}

/// A folder with a web configuration and what it names.
struct Web {
    folder: TempDir,
    authority: Authority,
}

impl Web {
    fn new(text: &str) -> Self {
        let this = Self { folder: TempDir::new().unwrap(), authority: Authority::new() };
        this.certify();
        this.put("client-ca.pem", &this.authority.cert);
        this.write(text);
        this
    }

    /// Makes a new certificate for the server.
    fn certify(&self) {
        let Pair { cert, key } = self.authority.server();
        // One file after the other would be a moment without a pair.
        self.put("server.pem", &format!("{cert}{key}"));
    }

    fn write(&self, text: &str) {
        self.put("web.yml", text);
    }

    fn put(&self, name: &str, text: &str) {
        let place = self.folder.path().join(name);
        fs::write(place.with_extension("new"), text).unwrap();
        fs::rename(place.with_extension("new"), place).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("web.yml")
    }

    fn flag(&self) -> String {
        format!("--web.config.file={}", self.path().display())
    }

    async fn start(&self, drs: &Drs) -> Exporter {
        Exporter::start_with(&drs.config(&["{id: good, types: [table]}"]), &[&self.flag()]).await
    }

    fn client(&self) -> ClientBuilder {
        let authority = Certificate::from_pem(self.authority.cert.as_bytes()).unwrap();
        let new = Client::builder().no_proxy().no_gzip().tls_certs_only([authority]).timeout(PATIENCE);
        // So that each request has a handshake of its own.
        new.pool_max_idle_per_host(0)
    }
}

const TLS: &str = "tls_server_config: {cert_file: server.pem, key_file: server.pem}\n";

fn https(exporter: &Exporter, path: &str) -> String {
    format!("https://{}{path}", exporter.address())
}

fn users(users: &[(&str, &str)]) -> String {
    let hashed = users.iter().map(|(user, password)| format!("  {user}: {}\n", bcrypt::hash(password, 4).unwrap()));
    format!("basic_auth_users:\n{}", hashed.collect::<String>())
}

async fn one_job() -> Drs {
    Drs::answering(|ask| whole(ask, 1)).await
}

async fn status(client: &Client, url: String) -> Option<u16> {
    client.get(url).send().await.ok().map(|answer| answer.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_is_refused_with_all_that_is_wrong_and_no_secret() {
    let web = Web::new("");
    let drs = one_job().await;
    let mut told = String::new();
    for text in [
        "tls_server_config: {}",
        "tls_server_config: {cert_file: '', key_file: ''}",
        "tls_server_config: {cert_file: server.pem}",
        "tls_server_config: {cert_file: server.pem, cert: PEM, key_file: nowhere.pem, key: hunter2}",
        "tls_server_config: {cert_file: nowhere.pem, key_file: server.pem}",
        "tls_server_config: {cert_file: /dev/zero, key_file: server.pem}",
        "tls_server_config: {cert_file: client-ca.pem, key_file: server.pem}",
        "tls_server_config: {cert_file: server.pem, key: hunter2}",
        "tls_server_config: {cert_file: web.yml, key_file: server.pem}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, client_ca_file: client-ca.pem}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, client_auth_type: RequireAndVerifyClientCert}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, client_auth_type: Whoever, client_allowed_sans: [a]}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, client_auth_type: RequestClientCert, client_allowed_sans: [a]}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, client_auth_type: RequireAnyClientCert, client_allowed_sans: []}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, min_version: TLS10, max_version: SSL3}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, min_version: TLS13, max_version: TLS12}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA, MINE]}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]}",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem, curve_preferences: [CurveP521, Mine]}",
        "tls_server_config: {certfile: server.pem}",
        "tls_server_config: hunter2",
        "http_server_config: {http2: maybe}",
        "http_server_config: {headers: {X-Frame-Options: allow, Server: mine, Content-Security-Policy: \"a\\nb\"}}",
        "basic_auth_users: {alice: hunter2, 'a:b': $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze}",
        "basic_auth_users: {alice: 12345}",
        "basic_auth_users: {alice: a, alice: b}",
        "rate_limit: {interval: 1 fortnight, burst: 1}",
        "rate_limit: {interval: 1s}",
        "rate_limit: {interval: 5, burst: 1}",
        "rate_limit: {interval: 1.5, burst: 1}",
        "rate_limit: {interval: 9999999h, burst: 1}",
        "rate_limits: {}",
        "- hunter2",
        "a: [",
    ] {
        web.write(text);
        let refused =
            run(&drs.config(&["{id: a, types: [table]}"]), &["--web.listen-address=127.0.0.1:0", &web.flag()]).await;
        assert_eq!((refused.code, &refused.out[..]), (Some(1), ""), "{text}");
        let lines: Vec<&str> = refused.err.lines().filter(|line| !line.starts_with("ts=")).collect();
        let said = lines.join("\n").replace(&format!("{}/", web.folder.path().display()), "");
        assert!(!said.contains("hunter2"), "{said}");
        told.push_str(&format!("{text}\n    {said}\n"));
    }
    insta::assert_snapshot!(told);
    let nowhere = run(&drs.config(&["{id: a, types: [table]}"]), &["--web.config.file=/nowhere/web.yml"]).await;
    assert!(nowhere.err.contains("/nowhere/web.yml: cannot be read: No such file"), "{}", nowhere.err);
    // A check looks at it as well.
    web.write("rate_limits: {}");
    let checked = run(&drs.config(&["{id: a, types: [table]}"]), &["check", &web.flag()]).await;
    assert_eq!(checked.code, Some(1));
    assert!(checked.err.contains("web.yml: unknown field `rate_limits`"), "{}", checked.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_asks_who_it_is() {
    let web = Web::new(&users(&[("alice", "wonderland"), ("bob", &"b".repeat(72))]));
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    let ask = async |path: &str, user: &str, password: &str| {
        exporter.client().get(exporter.url(path)).basic_auth(user, Some(password)).send().await.unwrap()
    };
    eventually("the first poll", async || (ask("/-/ready", "alice", "wonderland").await.status() == 200).then_some(()))
        .await;
    let reload = exporter.client().post(exporter.url("/-/reload")).send().await.unwrap();
    assert_eq!(reload.status(), 401, "before it is said whether there is a reload");
    for path in PATHS {
        let nobody = exporter.get(path).await;
        assert_eq!(nobody.status(), 401, "{path}");
        assert_eq!(nobody.headers()[WWW_AUTHENTICATE], r#"Basic realm="drs-exporter", charset="UTF-8""#);
        assert_eq!(nobody.headers()["x-content-type-options"], "nosniff");
        assert_eq!(
            ask(path, "alice", "wonderland").await.status(),
            if path == "/nothing" { 404 } else { 200 },
            "{path}"
        );
        for (user, password) in
            [("alice", "Wonderland"), ("alice", ""), ("carol", "wonderland"), ("", ""), ("bob", "wonderland")]
        {
            assert_eq!(ask(path, user, password).await.status(), 401, "{path} for {user}:{password}");
        }
    }
    assert_eq!(ask("/metrics", "bob", &"b".repeat(72)).await.status(), 200);
    // bcrypt itself would not look at what comes after.
    assert_eq!(ask("/metrics", "bob", &"b".repeat(73)).await.status(), 401);
    for header in
        ["Basic", "Basic !!!", "Basic YWxpY2U=", "Bearer YWxpY2U6d29uZGVybGFuZA==", "Basic YWxpY2U6d29uZGVybGFuZA"]
    {
        let request = exporter.client().get(exporter.url("/metrics")).header("authorization", header);
        assert_eq!(request.send().await.unwrap().status(), 401, "{header}");
    }
    let lower =
        exporter.client().get(exporter.url("/metrics")).header("authorization", "basic YWxpY2U6d29uZGVybGFuZA==");
    assert_eq!(lower.send().await.unwrap().status(), 200);
    assert!(!exporter.log().contains("wonderland") && !exporter.log().contains("$2b$"), "{}", exporter.log());

    // Users change with the next request.
    web.write(&users(&[("alice", "looking-glass"), ("dora", "d")]));
    assert_eq!(ask("/metrics", "alice", "wonderland").await.status(), 401);
    assert_eq!(ask("/metrics", "alice", "looking-glass").await.status(), 200);
    assert_eq!(ask("/metrics", "dora", "d").await.status(), 200);
    assert_eq!(ask("/metrics", "bob", &"b".repeat(72)).await.status(), 401);
    // A file that is being written may have none yet; so nobody is let in until some are there again.
    for none in ["", "basic_auth_users: {}"] {
        web.write(none);
        assert_eq!(exporter.get("/metrics").await.status(), 500);
        assert_eq!(ask("/metrics", "dora", "d").await.status(), 500);
    }
    assert!(exporter.log().contains("asks for no passwords any more, which needs a restart"), "{}", exporter.log());
    web.write(&users(&[("dora", "d")]));
    assert_eq!(ask("/metrics", "dora", "d").await.status(), 200);
    web.write("");
    let restarted = web.start(&drs).await;
    assert_eq!(restarted.get("/metrics").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_wait_for_each_other_and_those_who_are_known_do_not_wait() {
    // A hash that takes its time, so that guesses meet.
    let web = Web::new(&format!("basic_auth_users: {{alice: {}}}\n", bcrypt::hash("wonderland", 8).unwrap()));
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    let ask = |user: String, password: String| {
        let request =
            exporter.client().get(exporter.url("/-/healthy")).basic_auth(user, Some(password)).timeout(PATIENCE);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(ask("alice".into(), "wonderland".into()).await, 200);
    let guesses = (0..200).map(|number| ask(["alice", "nobody"][number % 2].into(), format!("guess {number}")));
    let known = async {
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(ask("alice".into(), "wonderland".into()).await);
        }
        answers
    };
    let (guesses, known) = tokio::join!(futures_util::future::join_all(guesses), known);
    assert_eq!(known, [200; 20], "one who is known waits for nobody");
    assert!(guesses.iter().all(|status| [401, 503].contains(status)), "{guesses:?}");
    assert!(guesses.contains(&401) && guesses.contains(&503), "so many at once: {guesses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guess_takes_as_long_for_one_who_is_nobody() {
    let hash = |password| bcrypt::hash(password, 8).unwrap();
    let web = Web::new(&format!("basic_auth_users: {{alice: {}, bob: {}}}\n", hash("wonderland"), hash("b")));
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    // The shortest of some, since others use the machine as well.
    let shortest = async |user: &str| {
        let mut shortest = PATIENCE;
        for number in 0..5 {
            let guess = format!("guess {number}");
            let request = exporter.client().get(exporter.url("/-/healthy")).basic_auth(user, Some(guess));
            let began = Instant::now();
            assert_eq!(request.send().await.unwrap().status(), 401);
            shortest = shortest.min(began.elapsed());
        }
        shortest.as_secs_f64()
    };
    let (known, nobody) = (shortest("alice").await, shortest("nobody").await);
    assert!((1.0 / 3.0..3.0).contains(&(known / nobody)), "{known} s and {nobody} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_swapped_between_two_handshakes() {
    let web = Web::new("tls_server_config: {cert_file: cert.pem, key_file: key.pem}");
    let Pair { cert, key } = web.authority.server();
    web.put("cert.pem", &cert);
    web.put("key.pem", &key);
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    let client = web.client().build().unwrap();
    let url = https(&exporter, "/metrics");
    assert!(exporter.client().get(exporter.url("/metrics")).send().await.is_err(), "without TLS there is no answer");
    let serial = async || served(exporter.address(), &web).await;
    let first = serial().await;
    let mut seen = vec![first.clone()];
    for number in 0..1000 {
        if number % 250 == 125 {
            let Pair { cert, key } = web.authority.server();
            web.put("cert.pem", &cert);
            // For a moment the two do not fit each other, and some scrapes begin just then.
            let meanwhile = futures_util::future::join_all((0..4).map(|_| status(&client, url.clone())));
            let renewed = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                web.put("key.pem", &key);
            };
            let (meanwhile, ()) = tokio::join!(meanwhile, renewed);
            assert_eq!(meanwhile, [Some(200); 4], "{}", exporter.log());
            let now = serial().await;
            assert!(!seen.contains(&now), "the next handshake has the new certificate");
            seen.push(now);
        }
        assert_eq!(status(&client, url.clone()).await, Some(200), "scrape {number}: {}", exporter.log());
    }
    assert_eq!(seen.len(), 5);
    // Where the two never fit, the wait ends.
    web.put("key.pem", &web.authority.server().key);
    assert_eq!(status(&client, url.clone()).await, None);
    assert!(exporter.log().contains("do not go together"), "{}", exporter.log());
}

/// The certificate that a handshake brings.
async fn served(address: SocketAddr, web: &Web) -> Vec<u8> {
    let stream = handshake(address, web, &[]).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn handshake(address: SocketAddr, web: &Web, protocols: &[&str]) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(web.authority.cert.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::from(address.ip()), stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_lets_nobody_in_until_it_is_mended() {
    let good = format!("{TLS}{}", users(&[("alice", "wonderland")]));
    let web = Web::new(&good);
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    // One connection that stays, and others that begin.
    let staying = web.client().pool_max_idle_per_host(1).build().unwrap();
    let fresh = web.client().build().unwrap();
    let ask = async |client: &Client, path: &str, password: Option<&str>| {
        let request = client.get(https(&exporter, path));
        let request = if password.is_some() { request.basic_auth("alice", password) } else { request };
        request.send().await.ok().map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask(&staying, "/metrics", Some("wonderland")).await, Some(200));
    for broken in [
        "a: [",
        "basic_auth_users: {alice: x}",
        "rate_limits: {}",
        "",
        "basic_auth_users: {}",
        &good.replace("server.pem", "none.pem"),
    ] {
        web.write(broken);
        for path in PATHS {
            for password in [None, Some("wonderland")] {
                let (old, new) = (ask(&staying, path, password).await, ask(&fresh, path, password).await);
                assert_eq!(new, None, "{broken} {path}: a handshake");
                let old_still_counts = broken.contains("none.pem") && password.is_some() && path != "/nothing";
                assert!(old != Some(200) || old_still_counts, "{broken} {path} {password:?}: {old:?}");
            }
        }
        let log = exporter.log();
        assert!(log.contains("nobody is let in until it is mended"), "{log}");
        web.write(&good);
        assert_eq!(ask(&fresh, "/metrics", Some("wonderland")).await, Some(200));
        assert_eq!(ask(&fresh, "/metrics", None).await, Some(401));
    }
    fs::remove_file(web.path()).unwrap();
    assert_eq!(ask(&fresh, "/metrics", Some("wonderland")).await, None);
    web.write(&good);
    assert_eq!(ask(&fresh, "/metrics", Some("wonderland")).await, Some(200));
    assert!(exporter.log().contains("the web configuration can be used again"));

    // Without TLS, an answer can say that nobody is let in.
    let web = Web::new(&users(&[("alice", "wonderland")]));
    let exporter = web.start(&drs).await;
    for broken in ["a: [", "basic_auth_users: {alice: x}", "", "basic_auth_users:", TLS] {
        web.write(broken);
        for path in PATHS {
            let answer =
                exporter.client().get(exporter.url(path)).basic_auth("alice", Some("wonderland")).send().await.unwrap();
            assert_eq!(answer.status(), 500, "{broken} {path}");
            assert_eq!(answer.text().await.unwrap(), "The web configuration cannot be used; the log says why.\n");
        }
    }
    assert!(exporter.log().contains("switches TLS on or off, which needs a restart"), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_let_in_by_their_certificates() {
    let web = Web::new(TLS);
    let other = Authority::new();
    let named = |name: &str| vec![SanType::DnsName(name.try_into().unwrap())];
    let identity = |pair: &Pair| Identity::from_pem(format!("{}{}", pair.cert, pair.key).as_bytes()).unwrap();
    let mail = SanType::Rfc822Name("ops@example.com".try_into().unwrap());
    let uri = SanType::URI("spiffe://example/prometheus".try_into().unwrap());
    let kinds = [
        ("nobody", None),
        ("known", Some(web.authority.sign(named("prometheus")))),
        ("stranger", Some(other.sign(named("prometheus")))),
        ("other name", Some(web.authority.sign(named("grafana")))),
        ("address", Some(web.authority.sign(vec![SanType::IpAddress([10, 0, 0, 7].into())]))),
        ("mail", Some(web.authority.sign(vec![mail]))),
        ("uri", Some(web.authority.sign(vec![uri]))),
    ];
    let ca = "client_ca_file: client-ca.pem, ";
    let sans =
        |names: &str| format!("{ca}client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [{names}]");
    let cases: [(String, &[&str]); 11] = [
        (String::new(), &["nobody", "known", "stranger", "other name", "address", "mail", "uri"]),
        (
            "client_auth_type: NoClientCert".into(),
            &["nobody", "known", "stranger", "other name", "address", "mail", "uri"],
        ),
        (
            "client_auth_type: RequestClientCert".into(),
            &["nobody", "known", "stranger", "other name", "address", "mail", "uri"],
        ),
        (
            format!("{ca}client_auth_type: VerifyClientCertIfGiven"),
            &["nobody", "known", "other name", "address", "mail", "uri"],
        ),
        // From here on a certificate is needed.
        (
            "client_auth_type: RequireAnyClientCert".into(),
            &["known", "stranger", "other name", "address", "mail", "uri"],
        ),
        (
            format!("{ca}client_auth_type: RequireAndVerifyClientCert"),
            &["known", "other name", "address", "mail", "uri"],
        ),
        ("client_auth_type: RequireClientCert, client_allowed_sans: [prometheus]".into(), &["known", "stranger"]),
        (sans("prometheus, 10.0.0.7"), &["known", "address"]),
        (sans("ops@example.com, 'spiffe://example/prometheus'"), &["mail", "uri"]),
        // A file that is being written may not name them yet.
        ("client_auth_type: RequireAnyClientCert".into(), &[]),
        (String::new(), &[]),
    ];
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    for (policy, welcome) in cases {
        web.write(&TLS.replace('}', &format!(", {policy}}}")).replace(", }", "}"));
        let mut let_in = Vec::new();
        for (who, pair) in &kinds {
            let client = web.client();
            let client = match pair {
                Some(pair) => client.identity(identity(pair)),
                None => client,
            };
            if status(&client.build().unwrap(), https(&exporter, "/-/healthy")).await == Some(200) {
                let_in.push(*who);
            }
        }
        assert_eq!(let_in, welcome, "{policy}");
    }
    for what in ["client certificates", "client_allowed_sans"] {
        let said = format!("asks for no {what} any more, which needs a restart");
        assert!(exporter.log().contains(&said), "{}", exporter.log());
    }
}

/// What OpenSSL, as another client, says of a handshake.
fn openssl(address: SocketAddr, arguments: &[&str]) -> Output {
    Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-brief"])
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run openssl: {error}; install it: apt-get install openssl"))
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_suites_and_curves_are_those_that_are_named() {
    let web = Web::new(TLS);
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    let cases: [(&str, &[&str], Option<&str>); 11] = [
        ("", &["-tls1_2"], Some("TLSv1.2")),
        ("", &["-tls1_3"], Some("TLSv1.3")),
        ("min_version: TLS13", &["-tls1_2"], None),
        ("min_version: TLS13", &["-tls1_3"], Some("TLSv1.3")),
        ("max_version: TLS12", &["-tls1_3"], None),
        ("max_version: TLS12", &[], Some("TLSv1.2")),
        (
            "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]",
            &["-tls1_2"],
            Some("ECDHE-ECDSA-AES256-GCM-SHA384"),
        ),
        (
            "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            None,
        ),
        ("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]", &["-tls1_3"], Some("TLSv1.3")),
        ("curve_preferences: [CurveP384]", &["-curves", "P-384:X25519"], Some("secp384r1")),
        ("curve_preferences: [CurveP384]", &["-curves", "X25519"], None),
    ];
    for (setting, arguments, expected) in cases {
        web.write(&TLS.replace('}', &format!(", {setting}}}")).replace(", }", "}"));
        let address = exporter.address();
        let output = tokio::task::spawn_blocking(move || openssl(address, arguments)).await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match expected {
            Some(expected) => {
                assert!(said.contains("CONNECTION ESTABLISHED") && said.contains(expected), "{setting}: {said}")
            }
            None => assert!(!said.contains("CONNECTION ESTABLISHED"), "{setting}: {said}"),
        }
    }
    // Whose order counts is the user's choice.
    let both = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]";
    let theirs = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
    for (prefers, chosen) in [("true", "AES256"), ("false", "AES128")] {
        web.write(&TLS.replace('}', &format!(", {both}, prefer_server_cipher_suites: {prefers}}}")));
        let address = exporter.address();
        let arguments = ["-tls1_2", "-cipher", theirs];
        let output = tokio::task::spawn_blocking(move || openssl(address, &arguments)).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("ECDHE-ECDSA-{chosen}")), "{prefers}: {said}");
    }
}

/// Asks over HTTP/2 with a small window, and gives the connection and the answer.
async fn asks_by_http2(
    exporter: &Exporter,
    web: &Web,
) -> (tokio::task::JoinHandle<hyper::Result<()>>, hyper::Response<hyper::body::Incoming>) {
    let stream = handshake(exporter.address(), web, &["h2"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(16 * 1024).initial_connection_window_size(64 * 1024);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(https(exporter, "/metrics")).body(String::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    (connection, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_over_tls_unless_it_is_switched_off_and_its_stalled_readers_are_closed() {
    let web = Web::new(TLS);
    let drs = Drs::answering(|ask| {
        let name = |number: u64| format!("{number:0>1000}");
        let rows: Vec<_> = (ask.offset..(ask.offset + ask.limit).min(1000)).map(|n| row(&name(n), 100)).collect();
        page(1000, &rows)
    })
    .await;
    let exporter = web.start(&drs).await;
    let client = web.client().build().unwrap();
    eventually("the objects", async || {
        let text = client.get(https(&exporter, "/metrics")).send().await.unwrap().text().await.unwrap();
        (text.matches("drs_object_progress{").count() == 1000).then_some(())
    })
    .await;
    let (connection, answer) = asks_by_http2(&exporter, &web).await;
    assert_eq!((answer.status().as_u16(), answer.version()), (200, hyper::Version::HTTP_2));
    let length = answer.body().size_hint().exact().unwrap();
    assert!(length > 2_000_000, "{length}");
    let targets = client.get(https(&exporter, "/sd")).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(targets[0]["labels"]["__scheme__"], "https");

    // It reads nothing, though the connection itself is alive.
    let closed = async || exporter.log().contains("its reader takes nothing for 30 s").then_some(());
    eventually_within(2 * PATIENCE, "the end of the connection", closed).await;
    let rest =
        tokio::time::timeout(PATIENCE, axum::body::to_bytes(axum::body::Body::new(answer.into_body()), usize::MAX))
            .await
            .unwrap();
    assert!(rest.is_err(), "it got a proper end");
    connection.abort();

    web.write(&format!("{TLS}http_server_config: {{http2: false}}\n"));
    assert_eq!(status(&client, https(&exporter, "/metrics")).await, None, "that needs a restart");
    assert!(exporter.log().contains("switches HTTP/2 on or off, which needs a restart"));
    let restarted = web.start(&drs).await;
    let stream = handshake(restarted.address(), &web, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_go_on_is_closed_and_holds_nobody_up() {
    let web = Web::new(TLS);
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    let client = web.client().build().unwrap();
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(exporter.address()).await.unwrap());
    }
    assert_eq!(status(&client, https(&exporter, "/metrics")).await, Some(200));
    let closed = async || (exporter.log().matches("no whole head of a request came").count() == 50).then_some(());
    eventually("all of them to be closed", closed).await;
    assert_eq!(status(&client, https(&exporter, "/metrics")).await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_a_rate_are_added() {
    let headers = "Content-Security-Policy: \"default-src 'self'\", X-Frame-Options: sameorigin, X-Content-Type-Options: nosniff, \
                   X-XSS-Protection: '1', Strict-Transport-Security: max-age=60";
    let web =
        Web::new(&format!("http_server_config: {{headers: {{{headers}}}}}\nrate_limit: {{interval: 1h, burst: 3}}\n"));
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = exporter.get("/-/healthy").await;
        let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("content-security-policy"), "default-src 'self'");
        assert_eq!(header("x-frame-options"), "sameorigin");
        assert_eq!(header("x-xss-protection"), "1");
        assert_eq!(header("strict-transport-security"), "max-age=60");
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    // With a time of 0 there is no rate.
    web.write("http_server_config: {headers: {X-Frame-Options: ''}}\nrate_limit: {interval: 0, burst: 0}\n");
    for _ in 0..5 {
        let answer = exporter.get("/").await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-frame-options"]), (200, &"deny".parse().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_over_tls_with_a_password() {
    let web = Web::new(&format!("{TLS}{}", users(&[("prometheus", "wonderland")])));
    let drs = one_job().await;
    let exporter = web.start(&drs).await;
    let authority = web.folder.path().join("client-ca.pem");
    let scraping = Prometheus::scraping(&exporter.address().to_string());
    let safe = format!(
        "scheme: https\n    basic_auth: {{username: prometheus, password: wonderland}}\n    tls_config: {{ca_file: {}}}\n    honor_labels",
        Path::new(&authority).display()
    );
    let prometheus = Prometheus::start(&scraping.replacen("honor_labels", &safe, 1)).await;
    eventually("its objects", async || (prometheus.query("drs_object_progress").await.len() == 1).then_some(())).await;
    let up = prometheus.query("min_over_time(up[1m])").await;
    assert_eq!(up[0]["value"][1], "1", "{up:?}");
}
