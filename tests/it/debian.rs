//! The Debian package under a real systemd: installed, started, reloaded, stuck, upgraded and purged, on a copy of this system that is
//! forgotten afterwards.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::tools;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_package_does_what_an_administrator_expects() {
    let built = tools::run("`cargo`", &format!("{ROOT}/deploy/debian/build"), &["dev"], b"");
    let words = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{words}");
    let package = String::from_utf8(built.stdout).unwrap();
    let package = Path::new(package.trim());

    let folder = TempDir::new().unwrap();
    let inside = folder.path().join("in");
    fs::create_dir(&inside).unwrap();
    fs::copy(Path::new(ROOT).join("tests/host/journey"), inside.join("journey")).unwrap();
    fs::copy(Path::new(ROOT).join(package), inside.join("drs-exporter.deb")).unwrap();
    let boot = format!("{ROOT}/tests/host/boot");
    let booted = tools::run("systemd, and run this as root", &boot, &[folder.path().to_str().unwrap()], b"");
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap_or_default();
    let words = String::from_utf8_lossy(&booted.stderr);
    assert!(booted.status.success(), "as root? {words}{}", read("err"));
    insta::assert_snapshot!(format!("{}{}", read("out"), read("err")), @"
    installed: yes
    then: disabled, inactive
    verify says: 
    exposure at most 1.5: yes
    the example: /etc/drs-exporter/drs-exporter.yml: no problem found (1 account, 0 jobs)
    manual: 9 sections
    completion: complete -o bashdefault -o default -o nosort -F _drs__exporter drs-exporter
    started: enabled, active
    says: serves at [::]:10058
    runs as: drs-exporter
    its own metrics: 7
    reloaded: drs_exporter_config_last_reload_successful 1
    stuck, and then: enabled, active
    upgraded: 99.0-1, enabled, active, another process
    the configuration ends with: poll: {interval: 1s}
    purged: inactive
    left: /etc/drs-exporter
    left: /etc/drs-exporter/credentials
    left: /etc/drs-exporter/credentials/ak
    left: /etc/drs-exporter/credentials/sk
    left: /etc/drs-exporter/web.yml
    ");
}
