//! What systemd hears of the daemon, by the socket that it gives to the services it starts.

use std::fs;

use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::drs::{Drs, whole};
use crate::support::exporter::{Exporter, program};

/// The next message, with its lines.
async fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut bytes = [0; 4096];
    let length = timeout(PATIENCE, socket.recv(&mut bytes)).await.expect("a message").unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_when_it_serves_lives_and_stops() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let folder = TempDir::new().unwrap();
    let (file, address) = (folder.path().join("drs-exporter.yml"), folder.path().join("notify"));
    fs::write(&file, drs.config(&["{id: j}"])).unwrap();
    let socket = UnixDatagram::bind(&address).unwrap();
    let mut command = program();
    command.env("NOTIFY_SOCKET", &address).env("WATCHDOG_USEC", "500000");
    command.arg("--config.file").arg(&file).arg("--web.listen-address=127.0.0.1:0");
    let mut exporter = Exporter::run(command, folder).await;

    let status = format!("STATUS=serves at {}", exporter.address());
    assert_eq!(heard(&socket).await, ["READY=1".to_owned(), status]);
    assert_eq!(exporter.get("/-/healthy").await.status(), 200);
    for _ in 0..4 {
        assert_eq!(heard(&socket).await, ["WATCHDOG=1"]);
    }
    exporter.signal("TERM");
    assert_eq!(exporter.ended().await.code(), Some(0));
    let mut last = heard(&socket).await;
    while last == ["WATCHDOG=1"] {
        last = heard(&socket).await;
    }
    assert_eq!(last, ["STOPPING=1"]);
}

#[tokio::test]
async fn nobody_hears_of_a_daemon_that_does_not_serve() {
    let folder = TempDir::new().unwrap();
    let address = folder.path().join("notify");
    let socket = UnixDatagram::bind(&address).unwrap();
    let mut command = program();
    command.env("NOTIFY_SOCKET", &address).current_dir(&folder);
    let ended = timeout(PATIENCE, command.output()).await.expect("the daemon to end").unwrap();
    assert_eq!(ended.status.code(), Some(1), "it has no configuration");
    assert!(socket.try_recv(&mut [0; 64]).is_err());
}
