//! `Accept` and `Accept-Encoding`, whatever a client sends: nobody gets a format or an encoding that was not named or was ruled
//! out, and text and identity are what is served when in doubt.

#![no_main]

use drs_exporter::exposition::{Encoding, Format};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    let lower = header.to_ascii_lowercase();
    let named = |name: &str| lower.contains(name);

    let format = Format::preferred(header);
    assert_eq!(Format::preferred(&lower), format, "names of media types know no case");
    let openmetrics = named("application/openmetrics-text") || named("application/*") || named("*/*");
    assert!(openmetrics || format == Format::Text, "OpenMetrics was not asked for");
    let with = |more: &str| Format::preferred(&format!("{header},{more}"));
    assert_eq!(with("image/png"), format, "what is not served changes nothing");
    assert_eq!(with("text/plain;version=0.0.4"), Format::Text, "nothing is preferred to what is wanted most");

    let encoding = Encoding::preferred(header);
    assert_eq!(Encoding::preferred(&lower), encoding, "names of encodings know no case");
    assert!(named("gzip") || named("*") || encoding == Encoding::Identity, "gzip was not asked for");
    assert_eq!(Encoding::preferred(&format!("{header},br")), encoding, "what is not served changes nothing");
    assert_eq!(Encoding::preferred(&format!("gzip;q=0,{header}")), Encoding::Identity, "gzip was ruled out");
    assert_eq!(Encoding::preferred(&format!("gzip,{header}")), Encoding::Gzip, "gzip was wanted most");
});
