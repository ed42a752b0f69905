//! How a listing is read: all pages, each object once, whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::drs::{Drs, failure, page, row, rows, whole};
use crate::support::exporter::Exporter;

const JOB: &str = "{id: j, types: [table]}";

#[tokio::test(flavor = "multi_thread")]
async fn twelve_thousand_tables_take_thirteen_requests() {
    let drs = Drs::answering(|ask| whole(ask, 12_345)).await;
    let exporter =
        Exporter::start(&drs.config(&["{id: j, types: [table], interval: 1h}", "{id: k, types: [table]}"])).await;
    let samples = exporter.polled("k", "table", "success", 1.0).await;
    assert_eq!(samples.of("drs_objects", "k", "table"), Some(12_345.0));
    assert_eq!(samples.objects("k", "table"), 12_345);
    let asked: Vec<(u64, u64)> = drs.asked("k").iter().take(13).map(|ask| (ask.limit, ask.offset)).collect();
    let expected: Vec<(u64, u64)> = (0..13).map(|page| (1000, page * 1000)).collect();
    assert_eq!(asked, expected);
    let fourteenth = drs.asked("k").get(13).map(|ask| ask.offset);
    assert!(matches!(fourteenth, None | Some(0)), "a listing begins anew after 13 requests: {fourteenth:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_leaves_the_old_listing_whole() {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    let drs = Drs::answering(move |ask| {
        if breaks.load(Ordering::SeqCst) && ask.offset == 6000 {
            failure(500, "DRS.M00004")
        } else {
            whole(ask, 12_345)
        }
    })
    .await;
    let exporter = Exporter::start(&drs.config(&[JOB])).await;
    exporter.polled("j", "table", "success", 1.0).await;

    broken.store(true, Ordering::SeqCst);
    let samples = exporter.polled("j", "table", "error", 1.0).await;
    assert_eq!(samples.of("drs_poll_success", "j", "table"), Some(0.0));
    assert_eq!(samples.objects("j", "table"), 12_345);
    let failed = samples.polls("j", "table", "error");
    assert_eq!(samples.errors("j", "table", "DRS.M00004"), 3.0 * failed, "three attempts at page 7 in each poll");
    assert!(exporter.log().contains("page at offset 6000: DRS answered HTTP 500 DRS.M00004"), "{}", exporter.log());

    broken.store(false, Ordering::SeqCst);
    let failed = exporter.samples().await.polls("j", "table", "error");
    let repaired =
        exporter.until("a good poll", |samples| samples.of("drs_poll_success", "j", "table") == Some(1.0)).await;
    assert!(repaired.polls("j", "table", "error") <= failed + 1.0, "one more may have been under way");
    assert_eq!(repaired.objects("j", "table"), 12_345);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_twice_costs_nothing() {
    let drs = Drs::answering(|ask| if ask.nth < 2 { failure(502, "") } else { whole(ask, 3) }).await;
    let exporter = Exporter::start(&drs.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!(samples.polls("j", "table", "error"), 0.0);
    assert_eq!(samples.errors("j", "table", "http_502"), 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_grows_once_is_read_again() {
    let drs = Drs::answering(|ask| match ask.nth {
        0 => page(1500, &rows(0..1000)),
        _ => whole(ask, 1600),
    })
    .await;
    let exporter = Exporter::start(&drs.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!(samples.polls("j", "table", "inconsistent"), 0.0);
    assert_eq!((samples.of("drs_objects", "j", "table"), samples.objects("j", "table")), (Some(1600.0), 1600));
    let offsets: Vec<u64> = drs.asked("j").iter().take(4).map(|ask| ask.offset).collect();
    assert_eq!(offsets, [0, 1000, 0, 1000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_keeps_growing_is_shown_as_it_was_read_last() {
    let drs = Drs::answering(|ask| whole(ask, 1500 + ask.nth as u64)).await;
    let exporter =
        Exporter::start(&drs.config(&["{id: j, types: [table], interval: 30s}", "{id: k, types: [table]}"])).await;
    let samples = exporter.polled("k", "table", "inconsistent", 1.0).await;
    assert_eq!(samples.of("drs_poll_success", "k", "table"), Some(1.0));
    let asked: Vec<u64> = drs.asked("k").iter().take(6).map(|ask| ask.offset).collect();
    assert_eq!(asked, [0, 1000, 0, 1000, 0, 1000], "read three times");
    let count = samples.of("drs_objects", "k", "table").unwrap();
    assert_eq!(samples.objects("k", "table") as f64, count, "all that the last page announced");
    assert!(exporter.log().contains("kept changing while it was read"));
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_pages_give_each_object_once() {
    // The second page begins 200 rows too early, and the rows that stand twice have moved meanwhile.
    let drs = Drs::answering(|ask| match ask.offset {
        0 => page(1500, &rows(0..1000)),
        _ => {
            let moved: Vec<_> = (800..1300).map(|number| row(&format!("t{number}"), 20)).collect();
            page(1500, &moved)
        }
    })
    .await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table], interval: 5s}"])).await;
    let samples = exporter.polled("j", "table", "inconsistent", 1.0).await;
    assert_eq!(samples.objects("j", "table"), 1300);
    assert_eq!(samples.dropped("j", "table", "duplicate"), 200.0 * samples.polls("j", "table", "inconsistent"));
    let twice = r#"drs_object_progress{job="j",type="table",src_db="a",src_tb="t900",dst_db="c",dst_tb="t900"}"#;
    assert_eq!(samples.get(twice), Some(20.0), "the newest reading counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_in_the_middle_is_incomplete_unless_it_passes() {
    let passes = Drs::answering(|ask| match ask.nth {
        1 => page(2500, &[]),
        _ => whole(ask, 2500),
    })
    .await;
    let exporter = Exporter::start(&passes.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!((samples.polls("j", "table", "incomplete"), samples.objects("j", "table")), (0.0, 2500));

    let stays = Drs::answering(|ask| if ask.offset == 1000 { page(2500, &[]) } else { whole(ask, 2500) }).await;
    let exporter = Exporter::start(&stays.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "incomplete", 1.0).await;
    assert_eq!((samples.of("drs_objects", "j", "table"), samples.objects("j", "table")), (None, 0));
    assert_eq!(samples.of("drs_poll_success", "j", "table"), Some(0.0));
    assert!(exporter.log().contains("offset_counts"), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_is_too_high_is_incomplete_and_publishes_nothing() {
    let drs = Drs::answering(|ask| if ask.offset == 0 { page(10, &rows(0..7)) } else { page(10, &[]) }).await;
    let exporter = Exporter::start(&drs.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "incomplete", 1.0).await;
    assert_eq!(samples.objects("j", "table"), 0);
    let log = exporter.log();
    assert!(log.contains("DRS announced 10 objects, but its pages ended after 7"), "{log}");
    assert!(!log.contains("offset_counts"), "the first page was not whole: {log}");
    assert_eq!(drs.asked("j").iter().take(6).map(|ask| ask.offset).collect::<Vec<_>>(), [0, 7, 0, 7, 0, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_is_too_low_is_inconsistent() {
    let drs = Drs::answering(|_| page(3, &rows(0..5))).await;
    let exporter = Exporter::start(&drs.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "inconsistent", 1.0).await;
    assert_eq!((samples.of("drs_objects", "j", "table"), samples.objects("j", "table")), (Some(3.0), 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_beyond_reason_is_not_followed() {
    let drs = Drs::answering(|ask| page(u64::MAX, &rows(ask.offset..ask.offset + ask.limit))).await;
    let exporter = Exporter::start(&drs.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "error", 1.0).await;
    let polls = samples.polls("j", "table", "error");
    assert_eq!((samples.errors("j", "table", "too_large"), samples.objects("j", "table")), (polls, 0));
    assert!(drs.asked("j").iter().all(|ask| ask.offset == 0), "asked for more");
    assert!(exporter.log().contains("more than 5000000 of one type are not read"), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_may_count_pages() {
    let drs = Drs::answering(|ask| {
        let from = ask.offset * ask.limit;
        page(2500, &rows(from.min(2500)..(from + ask.limit).min(2500)))
    })
    .await;
    let config = drs.config(&[JOB]).replace("    project_id", "    offset_counts: pages\n    project_id");
    let exporter = Exporter::start(&config).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    assert_eq!(samples.objects("j", "table"), 2500);
    assert_eq!(drs.asked("j").iter().take(3).map(|ask| ask.offset).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_look_as_the_specification_says() {
    let drs = Drs::answering(|ask| whole(ask, 0)).await;
    let config = drs.config(&["{id: 163b98e8-6088-46c3-8b86-c18fea6jb502}"]);
    let config =
        config.replace("    project_id", "    language: zh-cn\n    project_id").replace("1s}", "1s, page_size: 7}");
    let job = "163b98e8-6088-46c3-8b86-c18fea6jb502";
    let exporter = Exporter::start(&config).await;
    let all =
        ["table", "event", "table_structure", "procedure", "view", "function", "database", "trigger", "table_indexs"];
    for object_type in all {
        exporter.polled(job, object_type, "success", 1.0).await;
    }
    for object_type in all {
        let asked = drs.asked(job).into_iter().find(|ask| ask.object_type == object_type).expect(object_type);
        assert_eq!((&asked.project[..], asked.limit, asked.offset), ("the-project", 7, 0));
        assert_eq!(asked.headers["content-type"], "application/json");
        assert_eq!(asked.headers["x-auth-token"], "the-token");
        assert_eq!(asked.headers["x-language"], "zh-cn");
    }
    assert!(!exporter.log().contains("the-token"), "the token is in the log");
}
