//! The values of the Helm chart: each is told of and known to the schema, and helm refuses those that are wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::chart::{render, yaml};

const VALUES: &str = include_str!("../../deploy/helm/drs-exporter/values.yaml");
const SCHEMA: &str = include_str!("../../deploy/helm/drs-exporter/values.schema.json");
const README: &str = include_str!("../../README.md");

/// Values that are wrong, and what has to be said of them.
const WRONG: &[(&str, &str)] = &[
    ("shards: 0", "at '/shards': minimum: got 0, want 1"),
    ("replicaCount: 2", "at '': additional properties 'replicaCount' not allowed"),
    ("service: {port: 70000}", "at '/service/port': maximum: got 70,000, want 65,535"),
    ("service: {port: http}", "at '/service/port': got string, want integer"),
    ("image: {pullpolicy: Always}", "at '/image': additional properties 'pullpolicy' not allowed"),
    (
        "image: {pullPolicy: Sometimes}",
        "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    ("image: {digest: sha256:abc}", "at '/image/digest': 'sha256:abc' does not match"),
    ("config: {accounts: []}", "at '/config/accounts': minItems: got 0, want 1"),
    ("config: {accounts: [{region: a}]}", "at '/config/accounts/0': missing property 'name'"),
    ("config: {acounts: []}", "at '/config': additional properties 'acounts' not allowed"),
    ("config: {shard: {index: 0, total: 3}}", "at '/config': additional properties 'shard' not allowed"),
    ("config: {poll: {interval: 30}}", "at '/config/poll/interval': got number, want string"),
    ("config: {poll: {intervall: 30s}}", "at '/config/poll': additional properties 'intervall' not allowed"),
    (
        "config: {exposition: {max_series_per_job: lots}}",
        "at '/config/exposition/max_series_per_job': got string, want integer",
    ),
    (
        "config: {accounts: [{name: a, auth: {token: hunter2}}]}",
        "at '/config/accounts/0/auth/token': got string, want object",
    ),
    (
        "config: {accounts: [{name: a, auth: {password: {password: hunter2}}}]}",
        "at '/config/accounts/0/auth/password/password': got string, want object",
    ),
    (
        "config: {accounts: [{name: a, auth: {access_key: {secret: hunter2}}}]}",
        "at '/config/accounts/0/auth/access_key/secret': got string, want object",
    ),
    (
        "config: {accounts: [{name: a, auth: {token: {file: /a, env: A}}}]}",
        "at '/config/accounts/0/auth/token': maxProperties: got 2, want 1",
    ),
    ("existingSecret: Drs_Secret", "at '/existingSecret': 'Drs_Secret' does not match"),
    (
        "{existingConfigMap: a, existingConfigSecret: a}",
        "existingConfigMap and existingConfigSecret: the configuration can come from one of both only",
    ),
    ("webConfig: drs", "at '/webConfig': got string, want object"),
    ("extraEnv: {A: b}", "at '/extraEnv': got object, want array"),
    ("extraEnv: [{name: A, value: 1}]", "at '/extraEnv/0/value': got number, want string"),
    ("extraArgs: [log.level=debug]", "at '/extraArgs/0': 'log.level=debug' does not match"),
    ("livenessProbe: {httpGet: {path: /}}", "at '/livenessProbe': additional properties 'httpGet' not allowed"),
    ("persistence: {size: big}", "at '/persistence/size': 'big' does not match"),
    ("podDisruptionBudget: {minAvailable: most}", "at '/podDisruptionBudget/minAvailable': 'most' does not match"),
    ("serviceMonitor: {honorLabels: 'yes'}", "at '/serviceMonitor/honorLabels': got string, want boolean"),
    ("serviceMonitor: {interval: often}", "at '/serviceMonitor/interval': 'often' does not match"),
    ("serviceMonitor: {relabelings: {targetLabel: a}}", "at '/serviceMonitor/relabelings': got object, want array"),
    (
        "dashboards: {labels: {grafana_dashboard: 1}}",
        "at '/dashboards/labels/grafana_dashboard': got number, want string",
    ),
    (
        "prometheusRule: {enabled: true, replacements: {'> 36000': a}}",
        r#"prometheusRule.replacements: "> 36000" does not occur in the rules"#,
    ),
];

#[test]
fn helm_refuses_wrong_values_with_their_path_and_without_their_secrets() {
    let values = WRONG.iter().map(|(values, _)| ((*values).to_owned(), (*values).to_owned())).collect();
    let renderings = render(&values);
    for (values, expected) in WRONG {
        let error = renderings[*values].error.as_deref().unwrap_or_else(|| panic!("{values} is not refused"));
        assert!(error.contains(expected), "{values}: {error}");
        assert!(!error.contains("hunter2"), "{values}: {error}");
    }
}

#[test]
fn every_value_is_in_the_schema_and_told_of() {
    let values: Value = yaml(VALUES);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let known: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let mut set: BTreeSet<&String> = values.as_object().unwrap().keys().collect();
    let global = "global".to_owned();
    set.insert(&global);
    assert_eq!(set, known);
    // What follows without an empty line is told of together.
    for paragraph in VALUES.split("\n\n") {
        assert!(paragraph.starts_with('#'), "no comment:\n{paragraph}");
    }
}

#[test]
fn the_chart_knows_each_key_of_the_configuration() {
    let example = README.split("```yaml\n").find(|block| block.contains("\nshard: ")).unwrap();
    let mut config = yaml(example.split_once("```").unwrap().0);
    config.as_object_mut().unwrap().remove("shard").unwrap();
    let values = BTreeMap::from([("all".to_owned(), json!({"config": config}).to_string())]);
    let renderings = render(&values);
    assert_eq!(renderings["all"].error, None);
    assert_eq!(yaml(renderings["all"].config().unwrap()), config);

    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let known = &schema["properties"]["config"]["properties"];
    assert_eq!(keys(known), keys(&config));
    for part in ["poll", "exposition"] {
        assert_eq!(keys(&known[part]["properties"]), keys(&config[part]), "{part}");
    }
}
