//! The Helm chart as helm renders it, and what Kubernetes' own schemas say of that. All values are rendered in one run of the tools.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use figment::Figment;
use figment::providers::{Format, Yaml};
use serde_json::{Value, json};

use super::tools;

/// What became of some values.
#[derive(serde::Deserialize)]
#[serde(default)]
pub struct Rendering {
    /// Why there is nothing.
    pub error: Option<String>,
    /// By template.
    pub texts: BTreeMap<String, String>,
    pub notes: String,
    /// Of helm's lint.
    pub findings: Vec<String>,
    pub documents: Vec<Value>,
    /// Of Kubernetes' schemas.
    pub complaints: Vec<String>,
}

impl Default for Rendering {
    fn default() -> Self {
        let (texts, documents) = (BTreeMap::new(), Vec::new());
        Self { error: None, texts, notes: String::new(), findings: Vec::new(), documents, complaints: Vec::new() }
    }
}

impl Rendering {
    /// All of this kind.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.documents.iter().filter(|document| document["kind"] == kind).collect()
    }

    /// The one of this kind.
    pub fn the(&self, kind: &str) -> &Value {
        let all = self.all(kind);
        let [one] = all[..] else { panic!("{} of kind {kind}, not one", all.len()) };
        one
    }

    /// The one of this kind and name.
    pub fn named(&self, kind: &str, name: &str) -> &Value {
        let mut all = self.all(kind).into_iter();
        all.find(|document| document["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// What a pod is made of.
    pub fn pod(&self) -> &Value {
        &self.the("StatefulSet")["spec"]["template"]["spec"]
    }

    /// The exporter's configuration, where it is the chart's.
    pub fn config(&self) -> Option<&str> {
        self.all("ConfigMap").into_iter().find_map(|map| map["data"]["drs-exporter.yml"].as_str())
    }
}

/// The folder of the chart.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/drs-exporter"))
}

/// The values that come with the chart for each of its features, by name, and nothing as `defaults`.
fn shipped() -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = fs::read_dir(folder().join("ci"))
        .unwrap()
        .map(|entry| {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            let name = name.strip_suffix("-values.yaml").unwrap_or_else(|| panic!("{name} is not NAME-values.yaml"));
            (name.to_owned(), fs::read_to_string(&file).unwrap())
        })
        .collect();
    values.insert("defaults".to_owned(), String::new());
    values
}

/// The chart with each of the values that come with it.
pub static RENDERINGS: LazyLock<BTreeMap<String, Rendering>> = LazyLock::new(|| render(&shipped()));

/// The chart with these values, in YAML, by name.
pub fn render(values: &BTreeMap<String, String>) -> BTreeMap<String, Rendering> {
    ask(&json!({"chart": folder(), "values": values, "manifests": {}}))
}

/// What Kubernetes' schemas say of this YAML.
pub fn judge(manifests: &str) -> Rendering {
    ask(&json!({"chart": folder(), "values": {}, "manifests": {"it": manifests}})).remove("it").unwrap()
}

fn ask(question: &Value) -> BTreeMap<String, Rendering> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes.py");
    let output = tools::run("python3", "python3", &[script], question.to_string().as_bytes());
    let errors = String::from_utf8_lossy(&output.stderr);
    let install = "python3 -m pip install --target target/helm helm-python-sdk==0.2.2\n\
                   python3 -m pip install --target target/kubernetes-validate kubernetes-validate==1.37.0";
    assert!(!errors.contains("ModuleNotFoundError"), "{errors}\ninstall it:\n{install}");
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The values of a YAML document.
pub fn yaml(text: &str) -> Value {
    Figment::from(Yaml::string(text)).extract().unwrap()
}
