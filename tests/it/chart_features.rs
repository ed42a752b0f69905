//! The features of the Helm chart: each value does what it is there for.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::chart::{RENDERINGS, Rendering};

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
