//! The Helm chart: what it renders is what its values ask for, and Kubernetes and the exporter take it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::chart::{RENDERINGS, Rendering, folder, render};
use crate::support::exporter::run_with;

const README: &str = include_str!("../../README.md");

/// Where the container stands in a StatefulSet.
macro_rules! container {
    ($rest:literal) => {
        concat!("/spec/template/spec/containers/0", $rest)
    };
}

/// What each file of values asks for: a kind, the place in it, and what has to stand there, in JSON; `null` for nothing.
const ASKED: &[(&str, &str, &str, &str)] = &[
    ("arguments", "StatefulSet", container!("/args/1"), r#""--log.level=debug""#),
    ("arguments", "StatefulSet", container!("/args/3"), r#""--web.enable-lifecycle""#),
    ("config", "ServiceMonitor", "", "null"),
    ("dashboards", "ConfigMap drs-drs-exporter-drs-job", "/metadata/labels/grafana_dashboard", r#""yes""#),
    ("dashboards", "ConfigMap drs-drs-exporter-drs-job", "/metadata/annotations/grafana_folder", r#""Migrations""#),
    ("dashboards", "ConfigMap drs-drs-exporter-drs-migrations", "/metadata/namespace", r#""grafana""#),
    ("defaults", "StatefulSet", "/spec/template/spec/imagePullSecrets", "null"),
    ("defaults", "StatefulSet", "/spec/volumeClaimTemplates", "null"),
    (
        "digest",
        "StatefulSet",
        container!("/image"),
        r#""ghcr.io/drs-exporter/drs-exporter@sha256:0f7b4b5ff4f7bd3b6e3c07f3a8a2a1f2f8dcb5d9d5c1f2b6f9a5ba3e0f6c2d71""#,
    ),
    ("disruption-budget", "PodDisruptionBudget", "/spec/minAvailable", r#""50%""#),
    ("disruption-budget", "PodDisruptionBudget", "/spec/maxUnavailable", "null"),
    (
        "environment",
        "StatefulSet",
        container!("/env/1"),
        r#"{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}"#,
    ),
    ("environment", "StatefulSet", container!("/envFrom"), r#"[{"secretRef": {"name": "huaweicloud"}}]"#),
    ("everything-on", "PodDisruptionBudget", "/spec/maxUnavailable", "1"),
    ("everything-on", "NetworkPolicy", "/spec/ingress", r#"[{"ports": [{"port": "metrics", "protocol": "TCP"}]}]"#),
    ("everything-on", "ServiceMonitor", "/spec/endpoints/0/honorLabels", "true"),
    ("everything-on", "StatefulSet", "/spec/volumeClaimTemplates/0/spec/storageClassName", "null"),
    ("existing-config-map", "ConfigMap", "", "null"),
    ("existing-config-map", "StatefulSet", "/spec/template/metadata/annotations/checksum~1config", "null"),
    ("existing-config-map", "StatefulSet", "/spec/template/spec/volumes/0/configMap/name", r#""drs-configuration""#),
    ("existing-config-secret", "ConfigMap", "", "null"),
    (
        "existing-config-secret",
        "StatefulSet",
        "/spec/template/spec/volumes/0/secret/secretName",
        r#""drs-configuration""#,
    ),
    ("image", "StatefulSet", container!("/image"), r#""registry.example.com/team/drs-exporter:0.1.0-fips""#),
    ("image", "StatefulSet", container!("/imagePullPolicy"), r#""Always""#),
    ("image", "StatefulSet", "/spec/template/spec/imagePullSecrets", r#"[{"name": "registry"}]"#),
    ("names", "StatefulSet", "/metadata/name", r#""watches-every-migration-of-all-regions-of-the-whole""#),
    ("names", "StatefulSet", "/spec/selector/matchLabels/app.kubernetes.io~1name", r#""migrations""#),
    ("network-policy", "NetworkPolicy", "/spec/policyTypes", r#"["Ingress", "Egress"]"#),
    (
        "network-policy",
        "NetworkPolicy",
        "/spec/ingress/0/from/0/namespaceSelector/matchLabels",
        r#"{"kubernetes.io/metadata.name": "monitoring"}"#,
    ),
    (
        "network-policy",
        "NetworkPolicy",
        "/spec/egress/0/ports",
        r#"[{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]"#,
    ),
    ("network-policy", "NetworkPolicy", "/spec/egress/1/ports", r#"[{"port": 443, "protocol": "TCP"}]"#),
    ("network-policy", "NetworkPolicy", "/spec/egress/2/to/0/ipBlock/cidr", r#""169.254.169.254/32""#),
    ("persistence", "StatefulSet", "/spec/volumeClaimTemplates/0/metadata/name", r#""state""#),
    (
        "persistence",
        "StatefulSet",
        "/spec/volumeClaimTemplates/0/metadata/annotations",
        r#"{"everest.io/disk-volume-type": "SAS"}"#,
    ),
    (
        "persistence",
        "StatefulSet",
        "/spec/volumeClaimTemplates/0/spec",
        r#"{"accessModes": ["ReadWriteOncePod"], "storageClassName": "csi-disk", "resources": {"requests": {"storage": "10Gi"}}}"#,
    ),
    ("persistence", "StatefulSet", "/spec/template/spec/volumes/1", "null"),
    ("pods", "StatefulSet", "/spec/template/metadata/annotations/example.com~1note", r#""1""#),
    ("pods", "StatefulSet", "/spec/template/metadata/labels/team", r#""migrations""#),
    (
        "pods",
        "StatefulSet",
        container!("/resources"),
        r#"{"limits": {"memory": "1Gi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}"#,
    ),
    ("pods", "StatefulSet", "/spec/template/spec/securityContext/runAsUser", "1000"),
    ("pods", "StatefulSet", "/spec/template/spec/securityContext/supplementalGroups", "[4000]"),
    ("pods", "StatefulSet", container!("/securityContext/capabilities/drop"), r#"["NET_RAW", "ALL"]"#),
    ("pods", "StatefulSet", container!("/livenessProbe/periodSeconds"), "30"),
    ("pods", "StatefulSet", container!("/readinessProbe/initialDelaySeconds"), "1"),
    ("pods", "StatefulSet", "/spec/template/spec/terminationGracePeriodSeconds", "10"),
    ("prometheus-rule", "PrometheusRule", "/metadata/namespace", r#""monitoring""#),
    ("prometheus-rule", "PrometheusRule", "/metadata/labels/release", r#""kube-prometheus-stack""#),
    ("scheduling", "StatefulSet", "/spec/template/spec/nodeSelector", r#"{"kubernetes.io/arch": "amd64"}"#),
    ("scheduling", "StatefulSet", "/spec/template/spec/tolerations/0/key", r#""monitoring""#),
    (
        "scheduling",
        "StatefulSet",
        "/spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/topologyKey",
        r#""kubernetes.io/hostname""#,
    ),
    ("scheduling", "StatefulSet", "/spec/template/spec/topologySpreadConstraints/0/maxSkew", "1"),
    ("scheduling", "StatefulSet", "/spec/template/spec/priorityClassName", r#""monitoring""#),
    (
        "secret",
        "StatefulSet",
        "/spec/template/spec/volumes/2",
        r#"{"name": "secret", "secret": {"secretName": "drs", "defaultMode": 288}}"#,
    ),
    (
        "secret",
        "StatefulSet",
        container!("/volumeMounts/2"),
        r#"{"name": "secret", "mountPath": "/run/secrets/drs-exporter", "readOnly": true}"#,
    ),
    ("service", "Service drs-drs-exporter", "/spec/type", r#""LoadBalancer""#),
    ("service", "Service drs-drs-exporter", "/spec/ports/0/port", "80"),
    ("service", "Service drs-drs-exporter", "/metadata/annotations", r#"{"prometheus.io/scrape": "false"}"#),
    ("service", "Service drs-drs-exporter", "/metadata/labels/team", r#""migrations""#),
    ("service", "Service drs-drs-exporter-headless", "/spec/clusterIP", r#""None""#),
    ("service-account", "ServiceAccount", "", "null"),
    ("service-account", "StatefulSet", "/spec/template/spec/serviceAccountName", r#""somebody""#),
    ("service-monitor", "ServiceMonitor", "/metadata/labels/release", r#""kube-prometheus-stack""#),
    ("service-monitor", "ServiceMonitor", "/spec/endpoints/0/interval", r#""1m""#),
    ("service-monitor", "ServiceMonitor", "/spec/endpoints/0/scrapeTimeout", r#""20s""#),
    ("service-monitor", "ServiceMonitor", "/spec/endpoints/0/relabelings/0/replacement", r#""drs-prod""#),
    (
        "service-monitor",
        "ServiceMonitor",
        "/spec/endpoints/0/relabelings/1",
        r#"{"targetLabel": "cluster", "replacement": "east"}"#,
    ),
    ("service-monitor", "ServiceMonitor", "/spec/endpoints/0/metricRelabelings/0/action", r#""drop""#),
    ("shards", "StatefulSet", "/spec/replicas", "3"),
    ("shards", "StatefulSet", "/spec/podManagementPolicy", r#""Parallel""#),
    ("shards", "StatefulSet", container!("/env/0/valueFrom/fieldRef/fieldPath"), r#""metadata.name""#),
    ("shards", "StatefulSet", container!("/env/1"), r#"{"name": "DRS_EXPORTER_SHARD__ORDINAL", "value": "auto"}"#),
    ("shards", "StatefulSet", container!("/env/2"), r#"{"name": "DRS_EXPORTER_SHARD__TOTAL", "value": "3"}"#),
    ("volumes", "StatefulSet", "/spec/template/spec/volumes/2/configMap/name", r#""authorities""#),
    ("volumes", "StatefulSet", container!("/volumeMounts/2/mountPath"), r#""/etc/ssl/internal""#),
    ("web-config", "StatefulSet", container!("/args/1"), r#""--web.config.file=/etc/drs-exporter-web/web.yml""#),
    ("web-config", "StatefulSet", container!("/volumeMounts/2/mountPath"), r#""/etc/drs-exporter-web""#),
    ("web-config", "StatefulSet", "/spec/template/spec/volumes/2/secret/secretName", r#""drs-web""#),
    ("web-config", "StatefulSet", container!("/livenessProbe/tcpSocket"), r#"{"port": "metrics"}"#),
    ("web-config", "StatefulSet", container!("/readinessProbe/httpGet"), "null"),
    ("web-config", "ServiceMonitor", "/spec/endpoints/0/scheme", r#""https""#),
    ("web-config", "ServiceMonitor", "/spec/endpoints/0/tlsConfig/serverName", r#""drs-exporter.example.com""#),
    ("web-config", "ServiceMonitor", "/spec/endpoints/0/basicAuth/password/name", r#""drs-web-reader""#),
];

/// Which object is meant by `KIND` or `KIND NAME`, if it is there.
fn object<'r>(rendering: &'r Rendering, which: &str) -> Option<&'r Value> {
    match which.split_once(' ') {
        Some((kind, name)) => Some(rendering.named(kind, name)),
        None if rendering.all(which).is_empty() => None,
        None => Some(rendering.the(which)),
    }
}

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
fn each_file_of_values_gets_what_it_asks_for() {
    for (name, which, place, expected) in ASKED {
        let expected: Value = serde_json::from_str(expected).unwrap();
        let found = object(&RENDERINGS[*name], which).and_then(|object| object.pointer(place));
        assert_eq!(found.unwrap_or(&Value::Null), &expected, "{name}: {which} {place}");
    }
    let asked: BTreeSet<&str> = ASKED.iter().map(|(name, ..)| *name).collect();
    let shipped: BTreeSet<&str> = RENDERINGS.keys().map(String::as_str).collect();
    assert_eq!(asked, shipped, "files of values that nothing is asked of");
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
