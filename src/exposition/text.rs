//! What is particular to Prometheus text 0.0.4: the head of a family, and the way there from OpenMetrics, which is all that
//! the client library writes.

use super::families::{Family, Kind};

/// The lines before a family's samples.
pub(super) fn head(family: &Family) -> String {
    let kind = if family.kind == Kind::Info { Kind::Gauge } else { family.kind };
    let (name, kind, help) = (family.name, kind.as_str(), family.help);
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

/// The same families in text 0.0.4: a counter is called by the name of its samples, an info or a state set is a gauge,
/// there are no units and no end mark. The library writes HELP before TYPE, and the samples are the same in both formats.
pub(super) fn from_openmetrics(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 256);
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(name_and_help) = line.strip_prefix("# HELP ") {
            help = name_and_help.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "stateset" => ("", "gauge"),
                "unknown" => ("", "untyped"),
                same => ("", same),
            };
            if let Some((_, help)) = help.take().filter(|(helped, _)| *helped == name) {
                text.push_str(&format!("# HELP {name}{suffix} {help}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_library_has_its_form() {
        let openmetrics = "\
# HELP a_seconds Time.
# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{x=\"# TYPE\"} 1.5
# HELP b Build.
# TYPE b info
b_info{version=\"1\"} 1
# HELP c States.
# TYPE c stateset
c{c=\"on\"} 1
# HELP d What.
# TYPE d unknown
d 1
# HELP e Sizes.
# TYPE e histogram
e_sum 1.0
e_bucket{le=\"+Inf\"} 1
# EOF
";
        insta::assert_snapshot!(from_openmetrics(openmetrics), @r##"
        # HELP a_seconds_total Time.
        # TYPE a_seconds_total counter
        a_seconds_total{x="# TYPE"} 1.5
        # HELP b_info Build.
        # TYPE b_info gauge
        b_info{version="1"} 1
        # HELP c States.
        # TYPE c gauge
        c{c="on"} 1
        # HELP d What.
        # TYPE d untyped
        d 1
        # HELP e Sizes.
        # TYPE e histogram
        e_sum 1.0
        e_bucket{le="+Inf"} 1
        "##);
    }
}
