//! The last lines of a run in the terminal.

use std::path::Path;

use viewstorm_checker::Validity;
use viewstorm_history::Timestamp;

use crate::summary::{self, sentence};
use crate::{Results, text, units};

/// The width that lines are broken at.
const COLUMNS: usize = 100;
/// The width of what stands before the figures.
const MARGIN: usize = 14;
/// The most lines that the story of the first violation takes.
const VIOLATION_LINES: usize = 3;
/// The most faults and reservations that are named one by one.
const MAX_NAMED: usize = 8;

const RESET: &str = "\u{1b}[0m";
const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const RED: &str = "\u{1b}[1;31m";
const GREEN: &str = "\u{1b}[1;32m";
const YELLOW: &str = "\u{1b}[1;33m";

/// The closing lines of a run: the verdict first, the path of its report last. `color` adds ANSI
/// colours; whether they are wanted is the caller's to know.
pub fn closing_lines(results: &Results, report: &Path, color: bool) -> String {
    let mut lines = Lines {
        text: String::new(),
        color,
    };
    let origin = summary::load_start(results).unwrap_or_default();
    lines.verdict(results);
    lines.violation(results);
    lines.measures(results);
    lines.faults(results);
    lines.recovery(results, origin);
    lines.bounds(results);
    lines.named(
        "reservation",
        YELLOW,
        results.reservations.iter().map(|text| sentence(text)),
    );
    if let Some(command) = results.reproduce.first() {
        // Not cut: this line is there to be copied.
        lines.line("again", "", &text::one_line(command));
    }
    lines.line("report", BOLD, &text::one_line(&report.to_string_lossy()));
    lines.text
}

struct Lines {
    text: String,
    color: bool,
}

impl Lines {
    fn verdict(&mut self, results: &Results) {
        let (word, style) = match results.outcome.validity {
            Validity::Valid => ("VALID", GREEN),
            Validity::Invalid => ("INVALID", RED),
            Validity::Unknown => ("UNKNOWN", YELLOW),
        };
        let word = self.paint(style, word);
        let name = self.paint(BOLD, &summary::label(&results.run.experiment));
        let expectation = summary::expectation(results);
        let seed = results.run.seed;
        self.text
            .push_str(&format!("{word} {name}, seed {seed} ({expectation})\n"));
        for line in wrap(&summary::headline(results), COLUMNS - 2) {
            self.text.push_str(&format!("  {line}\n"));
        }
    }

    fn violation(&mut self, results: &Results) {
        let Some((check, violation)) = results.first_violation() else {
            return;
        };
        let title = summary::violation_title(violation);
        self.line(
            "violation",
            RED,
            &format!("{title} ({})", summary::label(&check.check)),
        );
        // The summary stands in the headline; here is how the story begins.
        let story = wrap(&text::one_line(&violation.explanation), COLUMNS - MARGIN);
        let is_cut = story.len() > VIOLATION_LINES;
        for (number, line) in story.iter().take(VIOLATION_LINES).enumerate() {
            let ending = if is_cut && number + 1 == VIOLATION_LINES {
                " …"
            } else {
                ""
            };
            self.line("", "", &format!("{line}{ending}"));
        }
        let found: usize = results
            .verdict
            .checks
            .iter()
            .map(|check| check.violations.len())
            .sum();
        if found > 1 {
            self.line(
                "",
                "",
                &format!("({} in all)", units::plural(found as u64, "violation")),
            );
        }
    }

    fn measures(&mut self, results: &Results) {
        let counts = &results.counts;
        let operations = format!(
            "{} ok, {} fail, {} info, {} not started",
            units::count(counts.ok),
            units::count(counts.fail),
            units::count(counts.info),
            units::count(counts.not_started),
        );
        self.line("operations", "", &operations);
        let latency = &results.latency;
        let quantiles = match latency.count {
            0 => "nothing was acknowledged".to_owned(),
            _ => format!(
                "p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
                units::micros(latency.p50_us),
                units::micros(latency.p90_us),
                units::micros(latency.p99_us),
                units::micros(latency.p99_9_us),
                units::micros(latency.max_us),
            ),
        };
        self.line("latency", "", &quantiles);
        self.line("throughput", "", &units::rate(results.throughput_ops_per_s));
    }

    fn faults(&mut self, results: &Results) {
        let totals = &results.fault_totals;
        let stages = match totals.planned {
            0 => "none planned".to_owned(),
            _ => format!(
                "{} planned, {} applied, {} confirmed, {} healed",
                totals.planned, totals.applied, totals.confirmed, totals.healed
            ),
        };
        self.line("faults", "", &stages);
        let unconfirmed = results
            .faults
            .iter()
            .filter(|fault| fault.confirmed_at_ns.is_none());
        let warning = |fault| {
            let title = summary::fault_title(fault);
            let shortcoming = summary::shortcoming(fault).unwrap_or("not confirmed");
            match &fault.failure {
                Some(failure) => format!("{title}: {shortcoming}: {}", sentence(failure)),
                None => format!("{title}: {shortcoming}"),
            }
        };
        self.named("warning", YELLOW, unconfirmed.map(warning));
    }

    fn recovery(&mut self, results: &Results, origin: Timestamp) {
        let recovery = &results.recovery;
        let mut parts = Vec::new();
        if recovery.final_heal_at_ns.is_some() {
            parts.push(match recovery.after_final_heal_ns {
                Some(after) => format!("{} after the final heal", units::duration(after)),
                None => "none after the final heal".to_owned(),
            });
        }
        if let Some(outage) = &recovery.longest_outage {
            let length = outage.to_ns.0.saturating_sub(outage.from_ns.0);
            parts.push(format!(
                "longest outage {} (from {} to {})",
                units::duration(length),
                units::time(outage.from_ns, origin),
                units::time(outage.to_ns, origin),
            ));
        }
        if !parts.is_empty() {
            self.line("recovery", "", &parts.join("; "));
        }
    }

    fn bounds(&mut self, results: &Results) {
        let missed = results.bounds.iter().filter(|bound| !bound.met);
        self.named(
            "bound",
            YELLOW,
            missed.map(|bound| {
                let measured = bound.measured.as_deref().unwrap_or("nothing");
                let judged = if bound.judged { "" } else { " (not judged)" };
                sentence(&format!(
                    "{} missed: {measured} measured, {} allowed{judged}",
                    bound.name, bound.limit
                ))
            }),
        );
    }

    /// One line for each, up to a limit.
    fn named(&mut self, title: &str, style: &str, texts: impl Iterator<Item = String>) {
        let texts: Vec<_> = texts.collect();
        for text in texts.iter().take(MAX_NAMED) {
            self.line(title, style, text);
        }
        if let Some(more) = texts.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
            self.line("", "", &format!("and {more} more, see the report"));
        }
    }

    fn line(&mut self, title: &str, style: &str, text: &str) {
        let padding = " ".repeat((MARGIN - 2).saturating_sub(title.len()));
        let title = match style {
            "" => self.paint(DIM, title),
            style => self.paint(style, title),
        };
        self.text
            .push_str(format!("  {title}{padding}{text}").trim_end());
        self.text.push('\n');
    }

    fn paint(&self, style: &str, text: &str) -> String {
        match self.color && !text.is_empty() {
            true => format!("{style}{text}{RESET}"),
            false => text.to_owned(),
        }
    }
}

/// Breaks a line between words. A word that is longer than a line stays whole.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
