//! The JSON of the API, read with suspicion: a row that is no object costs that row, not the page.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::{Object, ObjectName, Percent};

/// Longest error message that is kept, in characters. The specification allows 512.
const MAX_MESSAGE_CHARS: usize = 512;

/// One page of a listing.
#[derive(Debug)]
pub(super) struct Page {
    /// How many objects DRS says the whole listing has.
    pub(super) count: u64,
    /// When DRS made the data, where it is readable.
    pub(super) data_time: Option<SystemTime>,
    /// The rows that are objects.
    pub(super) objects: Vec<Object>,
    /// How many rows are none.
    pub(super) malformed: u64,
}

impl Page {
    /// Rows that came, whether they are objects or not.
    pub(super) fn rows(&self) -> u64 {
        self.objects.len() as u64 + self.malformed
    }
}

#[derive(Deserialize)]
struct RawPage<'a> {
    count: u64,
    #[serde(borrow, default)]
    create_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    flow_compare_data: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct RawRow {
    src_db: Box<str>,
    src_tb: Box<str>,
    dst_db: Box<str>,
    dst_tb: Box<str>,
    progress: u8,
}

/// Reads the body of a page.
///
/// # Errors
/// When the body is no JSON, or has no `count`, or announces objects and has no list of them.
pub(super) fn page(body: &[u8]) -> Result<Page, String> {
    let raw: RawPage<'_> = serde_json::from_slice(body).map_err(|error| one_line(&error.to_string()))?;
    let rows = match raw.flow_compare_data {
        Some(rows) => rows,
        None if raw.count == 0 => Vec::new(),
        None => return Err(format!("`count` is {}, but `flow_compare_data` is missing", raw.count)),
    };
    let objects: Vec<Object> = rows.iter().filter_map(|row| object(row.get())).collect();
    let malformed = (rows.len() - objects.len()) as u64;
    Ok(Page { count: raw.count, data_time: raw.create_time.and_then(|raw| data_time(raw.get())), objects, malformed })
}

fn object(json: &str) -> Option<Object> {
    let RawRow { src_db, src_tb, dst_db, dst_tb, progress } = serde_json::from_str(json).ok()?;
    Some(Object { name: ObjectName { src_db, src_tb, dst_db, dst_tb }, progress: Percent::new(progress)? })
}

/// `create_time` is milliseconds since 1970 as a string in the specification, and ISO 8601 in UTC in the vendor's SDK.
fn data_time(json: &str) -> Option<SystemTime> {
    let text = match serde_json::from_str(json).ok()? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match text.parse() {
        Ok(milliseconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)),
        Err(_) => humantime::parse_rfc3339(&text).ok(),
    }
}

/// What the body of a failure says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// DRS's or the gateway's code.
    pub(super) code: Option<String>,
    /// Its words, cut to a bounded length and to one line.
    pub(super) message: Option<String>,
}

/// Reads the body of a failure in every form that was met; what is no JSON, or has no code, gives nothing.
pub(super) fn error_body(body: &[u8]) -> ErrorBody {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return ErrorBody::default() };
    let nested = fields.values().filter_map(Value::as_object);
    std::iter::once(&fields)
        .chain(nested)
        .map(|fields| ErrorBody {
            code: first(fields, &["error_code", "errorCode", "code"]),
            message: first(fields, &["error_msg", "error_message", "errorMsg", "message"]).map(|text| one_line(&text)),
        })
        .find(|found| found.code.is_some())
        .unwrap_or_default()
}

fn first(fields: &serde_json::Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match fields.get(*name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// The text on one line, of a bounded length, without characters that steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(code: &str, message: &str) -> ErrorBody {
        ErrorBody { code: Some(code.into()), message: Some(message.into()) }
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
            assert_eq!(error_body(form.as_bytes()), both("DRS.M05003", "gone"), "{form}");
        }
        assert_eq!(error_body(br#"{"error":{"code":401,"message":"no"}}"#), both("401", "no"));
        for nothing in ["", "<html>502</html>", "[]", "{}", r#"{"error_code":null}"#, &"[".repeat(10_000)] {
            assert_eq!(error_body(nothing.as_bytes()), ErrorBody::default(), "{nothing:.40}");
        }
    }

    #[test]
    fn a_message_is_one_bounded_line() {
        let body = format!(r#"{{"error_code":"X","error_msg":"a\nb\u001b[31m{}"}}"#, "x".repeat(1_000));
        let message = error_body(body.as_bytes()).message.unwrap();
        assert!(message.starts_with("a b [31mx"), "{message}");
        assert_eq!(message.chars().count(), MAX_MESSAGE_CHARS);
    }

    #[test]
    fn both_forms_of_the_data_time_are_read() {
        let at = |millis| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(data_time(r#""1686038576882""#), at(1_686_038_576_882));
        assert_eq!(data_time("1686038576882"), at(1_686_038_576_882));
        assert_eq!(data_time(r#""2020-09-01T18:50:20.200Z""#), at(1_598_986_220_200));
        for unreadable in [r#""""#, r#""soon""#, "null", "-1", "1e400", "[]"] {
            assert_eq!(data_time(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn a_row_that_is_no_object_costs_only_itself() {
        let row = |progress: &str| {
            format!(r#"{{"src_db":"a","src_tb":"b","dst_db":"c","dst_tb":"d","progress":{progress}}}"#)
        };
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let bad = ["\"5\"", "null", "1e400", "-1", "101", "256", "5.5", &deep];
        let rows: Vec<String> = bad.iter().map(|progress| row(progress)).collect();
        let lone = r#"{"src_db":"\ud800","src_tb":"b","dst_db":"c","dst_tb":"d","progress":1}"#;
        let missing = r#"{"src_tb":"b","dst_db":"c","dst_tb":"d","progress":1}"#;
        let body =
            format!(r#"{{"count":12,"flow_compare_data":[{},{lone},{missing},7,{}]}}"#, rows.join(","), row("42"));
        let page = page(body.as_bytes()).unwrap();
        assert_eq!((page.objects.len(), page.malformed), (1, 11));
        assert_eq!(page.objects[0].progress.get(), 42);
    }

    #[test]
    fn a_page_without_its_list_is_none() {
        assert!(page(br#"{"count":0}"#).unwrap().objects.is_empty());
        assert!(page(br#"{"count":0,"flow_compare_data":null}"#).is_ok());
        for body in
            [r#"{"count":3}"#, r#"{"flow_compare_data":[]}"#, r#"{"count":-1,"flow_compare_data":[]}"#, "<html>"]
        {
            assert!(page(body.as_bytes()).is_err(), "{body}");
        }
    }
}
