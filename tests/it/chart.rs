//! The Helm chart: whatever the values, Kubernetes, its strictest standard for pods and the exporter take what it renders.

use std::fs;

use serde_json::{Value, json};

use crate::support::chart::{RENDERINGS, Rendering, folder, render};
use crate::support::exporter::run_with;

const README: &str = include_str!("../../README.md");

#[test]
fn helm_and_kubernetes_are_content_with_all_values() {
    for (name, rendering) in RENDERINGS.iter() {
        assert_eq!(rendering.error, None, "{name}");
        assert_eq!(rendering.findings, Vec::<String>::new(), "{name}");
        assert_eq!(rendering.complaints, Vec::<String>::new(), "{name}");
        assert!(rendering.notes.starts_with("The exporter follows the migrations"), "{name}: {}", rendering.notes);
    }
}

#[test]
fn the_defaults_render_as_they_did() {
    let texts = RENDERINGS["defaults"].texts.iter().map(|(file, text)| format!("# {file}\n{}\n", text.trim()));
    // A release changes nothing else.
    insta::assert_snapshot!(texts.collect::<String>().replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn every_pod_keeps_to_the_restricted_standard() {
    for (name, rendering) in RENDERINGS.iter() {
        let pod = rendering.pod();
        let container = &pod["containers"][0];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
        let dropped = container["securityContext"]["capabilities"]["drop"].as_array().unwrap();
        assert!(dropped.contains(&json!("ALL")), "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        let volumes = pod["volumes"].as_array().unwrap().iter();
        let mut kinds = volumes.flat_map(|volume| volume.as_object().unwrap().keys()).filter(|key| *key != "name");
        assert!(kinds.all(|kind| ["configMap", "emptyDir", "secret"].contains(&kind.as_str())), "{name}");
        // A folder is mounted, not a single file, which would never change.
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().all(|mount| mount.get("subPath").is_none()), "{name}");
        let state = mounts.iter().find(|mount| mount["mountPath"] == "/var/lib/drs-exporter").unwrap();
        assert_eq!((&state["name"], state.get("readOnly")), (&json!("state"), None), "{name}");
    }
}

/// What the pod of this number gets as variables, without those of Secrets.
fn variables(rendering: &Rendering, number: u64) -> Vec<(String, String)> {
    let set = rendering.the("StatefulSet");
    let variables = rendering.pod()["containers"][0]["env"].as_array().unwrap().iter();
    let pod = format!("{}-{number}", set["metadata"]["name"].as_str().unwrap());
    let value = |variable: &Value| variable["value"].as_str().map_or_else(|| pod.clone(), str::to_owned);
    variables.map(|variable| (variable["name"].as_str().unwrap().to_owned(), value(variable))).collect()
}

#[tokio::test]
async fn the_exporter_takes_the_configuration_of_every_pod() {
    for (name, rendering) in RENDERINGS.iter() {
        let Some(config) = rendering.config() else { continue };
        let pods = rendering.the("StatefulSet")["spec"]["replicas"].as_u64().unwrap();
        for number in 0..pods {
            let variables = variables(rendering, number);
            let mut variables: Vec<(&str, &str)> =
                variables.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            variables.extend([("DRS_AK", "key"), ("DRS_SK", "secret")]);
            let ended = run_with(config, &["check"], &variables).await;
            assert_eq!(ended.code, Some(0), "{name}, pod {number}: {}{}", ended.out, ended.err);
        }
    }
    // A shard beyond the last is none: the number did come from the pod's name.
    let rendering = &RENDERINGS["shards"];
    let variables = variables(rendering, 3);
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let ended = run_with(rendering.config().unwrap(), &["check"], &variables).await;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("shard.ordinal"), "{}", ended.err);
}

#[tokio::test]
async fn the_values_of_the_readme_make_what_it_says() {
    let values = README.split("```yaml\n").find(|block| block.starts_with("existingSecret:")).unwrap();
    let values = values.split_once("```").unwrap().0.to_owned();
    let rendering = render(&[("it".to_owned(), values)].into()).remove("it").unwrap();
    assert_eq!((rendering.error.as_deref(), &rendering.complaints[..]), (None, &[][..]));
    assert_eq!(rendering.pod()["volumes"][2]["secret"]["secretName"], "drs");
    rendering.the("ServiceMonitor");
    rendering.the("PrometheusRule");
    assert_eq!(rendering.all("ConfigMap").len(), 1 + 2, "the configuration and two dashboards");
    let ended = run_with(rendering.config().unwrap(), &["check"], &[]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
}

#[tokio::test]
async fn no_pod_gets_the_variables_of_services() {
    let rendering = &RENDERINGS["defaults"];
    // What Kubernetes would make of a release that is called `drs-exporter-prod`.
    let link = [("DRS_EXPORTER_PROD_SERVICE_HOST", "10.0.0.1")];
    let ended = run_with(rendering.config().unwrap(), &["check"], &link).await;
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert!(RENDERINGS.values().all(|rendering| rendering.pod()["enableServiceLinks"] == false));
}

#[test]
fn a_new_configuration_makes_new_pods_and_nothing_else_does() {
    let values = [
        ("one", "config: {poll: {interval: 30s}}"),
        ("again", "config: {poll: {interval: 30s}}\nserviceMonitor: {enabled: true}"),
        ("other", "config: {poll: {interval: 31s}}"),
    ];
    let renderings = render(&values.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    let template = |name: &str| &renderings[name].the("StatefulSet")["spec"]["template"];
    assert_eq!(template("one"), template("again"));
    assert_ne!(template("one"), template("other"));
}

#[test]
fn the_version_is_the_one_of_the_program() {
    let chart = fs::read_to_string(folder().join("Chart.yaml")).unwrap();
    for key in ["version", "appVersion"] {
        let line = format!("\n{key}: {}\n", env!("CARGO_PKG_VERSION"));
        assert!(chart.contains(&line), "Chart.yaml has another {key} than Cargo.toml");
    }
}
