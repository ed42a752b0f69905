//! What the Helm chart tells Prometheus and Grafana: the rules and dashboards of the repository, and a scrape that keeps the label `job`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::chart::{RENDERINGS, Rendering, folder, render, yaml};
use crate::support::exporter::{Exporter, program};
use crate::support::prometheus::Prometheus;
use crate::support::{eventually, tools};

const README: &str = include_str!("../../README.md");
const RULES: &str = include_str!("../../deploy/prometheus/drs-exporter.rules.yml");

#[test]
fn the_rules_and_dashboards_are_those_of_the_repository() {
    let rendering = &RENDERINGS["everything-on"];
    assert_eq!(rendering.the("PrometheusRule")["spec"], yaml(RULES));
    for page in ["drs-job", "drs-migrations"] {
        let map = rendering.named("ConfigMap", &format!("drs-drs-exporter-{page}"));
        let file = fs::read_to_string(folder().join(format!("../../../grafana/dashboards/{page}.json"))).unwrap();
        assert_eq!(map["data"][format!("{page}.json")], file, "{page}");
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    }
}

/// Shows a file to promtool.
fn promtool_is_content(arguments: &[&str], values: &Value) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file.yml");
    fs::write(&file, values.to_string()).unwrap();
    let output = tools::run("prometheus", "promtool", &[arguments, &[file.to_str().unwrap()]].concat(), b"");
    let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{words}{values:#}");
}

#[test]
fn the_rules_can_be_changed_in_their_windows_and_names_and_promtool_is_content() {
    for name in ["everything-on", "prometheus-rule"] {
        let rules = &RENDERINGS[name].the("PrometheusRule")["spec"];
        promtool_is_content(&["check", "rules", "--lint=all", "--lint-fatal"], rules);
    }
    let changed = RULES
        .replace("> 3600", "> 21600")
        .replace("https://example.com/drs-exporter", "https://wiki.example.com/drs")
        .replace(r#"job="drs""#, r#"job="drs-prod""#);
    assert_eq!(RENDERINGS["prometheus-rule"].the("PrometheusRule")["spec"], yaml(&changed));
}

/// How the Prometheus operator finds the pods behind a Service: as a target with these labels, which relabelling sees.
fn found(service: &Value, pod: &str, address: &str) -> Value {
    let mut labels = json!({
        "__meta_kubernetes_namespace": service["metadata"]["namespace"],
        "__meta_kubernetes_service_name": service["metadata"]["name"],
        "__meta_kubernetes_endpoint_port_name": service["spec"]["ports"][0]["name"],
        "__meta_kubernetes_pod_name": pod,
        "__meta_kubernetes_pod_container_name": "drs-exporter",
    });
    for (name, value) in service["metadata"]["labels"].as_object().unwrap() {
        let name = name.replace(|letter: char| !letter.is_alphanumeric(), "_");
        labels[format!("__meta_kubernetes_service_label_{name}")] = value.clone();
        labels[format!("__meta_kubernetes_service_labelpresent_{name}")] = "true".into();
    }
    json!({"targets": [address], "labels": labels})
}

/// What the Prometheus operator makes of a ServiceMonitor, where all Services lead to this address and Secrets are folders in this one.
fn scrape_config(rendering: &Rendering, address: &str, secrets: &Path) -> Value {
    let monitor = rendering.the("ServiceMonitor");
    let (spec, services) = (&monitor["spec"], rendering.all("Service"));
    let [endpoint] = &spec["endpoints"].as_array().unwrap()[..] else { panic!("not one endpoint") };
    let namespaces = spec["namespaceSelector"]["matchNames"].as_array().unwrap();
    assert!(services.iter().all(|service| namespaces.contains(&service["metadata"]["namespace"])));

    let mut relabellings = Vec::new();
    for (name, value) in spec["selector"]["matchLabels"].as_object().unwrap() {
        let name = name.replace(|letter: char| !letter.is_alphanumeric(), "_");
        let sources = ["label", "labelpresent"].map(|what| format!("__meta_kubernetes_service_{what}_{name}"));
        let regex = format!("({});true", value.as_str().unwrap());
        relabellings.push(json!({"action": "keep", "source_labels": sources, "regex": regex}));
    }
    relabellings.push(json!({
        "action": "keep", "source_labels": ["__meta_kubernetes_endpoint_port_name"], "regex": endpoint["port"],
    }));
    for (source, target) in [
        ("namespace", "namespace"),
        ("service_name", "service"),
        ("pod_name", "pod"),
        ("pod_container_name", "container"),
        ("service_name", "job"),
        ("endpoint_port_name", "endpoint"),
    ] {
        let source = format!("__meta_kubernetes_{source}");
        relabellings.push(json!({"source_labels": [source], "target_label": target}));
    }
    let mut config = json!({
        "job_name": format!("serviceMonitor/monitoring/{}/0", monitor["metadata"]["name"].as_str().unwrap()),
        "static_configs": services.into_iter().map(|service| found(service, "drs-drs-exporter-0", address)).collect::<Value>(),
    });
    for (key, value) in endpoint.as_object().unwrap() {
        let key = match &key[..] {
            "port" => continue,
            "relabelings" => {
                relabellings.extend(value.as_array().unwrap().iter().map(in_snake_case));
                continue;
            }
            "honorLabels" => "honor_labels",
            "path" => "metrics_path",
            "scheme" => "scheme",
            "interval" => "scrape_interval",
            "scrapeTimeout" => "scrape_timeout",
            "metricRelabelings" => "metric_relabel_configs",
            "tlsConfig" => "tls_config",
            "basicAuth" => "basic_auth",
            unknown => panic!("an endpoint of a ServiceMonitor has no {unknown}"),
        };
        config[key] = match (key, value) {
            ("tls_config", value) => {
                json!({"ca_file": place(secrets, &value["ca"]["secret"]), "server_name": value["serverName"]})
            }
            ("basic_auth", value) => {
                let [user, password] = ["username", "password"].map(|key| place(secrets, &value[key]));
                json!({"username": fs::read_to_string(user).unwrap(), "password_file": password})
            }
            (_, Value::Array(items)) => items.iter().map(in_snake_case).collect(),
            (_, value) => value.clone(),
        };
    }
    config["relabel_configs"] = relabellings.into();
    config
}

/// The file of what stands in a Secret under a key.
fn place(secrets: &Path, of: &Value) -> PathBuf {
    secrets.join(of["name"].as_str().unwrap()).join(of["key"].as_str().unwrap())
}

/// A relabelling with the keys that Prometheus has, and not the operator.
fn in_snake_case(relabelling: &Value) -> Value {
    let keys = relabelling.as_object().unwrap().iter().map(|(key, value)| {
        let key = match &key[..] {
            "sourceLabels" => "source_labels",
            "targetLabel" => "target_label",
            same @ ("action" | "regex" | "replacement" | "separator" | "modulus") => same,
            unknown => panic!("a relabelling has no {unknown}"),
        };
        (key.to_owned(), value.clone())
    });
    Value::Object(keys.collect())
}

/// The values of a label of what a query gives, once it gives something. On a busy machine a scrape may fail, and take all away.
async fn labels(prometheus: &Prometheus, query: &str, label: &str) -> BTreeSet<String> {
    let samples = eventually(query, async || Some(prometheus.query(query).await).filter(|all| !all.is_empty())).await;
    samples.iter().map(|sample| sample["metric"][label].as_str().unwrap_or_default().to_owned()).collect()
}

/// The jobs of DRS that the exporter knows objects of.
async fn served(exporter: &Exporter) -> BTreeSet<String> {
    let samples = exporter.samples().await;
    let series = samples.beginning("drs_objects{job=\"").into_iter();
    series.map(|(series, _)| series.split('"').nth(1).unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_sees_the_jobs_of_drs_by_the_service_monitor() {
    let mut command = program();
    command.args(["demo", "--web.listen-address=127.0.0.1:0"]);
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    exporter.until_ready().await;
    let monitor = "serviceMonitor: {enabled: true, interval: 1s";
    let values = BTreeMap::from([
        ("defaults".to_owned(), format!("{monitor}}}")),
        ("without".to_owned(), format!("{monitor}, honorLabels: false}}")),
        (
            "more".to_owned(),
            format!(
                "{monitor}, scrapeTimeout: 1s, jobName: drs-prod, relabelings: [{{targetLabel: cluster, replacement: east}}], \
                 metricRelabelings: [{{sourceLabels: [__name__], regex: process_.+, action: drop}}]}}"
            ),
        ),
    ]);
    let renderings = render(&values);
    let address = exporter.address().to_string();
    let start = async |name: &str| {
        let config = scrape_config(&renderings[name], &address, Path::new("/nowhere"));
        promtool_is_content(&["check", "config"], &json!({"scrape_configs": [config]}));
        Prometheus::start(&format!("scrape_configs: [{config}]")).await
    };

    let (prometheus, without, more) = tokio::join!(start("defaults"), start("without"), start("more"));
    // One of them disappears meanwhile, so both are asked until they agree.
    let jobs = eventually("the jobs that the exporter serves", async || {
        let jobs = labels(&prometheus, "count by (job) (drs_objects)", "job").await;
        (jobs.len() > 1 && jobs == served(&exporter).await).then_some(jobs)
    })
    .await;
    assert!(!jobs.contains("drs") && !jobs.contains("drs-drs-exporter"), "{jobs:?}");
    assert_eq!(prometheus.query(r#"{exported_job!=""}"#).await, Vec::<Value>::new());
    // One of the two Services is scraped, and the rules find it by the name that they know.
    assert_eq!(labels(&prometheus, r#"up{job="drs"}"#, "service").await, ["drs-drs-exporter".to_owned()].into());
    assert_eq!(prometheus.value("count(up)").await, Some(1.0));
    assert_eq!(prometheus.query(r#"absent(up{job="drs"})"#).await, Vec::<Value>::new());

    assert_eq!(labels(&without, "count by (job) (drs_objects)", "job").await, ["drs".to_owned()].into());

    assert_eq!(labels(&more, "drs_exporter_build_info", "cluster").await, ["east".to_owned()].into());
    assert_eq!(labels(&more, "up", "job").await, ["drs-prod".to_owned()].into());
    assert_eq!(more.query(r#"{__name__=~"process_.+"}"#).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_is_let_in_by_the_web_configuration() {
    let values = fs::read_to_string(folder().join("ci/web-config-values.yaml")).unwrap()
        + "  interval: 3s\n  scrapeTimeout: 3s\n";
    let rendering = render(&BTreeMap::from([("it".to_owned(), values)])).remove("it").unwrap();
    let secrets = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["drs-exporter.example.com".to_owned()]).unwrap();
    let web = README.split("```yaml\n").find(|block| block.starts_with("tls_server_config:")).unwrap();
    for (name, text) in [
        ("drs-web/ca.crt", made.cert.pem()),
        ("drs-web/server.crt", made.cert.pem()),
        ("drs-web/server.key", made.signing_key.serialize_pem()),
        ("drs-web/web.yml", web.split_once("```").unwrap().0.to_owned()),
        ("drs-web-reader/username", "prometheus".to_owned()),
        ("drs-web-reader/password", "change-me".to_owned()),
    ] {
        fs::create_dir_all(secrets.path().join(name).parent().unwrap()).unwrap();
        fs::write(secrets.path().join(name), text).unwrap();
    }
    // The pod's own flag, where the Secret is mounted here.
    let flag = rendering.pod()["containers"][0]["args"][1].as_str().unwrap();
    let flag = flag.replace("/etc/drs-exporter-web", secrets.path().join("drs-web").to_str().unwrap());
    let mut command = program();
    command.args(["demo", "--web.listen-address=127.0.0.1:0", &flag]);
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    let config = scrape_config(&rendering, &exporter.address().to_string(), secrets.path());
    let prometheus = Prometheus::start(&format!("scrape_configs: [{config}]")).await;
    eventually("a good scrape", async || prometheus.value(r#"up{job="drs"} == 1"#).await).await;
}
