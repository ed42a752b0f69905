//! Who may read, and how it is served: the file of `--web.config.file`, in the format that Prometheus's exporter-toolkit has.
//!
//! Reading order: `raw` (what may be written), `resolve` (what it means), `tls` and `clients` (how a connection is made safe, and who
//! may make one), `users` (passwords), `rate`, `guard` (reads the file again and again, and stands before every answer).
//!
//! All that the format has is taken, but for what rustls does not do; that is refused, never ignored:
//!
//! 1. TLS 1.0 and 1.1.
//! 2. Cipher suites with CBC, or with RSA to exchange keys.
//! 3. The curve P-521.
//! 4. Checking clients by the authorities of the system: `client_ca` or `client_ca_file` has to name them.
//! 5. A client's certificate that is an authority itself: such a client is turned away when it connects.

mod clients;
mod guard;
mod rate;
mod raw;
mod resolve;
mod tls;
mod users;

pub use guard::Unusable;
pub(super) use guard::{Closed, Guard, guard};

use std::fmt;
use std::path::Path;

use axum::http::{HeaderName, HeaderValue};

use self::rate::Rate;
use self::tls::Tls;
use self::users::Users;

/// What a file says, checked and complete.
#[derive(Debug, Default)]
pub struct WebConfig {
    tls: Option<Tls>,
    /// Whether HTTP/2 is spoken, which needs TLS.
    http2: bool,
    /// What each answer says beside what it says itself.
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Users,
    rate: Option<Rate>,
}

/// What is wrong with a file, all of it.
#[derive(Debug, thiserror::Error)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl WebConfig {
    /// Reads the text of a file that is in `folder`, from where the files start that it names; these are not read.
    ///
    /// # Errors
    /// All that is wrong, without any secret.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Problems> {
        resolve::resolve(raw::read(text)?, folder)
    }
}
