//! A page of a listing, whatever the cloud sends in its place: each object obeys its bounds, nothing is made of less than its
//! bytes, and one bad row changes none of the others.

#![no_main]

use drs_exporter::drs::Page;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// The bytes that a row takes at the least, with its comma: `7,`.
const SHORTEST_ROW: usize = 2;

/// The bytes that an object takes at the least: its five keys, each with a value of one or two characters.
const SHORTEST_OBJECT: usize = 60;

fuzz_target!(|body: &[u8]| {
    let page = match Page::parse(body) {
        Ok(page) => page,
        Err(problem) => return assert!(!problem.is_empty(), "a failure without a word"),
    };
    let rows = page.objects.len() as u64 + page.malformed;
    assert!(page.objects.len() * SHORTEST_OBJECT <= body.len(), "{} objects", page.objects.len());
    assert!(rows * SHORTEST_ROW as u64 <= body.len() as u64, "{rows} rows");
    assert_eq!(page.objects.iter().count(), page.objects.len());
    assert!(page.objects.iter().all(|object| object.progress.get() <= 100));

    // The same objects come of a page that says the same, whether every row is good, which is read in one go, or not.
    let mut listed = rows_of(&page);
    let good = parsed(page.count, &listed);
    assert_eq!((rows_of(&good), good.malformed), (listed.clone(), 0));
    listed.insert(listed.len() / 2, json!({"progress": "100"}));
    let bad = parsed(page.count, &listed);
    assert_eq!((rows_of(&bad), bad.malformed), (rows_of(&page), 1));
});

fn rows_of(page: &Page) -> Vec<Value> {
    let row = |object: drs_exporter::model::Object<'_>| {
        let (name, progress) = (object.name, object.progress.get());
        json!({"src_db": name.src_db, "src_tb": name.src_tb, "dst_db": name.dst_db, "dst_tb": name.dst_tb, "progress": progress})
    };
    page.objects.iter().map(row).collect()
}

fn parsed(count: u64, rows: &[Value]) -> Page {
    let body = json!({"count": count, "create_time": "1686038576882", "flow_compare_data": rows}).to_string();
    Page::parse(body.as_bytes()).expect("a page that was made by the book")
}
