//! Judges a run from the files in its folder: a run that just ended and one of last year are the same to it.
//!
//! ```text
//!   plan.toml  run.json  history.jsonl  trace/*.jsonl
//!        \        |           |            /
//!         v       v           v           v
//!      checker's verdict + figures + fault ledger + recovery  ->  Results
//! ```

mod faults;
mod latency_log;
mod liveness;
mod measures;
mod operations;
mod outcome;
mod recovery;
mod results;
mod traces;
mod vacuity;

pub use latency_log::{LATENCY_LOG_FILE, latency_log};
pub use results::{JudgeError, Judgement, judge, judge_run};
pub use traces::{TRACE_FOLDER, TraceError, Traces, trace_file};
