//! The manifests for kustomize: they are what the chart makes, with the same rules, and what their page says can be done with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::chart::{Rendering, judge, render, yaml};
use crate::support::exporter::run_with;
use crate::support::tools;

const README: &str = include_str!("../../deploy/kustomize/README.md");
const RULES: &str = include_str!("../../deploy/prometheus/drs-exporter.rules.yml");

/// That of Debian 12 is too old.
const INSTALL: &str = "https://kubernetes.io/docs/tasks/tools, 1.27 or newer";

/// Values that let the chart make what the base is.
const VALUES: &str = "
fullnameOverride: drs-exporter
existingSecret: drs-exporter
networkPolicy: {enabled: true, from: [{namespaceSelector: {}}]}
podDisruptionBudget: {enabled: true}
serviceMonitor: {enabled: true}
";

/// What `kubectl kustomize` makes of a folder; Kubernetes' schemas have nothing to say of it.
fn kustomize(folder: &Path) -> Rendering {
    let output = Command::new("kubectl").arg("kustomize").arg(folder).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run kubectl: {error}; install it: {INSTALL}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    let made = judge(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(made.complaints, Vec::<String>::new());
    made
}

fn base() -> Rendering {
    kustomize(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kustomize/base"))
}

/// The overlay of the page, with more below it, beside this configuration.
fn overlay(more: &str, config: &str) -> Rendering {
    let example = README.split("```yaml\n").nth(1).unwrap().split_once("```").unwrap().0;
    // One folder deeper than on the page.
    let example = example.replace("../deploy", "../../deploy");
    let folder = TempDir::new_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
    fs::write(folder.path().join("kustomization.yaml"), format!("{example}{more}")).unwrap();
    fs::write(folder.path().join("drs-exporter.yml"), config).unwrap();
    kustomize(folder.path())
}

/// Without what only one of both can know: the release, the hash of the configuration, and that a Secret may be missing.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(keys) => {
            let only = ["app.kubernetes.io/instance", "checksum/config", "optional"];
            let keys = keys.iter().filter(|(key, _)| !only.contains(&key.as_str()));
            Value::Object(keys.map(|(key, value)| (key.clone(), comparable(value))).collect())
        }
        Value::Array(items) => items.iter().map(comparable).collect(),
        Value::String(name) if name.starts_with("drs-exporter-") && name.len() == "drs-exporter-".len() + 10 => {
            json!("drs-exporter")
        }
        value => value.clone(),
    }
}

#[test]
fn the_base_is_what_the_chart_makes() {
    let (base, more) = (base(), overlay("", "accounts: []"));
    let chart = render(&BTreeMap::from([("it".to_owned(), VALUES.to_owned())])).remove("it").unwrap();
    assert_eq!(base.documents.len(), chart.documents.len() - 1, "all but the ServiceMonitor");
    for document in &base.documents {
        let (kind, name) = (document["kind"].as_str().unwrap(), document["metadata"]["name"].as_str().unwrap());
        if kind == "ConfigMap" {
            continue;
        }
        let made = chart.named(kind, name);
        assert_eq!(comparable(&document["spec"]), comparable(&made["spec"]), "{kind} {name}");
        assert_eq!(document["automountServiceAccountToken"], made["automountServiceAccountToken"], "{kind} {name}");
    }
    let monitors = [&more, &chart].map(|rendering| &rendering.the("ServiceMonitor")["spec"]);
    assert_eq!(monitors[0]["endpoints"], monitors[1]["endpoints"]);
    assert_eq!(comparable(&monitors[0]["selector"]), comparable(&monitors[1]["selector"]));
}

#[tokio::test]
async fn the_exporter_takes_the_example_of_the_base() {
    let base = base();
    let ended = run_with(base.config().unwrap(), &["check"], &[]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let image = base.pod()["containers"][0]["image"].as_str().unwrap();
    assert_eq!(image, concat!("ghcr.io/drs-exporter/drs-exporter:", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_overlay_of_the_page_has_a_configuration_of_its_own_and_new_pods_with_it() {
    let made = ["accounts: []", "accounts: [{}]"].map(|config| {
        let made = overlay("", config);
        assert_eq!(made.config(), Some(config));
        assert!(made.documents.iter().all(|document| document["metadata"]["namespace"] == "monitoring"));
        let name = made.the("ConfigMap")["metadata"]["name"].clone();
        assert_eq!(made.pod()["volumes"][0], json!({"name": "config", "configMap": {"name": name}}));
        name
    });
    assert_ne!(made[0], made[1]);
}

#[test]
fn the_page_makes_three_shards() {
    let shards = README.split("```yaml\n").nth(2).unwrap().split_once("```").unwrap().0;
    let replicas = "replicas: [{name: drs-exporter, count: 3}]";
    assert!(README.contains(replicas));
    let made = overlay(&format!("{replicas}\n{shards}"), "accounts: []");
    assert_eq!(made.the("StatefulSet")["spec"]["replicas"], 3);
    let shards = render(&BTreeMap::from([("it".to_owned(), "shards: 3".to_owned())])).remove("it").unwrap();
    assert_eq!(made.pod()["containers"][0]["env"], shards.pod()["containers"][0]["env"]);
}

#[test]
fn the_rules_are_those_of_the_repository() {
    let made = overlay("", "accounts: []");
    let renew = "renew them: deploy/kustomize/wrap-rules > deploy/kustomize/prometheus-operator/prometheus-rule.yaml";
    assert!(made.the("PrometheusRule")["spec"] == yaml(RULES), "{renew}");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kustomize");
    let output = tools::run("bash", &format!("{folder}/wrap-rules"), &[], b"");
    let file = fs::read(format!("{folder}/prometheus-operator/prometheus-rule.yaml")).unwrap();
    assert!(output.status.success() && output.stdout == file, "{renew}");
}
