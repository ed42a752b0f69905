//! The start page.

use super::TelemetryPath;

/// A page that names the version and links to what there is. The path has no character that HTML would mind.
pub(super) fn page(telemetry_path: &TelemetryPath) -> String {
    let (version, metrics) = (env!("CARGO_PKG_VERSION"), telemetry_path.as_str());
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>drs-exporter</title>
<style>body {{ font: 1em/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 40em; padding: 0 1em }}</style>
<h1>drs-exporter</h1>
<p>Progress of migrations on Huawei Cloud DRS, for Prometheus. Version {version}.</p>
<ul>
<li><a href="{metrics}">Metrics</a>, or a part of them with <code>?job=ID</code> and <code>?type=table</code></li>
<li><a href="/-/healthy">Healthy</a>: whether the process lives</li>
<li><a href="/-/ready">Ready</a>: whether every job and type was polled once</li>
</ul>
</html>
"#
    )
}
