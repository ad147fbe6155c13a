//! A night: many experiments under a time budget, and what came of them. One type that is written after every
//! step, and the files that are made of it.

mod files;
mod markdown;
mod metrics;
#[expect(
    clippy::module_inception,
    reason = "the night itself is the noun of its module"
)]
mod night;
mod suite;
mod trend;

pub use files::{
    METRICS_FILE, NIGHT_FILE, NIGHT_PAGE_FILE, NightError, TREND_FILE, read_night, write_night,
    write_night_reports,
};
pub use night::{
    Canary, CorpusOutcome, CorpusSeed, Figures, Finding, NIGHT_SCHEMA_VERSION, Night,
    NightExperiment, Shrunk, Trouble,
};
pub use trend::{TrendExperiment, TrendPoint, append_trend, read_trend};
