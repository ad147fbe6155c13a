//! The progress line of a run: on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use viewstorm_history::Timestamp;
use viewstorm_nemesis::Ledger;

use crate::runner::{Counts, Progress};

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(200);

/// One line that says how the run goes. indicatif draws it on a terminal and nowhere else.
#[derive(Debug)]
pub(super) struct ProgressLine {
    bar: ProgressBar,
    duration: Duration,
    drawn_at: Option<Timestamp>,
    started: Option<Timestamp>,
}

impl ProgressLine {
    /// A line for a run whose load takes `duration`.
    pub(super) fn new(title: &str, duration: Duration, quiet: bool) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let bar = if quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(millis)
        };
        let style = ProgressStyle::with_template("{prefix} [{bar:24}] {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        bar.set_style(style);
        bar.set_prefix(title.to_owned());
        Self {
            bar,
            duration,
            drawn_at: None,
            started: None,
        }
    }
}

impl Progress for ProgressLine {
    fn update(&mut self, now: Timestamp, stage: &'static str, counts: Counts, ledger: &Ledger) {
        if self
            .drawn_at
            .is_some_and(|drawn| now.saturating_since(drawn) < EVERY)
        {
            return;
        }
        self.drawn_at = Some(now);
        let started = *self.started.get_or_insert(now);
        let elapsed = now.saturating_since(started);
        self.bar
            .set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        let active: Vec<_> = ledger.active().collect();
        let faults = if active.is_empty() {
            "no fault".to_owned()
        } else {
            active.join(", ")
        };
        self.bar.set_message(format!(
            "{:.1}/{:.0} s {stage}: {} ok, {} fail, {} info; {faults}",
            elapsed.as_secs_f64(),
            self.duration.as_secs_f64(),
            counts.ok,
            counts.fail,
            counts.info,
        ));
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
