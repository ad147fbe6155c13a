//! `summary.md`: a run in GitHub-flavoured Markdown, short enough for the summary page of a CI job.

use std::fmt::Write;

use viewstorm_checker::{CheckResult, Validity};
use viewstorm_history::Timestamp;

use crate::summary;
use crate::{Counts, FaultRecord, Latency, Results, text, units};

/// The most rows of a table: a job's summary is at most a mebibyte.
const MAX_ROWS: usize = 100;
/// How much of an explanation is told.
const EXPLANATION_CHARS: usize = 4000;
/// How much of a cell is shown.
const CELL_CHARS: usize = 300;

/// The file. Times count from `origin`.
pub(crate) fn markdown(results: &Results, origin: Timestamp) -> String {
    let mut document = String::new();
    let sections = [
        verdict(results),
        checks(results),
        violation(results),
        counts(results),
        latency(results, origin),
        faults(results, origin),
        bounds(results),
        reproduce(results),
    ];
    for section in sections.iter().filter(|section| !section.is_empty()) {
        if !document.is_empty() {
            document.push('\n');
        }
        document.push_str(section);
    }
    document
}

fn verdict(results: &Results) -> String {
    let run = &results.run;
    let mut facts = vec![
        format!("protocol {}", inline(&run.protocol)),
        format!("{} replicas", run.replicas),
        format!("{} clients", run.clients),
        format!("{} world", inline(&run.world)),
        format!("seed {}", run.seed),
        units::duration(run.duration_ns),
    ];
    if let Some(commit) = &run.commit {
        facts.push(format!("commit {}", inline(&text::shorten(commit, 12))));
    }
    let mut section = format!(
        "## {} {}: {}\n\n**{}** ({}).\n\n{}\n",
        mark(results.outcome.validity),
        inline(&run.experiment),
        results.outcome.validity,
        inline(&capital(&summary::headline(results))),
        inline(&summary::expectation(results)),
        facts.join(" · "),
    );
    if !results.reservations.is_empty() {
        section.push_str("\n> [!WARNING]\n");
        for reservation in results.reservations.iter().take(MAX_ROWS) {
            let _ = writeln!(section, "> - {}", inline(reservation));
        }
    }
    section
}

fn checks(results: &Results) -> String {
    let row = |check: &CheckResult| {
        let note = match (check.violations.first(), &check.reason) {
            (Some(violation), _) => violation.summary.as_str(),
            (None, Some(reason)) => reason,
            (None, None) => "",
        };
        vec![
            inline(&check.check),
            format!("{} {}", mark(check.validity), check.validity),
            units::count(check.judged),
            inline(&check.algorithms.join(", ")),
            inline(note),
        ]
    };
    let rows: Vec<_> = results.verdict.checks.iter().map(row).collect();
    if rows.is_empty() {
        return "### Checks\n\nNo check was asked for.\n".to_owned();
    }
    table("Checks", &["check", "", "judged:", "by", "note"], rows)
}

fn violation(results: &Results) -> String {
    let Some((check, violation)) = results.first_violation() else {
        return String::new();
    };
    let explanation = text::shorten(
        &text::clean(violation.explanation.trim()),
        EXPLANATION_CHARS,
    );
    format!(
        "### First contradiction\n\n{} ({})\n\n{}",
        inline(&summary::violation_title(violation)),
        inline(&check.check),
        fenced("text", &explanation),
    )
}

fn counts(results: &Results) -> String {
    let counts = &results.counts;
    let row = vec![
        units::count(counts.invoked),
        units::count(counts.ok),
        units::count(counts.fail),
        units::count(counts.info),
        units::count(counts.not_started),
        units::rate(results.throughput_ops_per_s),
    ];
    let columns = [
        "invoked:",
        "ok:",
        "fail:",
        "info:",
        "not started:",
        "throughput:",
    ];
    let mut section = table("Operations", &columns, vec![row]);
    let recovery = &results.recovery;
    if let Some(after) = recovery.after_final_heal_ns {
        let _ = write!(
            section,
            "\nFirst acknowledgement {} after the final heal.",
            units::duration(after)
        );
    } else if recovery.final_heal_at_ns.is_some() {
        section.push_str("\nNo acknowledgement after the final heal.");
    }
    if let Some(outage) = &recovery.longest_outage {
        let length = units::duration(outage.to_ns.0.saturating_sub(outage.from_ns.0));
        let _ = write!(section, "\nLongest outage {length}.");
    }
    if !section.ends_with('\n') {
        section.push('\n');
    }
    section
}

fn latency(results: &Results, origin: Timestamp) -> String {
    let mut rows = vec![latency_row(
        "**all**".to_owned(),
        &results.counts,
        &results.latency,
    )];
    for kind in &results.kinds {
        rows.push(latency_row(inline(&kind.f), &kind.counts, &kind.latency));
    }
    for phase in &results.phases {
        let span = format!(
            "{} ({} to {})",
            inline(&phase.name),
            units::time(phase.from_ns, origin),
            units::time(phase.to_ns, origin)
        );
        rows.push(latency_row(span, &phase.counts, &phase.latency));
    }
    let columns = [
        "operations",
        "ok:",
        "fail:",
        "info:",
        "p50:",
        "p90:",
        "p99:",
        "p99.9:",
        "max:",
    ];
    table("Latency", &columns, rows)
}

fn latency_row(name: String, counts: &Counts, latency: &Latency) -> Vec<String> {
    let figure = |micros: f64| match latency.count {
        0 => units::NONE.to_owned(),
        _ => units::micros(micros),
    };
    vec![
        name,
        units::count(counts.ok),
        units::count(counts.fail),
        units::count(counts.info),
        figure(latency.p50_us),
        figure(latency.p90_us),
        figure(latency.p99_us),
        figure(latency.p99_9_us),
        figure(latency.max_us),
    ]
}

fn faults(results: &Results, origin: Timestamp) -> String {
    let at = |time: Option<Timestamp>| {
        time.map_or_else(|| units::NONE.to_owned(), |time| units::time(time, origin))
    };
    let row = |fault: &FaultRecord| {
        let evidence = match (&fault.failure, &fault.evidence) {
            (Some(failure), _) => format!("⚠️ {}", inline(failure)),
            (None, Some(evidence)) => inline(evidence),
            (None, None) => String::new(),
        };
        let stays = fault.stays.as_deref().map(inline);
        let evidence = stays.map_or(evidence.clone(), |stays| format!("{stays}; {evidence}"));
        vec![
            fault.id.to_string(),
            inline(&fault.name),
            inline(&fault.targets.join(", ")),
            fault
                .planned_at_ns
                .map_or_else(|| "trigger".to_owned(), |time| at(Some(time))),
            at(fault.injected_at_ns),
            at(fault.confirmed_at_ns),
            at(fault.healed_at_ns),
            at(fault.healed_confirmed_at_ns),
            evidence,
        ]
    };
    let columns = [
        "#:",
        "fault",
        "on",
        "planned:",
        "applied:",
        "confirmed:",
        "healed:",
        "seen gone:",
        "evidence",
    ];
    let rows = results.faults.iter().map(row).collect();
    table("Faults", &columns, rows)
}

fn bounds(results: &Results) -> String {
    let row = |bound: &crate::Bound| {
        let met = match (bound.met, bound.judged) {
            (true, _) => "✅ met",
            (false, true) => "❌ missed",
            (false, false) => "⚠️ missed, not judged",
        };
        vec![
            inline(&bound.name),
            inline(&bound.limit),
            inline(bound.measured.as_deref().unwrap_or(units::NONE)),
            met.to_owned(),
        ]
    };
    table(
        "Bounds",
        &["bound", "limit:", "measured:", ""],
        results.bounds.iter().map(row).collect(),
    )
}

fn reproduce(results: &Results) -> String {
    if results.reproduce.is_empty() {
        return String::new();
    }
    let commands: Vec<_> = results
        .reproduce
        .iter()
        .map(|command| text::one_line(command))
        .collect();
    format!("### Run it again\n\n{}", fenced("sh", &commands.join("\n")))
}

/// A table under a title. A column whose name ends in a colon holds numbers: they stand right.
fn table(title: &str, columns: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let names: Vec<_> = columns
        .iter()
        .map(|column| column.trim_end_matches(':'))
        .collect();
    let rules: Vec<_> = columns
        .iter()
        .map(|column| if column.ends_with(':') { "---:" } else { "---" })
        .collect();
    let mut section = format!("### {title}\n\n");
    let _ = writeln!(section, "| {} |", names.join(" | "));
    let _ = writeln!(section, "|{}|", rules.join("|"));
    for row in rows.iter().take(MAX_ROWS) {
        let _ = writeln!(section, "| {} |", row.join(" | "));
    }
    if rows.len() > MAX_ROWS {
        let _ = writeln!(
            section,
            "\nand {} more, see `results.json`.",
            rows.len() - MAX_ROWS
        );
    }
    section
}

/// Foreign text in a line or a cell: nothing of it is markup.
fn inline(foreign: &str) -> String {
    let line = text::shorten(&text::one_line(foreign), CELL_CHARS);
    let mut escaped = String::with_capacity(line.len());
    for character in line.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A code block whose fence is longer than any in its text.
fn fenced(language: &str, code: &str) -> String {
    let longest = code
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{code}\n{fence}\n")
}

fn mark(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "✅",
        Validity::Unknown => "⚠️",
        Validity::Invalid => "❌",
    }
}

fn capital(sentence: &str) -> String {
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
