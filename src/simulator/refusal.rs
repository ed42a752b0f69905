//! How a request is refused, in the words of the service that refuses it.

use serde_json::{Value, json};

/// A request that is not answered with what it asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    /// HTTP status.
    pub(super) status: u16,
    /// Seconds for `Retry-After`.
    pub(super) retry_after: Option<u64>,
    /// What it says.
    pub(super) body: Value,
}

impl Refusal {
    /// By DRS, or by the gateway before it and before IAM.
    pub(super) fn drs(status: u16, error_code: &str, error_msg: impl Into<String>) -> Self {
        let body = json!({"error_code": error_code, "error_msg": error_msg.into()});
        Self { status, retry_after: None, body }
    }

    /// By IAM.
    pub(super) fn iam(status: u16, message: impl Into<String>) -> Self {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            _ => "Not Found",
        };
        let body = json!({"error": {"code": status, "message": message.into(), "title": title}});
        Self { status, retry_after: None, body }
    }

    /// Status and code, for a test.
    #[cfg(test)]
    pub(super) fn code(&self) -> (u16, &str) {
        (self.status, self.body["error_code"].as_str().unwrap_or_default())
    }
}
