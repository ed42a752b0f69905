//! What systemd hears of the process where it wants to: that it serves, that it is stopping, and that it is still alive.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// Says that the process serves at these addresses. The first polls need not have ended: that is what `/-/ready` tells.
pub(super) fn ready(addresses: &[SocketAddr]) {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serves at {}", addresses.join(", ")))]);
}

/// Says that the process will end soon.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says again and again that the process is alive, for as long as both the runtime that it is called on and the workshop do what they
/// are given; for ever, and without a word where nobody waits for it.
pub(super) async fn keep_alive(workshop: Handle) -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = interval((patience / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A workshop that is stuck does not come to this; one that has ended ends the process by itself.
        if workshop.spawn(async {}).await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot tell systemd how the process stands, by the socket that NOTIFY_SOCKET names");
    }
}
