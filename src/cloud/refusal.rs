//! What the cloud says when it says no: the forms that DRS, IAM and the gateway before them use.

use serde_json::{Map, Value};

use super::sent::Sent;

/// Longest message that is kept, in characters. The specification of DRS allows 512.
const MAX_MESSAGE_CHARS: usize = 512;

/// What the body of a failure says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The service's or the gateway's code.
    pub(crate) code: Option<String>,
    /// Its words, cut to a bounded length and to one line.
    pub(crate) message: Option<String>,
}

impl Refusal {
    /// Reads the body of a failure in every form that was met, without the secrets that were sent; what is no JSON, or has no
    /// code, gives nothing.
    pub(super) fn read(body: &[u8], sent: &Sent) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return Self::default() };
        let nested = fields.values().filter_map(Value::as_object);
        std::iter::once(&fields)
            .chain(nested)
            .map(|fields| Self {
                code: first(fields, &["error_code", "errorCode", "code"]).map(|code| sent.blank(&code)),
                message: first(fields, &["error_msg", "error_message", "errorMsg", "message"])
                    .map(|text| one_line(&sent.blank(&text))),
            })
            .find(|found| found.code.is_some())
            .unwrap_or_default()
    }
}

fn first(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match fields.get(*name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// The text on one line, of a bounded length, without characters that steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Refusal {
        Refusal::read(body, &Sent::default())
    }

    fn both(code: &str, message: &str) -> Refusal {
        Refusal { code: Some(code.into()), message: Some(message.into()) }
    }

    #[test]
    fn every_form_of_an_error_body_is_read() {
        let forms = [
            r#"{"error_code":"DRS.M05003","error_msg":"gone"}"#,
            r#"{"error_code":"DRS.M05003","error_message":"gone"}"#,
            r#"{"errorCode":"DRS.M05003","errorMsg":"gone"}"#,
            r#"{"code":"DRS.M05003","message":"gone"}"#,
            r#"{"request_id":"1","error":{"error_code":"DRS.M05003","error_msg":"gone"}}"#,
            r#"{"error":{"errorCode":"DRS.M05003","errorMsg":"gone"}}"#,
            r#"{"error":{"code":"DRS.M05003","message":"gone","title":"Bad"}}"#,
        ];
        for form in forms {
            assert_eq!(read(form.as_bytes()), both("DRS.M05003", "gone"), "{form}");
        }
        assert_eq!(read(br#"{"error":{"code":401,"message":"no"}}"#), both("401", "no"));
        for nothing in ["", "<html>502</html>", "[]", "{}", r#"{"error_code":null}"#, &"[".repeat(10_000)] {
            assert_eq!(read(nothing.as_bytes()), Refusal::default(), "{nothing:.40}");
        }
    }

    #[test]
    fn a_secret_is_taken_out_before_a_message_is_cut() {
        let mut sent = Sent::default();
        let token = "t".repeat(2_000);
        sent.add(&token);
        let body = format!(r#"{{"error_code":"{token}","error_msg":"no such token: {token}"}}"#);
        assert_eq!(Refusal::read(body.as_bytes(), &sent), both("[secret]", "no such token: [secret]"));
    }

    #[test]
    fn a_message_is_one_bounded_line() {
        let body = format!(r#"{{"error_code":"X","error_msg":"a\nb\u001b[31m{}"}}"#, "x".repeat(1_000));
        let message = read(body.as_bytes()).message.unwrap();
        assert!(message.starts_with("a b [31mx"), "{message}");
        assert_eq!(message.chars().count(), MAX_MESSAGE_CHARS);
    }
}
