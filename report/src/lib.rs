//! A run folder in; results.json, summary.md, junit.xml and report.html out.
//!
//! This crate reads files and writes files. It runs nothing, judges nothing and knows no protocol:
//! verdicts come from the checker, figures from the runner, and the history is drawn as it was
//! recorded. Any past run can be reported again offline, and the same input gives the same bytes.

mod chart;
mod distribution;
mod html;
mod junit;
mod ledger;
mod markdown;
mod measures;
mod night;
mod operations;
mod results;
mod run;
#[cfg(test)]
mod sample;
mod series;
mod summary;
mod terminal;
mod text;
mod units;
mod write;

pub use ledger::{FaultRecord, FaultRecovery, FaultTotals, Outage, Recovery, ViewChange};
pub use measures::{Bound, Counts, HarnessLag, KindMeasures, Latency, PhaseMeasures};
pub use night::{
    Canary, CorpusOutcome, CorpusSeed, Figures, Finding, METRICS_FILE, NIGHT_FILE, NIGHT_PAGE_FILE,
    NIGHT_SCHEMA_VERSION, Night, NightError, NightExperiment, Shrunk, TREND_FILE, TrendExperiment,
    TrendPoint, Trouble, append_trend, read_night, read_trend, write_night, write_night_reports,
};
pub use results::{
    Exit, Expectation, Identity, Outcome, ReadResultsError, Results, SCHEMA_VERSION,
};
pub use run::{HISTORY_FILE, OpenError, RESULTS_FILE, Run};
pub use terminal::closing_lines;
pub use write::{HTML_FILE, JUNIT_FILE, SUMMARY_FILE, WriteError, write_all, write_whole};
