//! `summary.md` of a night: what a CI step summary shows.

use std::fmt::Write as _;

use super::night::{CorpusOutcome, Night};
use crate::{text, units};

/// GitHub refuses a step summary above one mebibyte; this is well below.
const BYTES_MAX: usize = 900 << 10;
/// How many findings are told.
const FINDINGS_MAX: usize = 50;
/// How many characters of a reason are.
const REASON_CHARS: usize = 600;

/// The summary.
pub(super) fn markdown(night: &Night) -> String {
    let mut page = format!(
        "# {} {}: {}\n\n{}.\n\n",
        cell(&night.name),
        cell(&night.id),
        night.validity().to_string().to_uppercase(),
        night.headline()
    );
    // Writing to a string does not fail.
    let _ = writeln!(
        page,
        "{:.0} of {:.0} s, viewstorm {} ({}).\n",
        night.spent_s, night.budget_s, night.version, night.commit
    );
    findings(&mut page, night);
    canaries(&mut page, night);
    experiments(&mut page, night);
    corpus(&mut page, night);
    for trouble in &night.troubles {
        let _ = writeln!(
            page,
            "- the harness: `{}`: {}",
            cell(&trouble.command),
            cell(&trouble.problem)
        );
    }
    shorten(page)
}

fn findings(page: &mut String, night: &Night) {
    if night.findings.is_empty() {
        return;
    }
    page.push_str("## Failures\n\n");
    for finding in night.findings.iter().take(FINDINGS_MAX) {
        let age = if finding.known { "known" } else { "new" };
        let _ = writeln!(
            page,
            "### {}: {} ({age}, {} seeds)\n",
            cell(&finding.experiment),
            cell(&finding.checks.join(", ")),
            finding.count
        );
        for reason in finding.reasons.iter().take(3) {
            let _ = writeln!(page, "- {}", cell(&text::shorten(reason, REASON_CHARS)));
        }
        if let Some(shrunk) = &finding.shrunk {
            let _ = writeln!(page, "\n```text\n{}\n```", text::clean(shrunk.story.trim()));
        }
        if finding.replayed == Some(false) {
            page.push_str("\nA second run of the seed did not fail.\n");
        }
        let _ = writeln!(page, "\n`{}`\n", cell(&finding.replay));
        if let Some(bundle) = &finding.bundle {
            let _ = writeln!(page, "`viewstorm open {}`\n", cell(bundle));
        }
    }
    let hidden = night.findings.len().saturating_sub(FINDINGS_MAX);
    if hidden > 0 {
        let _ = writeln!(page, "and {hidden} more; night.json has all of them.\n");
    }
}

fn canaries(page: &mut String, night: &Night) {
    if night.canaries.is_empty() {
        return;
    }
    page.push_str(
        "## Canaries: what must fail\n\n| canary | plan | caught | after seeds | checks |\n|---|---|---|---:|---|\n",
    );
    for canary in &night.canaries {
        let (caught, after) = match (canary.seeds, canary.caught) {
            (None, _) => ("not run", String::new()),
            (Some(seeds), true) => ("yes", seeds.to_string()),
            (Some(seeds), false) => ("**NO**", format!("not in {seeds}")),
        };
        let _ = writeln!(
            page,
            "| {} | {} | {caught} | {after} | {} |",
            cell(&canary.name),
            cell(&canary.plan),
            cell(&canary.checks.join(", "))
        );
    }
    page.push('\n');
}

fn experiments(page: &mut String, night: &Night) {
    page.push_str(
        "## Experiments\n\n| experiment | world | seeds | as expected | invalid | unknown | seeds/s | ops/s | p50 | p99 | flagged |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let rate = |value: Option<f64>| value.map_or(units::NONE.to_owned(), |v| format!("{v:.0}"));
    let time = |value: Option<f64>| value.map_or(units::NONE.to_owned(), units::micros);
    for experiment in &night.experiments {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {:.1} | {} | {} | {} | {} |",
            cell(&experiment.name),
            cell(&experiment.world),
            experiment.seeds,
            experiment.as_expected,
            experiment.invalid,
            experiment.unknown,
            experiment.seeds as f64 / experiment.wall_s.max(1e-3),
            rate(experiment.median(|f| f.throughput_ops_per_s)),
            time(experiment.median(|f| f.latency_us_p50)),
            time(experiment.median(|f| f.latency_us_p99)),
            experiment.flagged(),
        );
    }
    page.push('\n');
}

fn corpus(page: &mut String, night: &Night) {
    if night.corpus.is_empty() {
        return;
    }
    page.push_str("## Old failing seeds\n\n| signature | plan | now |\n|---|---|---|\n");
    for seed in &night.corpus {
        let now = match seed.outcome {
            CorpusOutcome::NotRun => "not run",
            CorpusOutcome::Fails => "**fails**",
            CorpusOutcome::Holds => "holds",
            CorpusOutcome::Unknown => "unknown",
        };
        let _ = writeln!(
            page,
            "| {} | {} | {now} |",
            cell(&seed.signature),
            cell(&seed.plan)
        );
    }
    page.push('\n');
}

/// Foreign text that neither ends a table's cell nor a line.
fn cell(text: &str) -> String {
    text::one_line(text).replace('|', "\\|").replace('`', "'")
}

fn shorten(mut page: String) -> String {
    if page.len() > BYTES_MAX {
        let end = (0..=BYTES_MAX).rev().find(|at| page.is_char_boundary(*at));
        page.truncate(end.unwrap_or(0));
        page.push_str("\n\n(cut here; night.json has all of it)\n");
    }
    page
}
