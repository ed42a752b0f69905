//! Programs that the tests run. A missing one fails the test and says what to install.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs a program of Debian's `package` with this standard input, to its end.
pub fn run(package: &str, program: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; install it: apt-get install {package}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Written beside the reading, or a program that answers early would wait for us and we for it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Runs a Python script with Debian's Python, which sees Debian's modules, and gives what it printed.
pub fn python(package: &str, script: &str, input: &[u8]) -> String {
    let output = run(package, "/usr/bin/python3", &["-c", script], input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("ModuleNotFoundError"), "{errors}\ninstall it: apt-get install {package}");
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a Python script with the `python3` of the path and the vendor's SDK, and gives what it printed.
pub fn vendor_python(script: &str, input: &[u8]) -> String {
    let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python");
    let script = format!("import sys; sys.path.insert(0, {packages:?})\n{script}");
    let output = run("python3", "python3", &["-c", &script], input);
    let errors = String::from_utf8_lossy(&output.stderr);
    let install = "python3 -m pip install --target target/python huaweicloudsdkdrs==3.1.219";
    assert!(!errors.contains("ModuleNotFoundError"), "{errors}\ninstall it: {install}");
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}
