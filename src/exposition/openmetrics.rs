//! What is particular to OpenMetrics 1.0.0: the head of a family, and the end of the exposition.

use super::families::Family;

/// The last line.
pub(super) const EOF: &str = "# EOF\n";

/// The lines before a family's samples.
pub(super) fn head(family: &Family) -> String {
    let (name, kind, help) = (family.base_name(), family.kind.as_str(), family.help);
    let unit = family.unit().map(|unit| format!("# UNIT {name} {unit}\n")).unwrap_or_default();
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{unit}")
}
