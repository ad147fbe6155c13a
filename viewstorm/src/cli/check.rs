//! `viewstorm check DIR|FILE|-`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Context;
use viewstorm_checker::{CheckOptions, Validity, Verdict};
use viewstorm_history::History;

use super::Exit;
use super::arguments::CheckArguments;
use crate::judge::judge;
use crate::run_folder::RunFolder;

pub(super) fn check(arguments: &CheckArguments) -> anyhow::Result<Exit> {
    let path = &arguments.path;
    let asks_for_all = arguments.checks.is_empty() && arguments.model.is_none();
    if path.is_dir() && asks_for_all {
        return check_folder(arguments);
    }
    let history = match read(path) {
        Ok(history) => history,
        Err(reason) => {
            eprintln!("viewstorm: {reason}");
            return Ok(Exit::Plan);
        }
    };
    let mut options = CheckOptions {
        model: arguments.model.clone(),
        ..CheckOptions::default()
    };
    if !arguments.checks.is_empty() {
        options.checks.clone_from(&arguments.checks);
    }
    let verdict = match viewstorm_checker::check(&history, &options) {
        Ok(verdict) => verdict,
        Err(error) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Plan);
        }
    };
    print(arguments, &verdict)?;
    Ok(match verdict.validity {
        Validity::Valid => Exit::Expected,
        Validity::Invalid => Exit::Invalid,
        Validity::Unknown => Exit::Unknown,
    })
}

/// A run of ours is judged with its plan and traces, and its report is written again.
fn check_folder(arguments: &CheckArguments) -> anyhow::Result<Exit> {
    let path = &arguments.path;
    let judgement = match judge(path) {
        Ok(judgement) => judgement,
        Err(error) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Plan);
        }
    };
    let folder = RunFolder::existing(path);
    let results = crate::run::write_report(&folder, judgement)
        .with_context(|| format!("the report of {}", path.display()))?;
    print(arguments, &results.verdict)?;
    if !arguments.json {
        for reservation in &results.reservations {
            println!("reservation: {reservation}");
        }
        println!(
            "outcome: {} ({})",
            results.outcome.validity, results.outcome.exit.meaning
        );
    }
    Ok(Exit::of(&results))
}

/// Reads a history from a file, a run's folder, or standard input. The error names the place.
fn read(path: &Path) -> Result<History, String> {
    let file = if path.is_dir() {
        path.join(viewstorm_report::HISTORY_FILE)
    } else {
        path.to_owned()
    };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(&file).map_err(|error| format!("{}: {error}", file.display()))?)
    };
    let source = BufReader::with_capacity(1 << 18, source);
    History::read(source).map_err(|error| format!("{}: {error}", file.display()))
}

fn print(arguments: &CheckArguments, verdict: &Verdict) -> anyhow::Result<()> {
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(verdict)?);
        return Ok(());
    }
    println!("{}", verdict.validity);
    for check in &verdict.checks {
        let algorithms = check.algorithms.join(", ");
        println!(
            "  {}: {}, {} judged by {algorithms}",
            check.check, check.validity, check.judged
        );
        if let Some(reason) = &check.reason {
            println!("    {reason}");
        }
        for violation in &check.violations {
            println!("    {}: {}", violation.class, violation.summary);
            for line in violation.explanation.lines() {
                println!("      {line}");
            }
        }
    }
    Ok(())
}
