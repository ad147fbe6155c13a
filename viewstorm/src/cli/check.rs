//! `viewstorm check DIR|FILE|- ...`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use viewstorm_checker::{CheckOptions, Validity, Verdict};
use viewstorm_history::{CallLog, write_edn};

use super::Exit;
use super::arguments::CheckArguments;
use super::history_file::read_history;
use crate::judge::judge;
use crate::run_folder::{PLAN_FILE, RunFolder};

/// What came of one history.
struct Checked {
    name: String,
    exit: Exit,
    verdict: Result<Verdict, String>,
    /// What a run of ours came to besides.
    notes: Vec<String>,
}

pub(super) fn check(arguments: &CheckArguments) -> anyhow::Result<Exit> {
    let files = match files(&arguments.paths) {
        Ok(files) => files,
        Err(reason) => {
            eprintln!("viewstorm: {reason}");
            return Ok(Exit::Plan);
        }
    };
    if arguments.to_edn.is_some() && files.len() > 1 {
        eprintln!(
            "viewstorm: --to-edn writes one history, and these are {}",
            files.len()
        );
        return Ok(Exit::Plan);
    }
    let mut worst = Exit::Expected;
    let mut all = Vec::new();
    for file in &files {
        let checked = check_one(arguments, file)?;
        worst = worst.max(checked.exit);
        match &checked.verdict {
            Err(reason) => eprintln!("viewstorm: {reason}"),
            Ok(verdict) if !arguments.json => print(&checked, verdict, files.len() > 1),
            Ok(_) => {}
        }
        all.push(checked);
    }
    if arguments.json {
        print_json(&all)?;
    } else if files.len() > 1 {
        let count = |exit| all.iter().filter(|checked| checked.exit == exit).count();
        println!(
            "{} histories: {} valid, {} invalid, {} unknown, {} not judged",
            all.len(),
            count(Exit::Expected),
            count(Exit::Invalid),
            count(Exit::Unknown),
            count(Exit::Plan),
        );
    }
    Ok(worst)
}

/// The histories that paths name: a folder that is no run stands for the histories in it.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        let is_run = path.join(viewstorm_report::HISTORY_FILE).exists();
        if !path.is_dir() || is_run {
            files.push(path.clone());
            continue;
        }
        let say = |error| format!("{}: {error}", path.display());
        let mut found = Vec::new();
        for entry in path.read_dir().map_err(say)? {
            let path = entry.map_err(say)?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let is_history = matches!(extension, Some("jsonl" | "json" | "edn"));
            if is_history && path.is_file() {
                found.push(path);
            }
        }
        if found.is_empty() {
            return Err(format!(
                "{}: neither a run nor a folder with histories (*.jsonl, *.json, *.edn)",
                path.display()
            ));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn check_one(arguments: &CheckArguments, path: &Path) -> anyhow::Result<Checked> {
    let asks_for_all = arguments.checks.is_empty() && arguments.model.is_none();
    if path.is_dir() && asks_for_all && path.join(PLAN_FILE).exists() {
        return check_run(path);
    }
    let name = path.display().to_string();
    let refuse = |reason| Checked {
        name: name.clone(),
        exit: Exit::Plan,
        verdict: Err(reason),
        notes: Vec::new(),
    };
    let mut log = match read_history(path, arguments.format, arguments.keyed) {
        Ok(log) => log,
        Err(reason) => return Ok(refuse(reason)),
    };
    if let Some(initial) = &arguments.initial {
        log.set_initial(initial);
    }
    if let Some(target) = &arguments.to_edn
        && let Err(error) = export(&log, target)
    {
        return Ok(refuse(format!("{}: {error}", target.display())));
    }
    let options = options(arguments, &log);
    Ok(match viewstorm_checker::check_log(&log, &options) {
        Err(error) => refuse(format!("{name}: {error}")),
        Ok(verdict) => {
            let exit = match verdict.validity {
                Validity::Valid => Exit::Expected,
                Validity::Invalid => Exit::Invalid,
                Validity::Unknown => Exit::Unknown,
            };
            let untimed = "the history has no times; each of its events counts as a millisecond";
            let notes = log
                .is_untimed
                .then(|| format!("note: {untimed}"))
                .into_iter()
                .collect();
            Checked {
                name,
                exit,
                verdict: Ok(verdict),
                notes,
            }
        }
    })
}

fn options(arguments: &CheckArguments, log: &CallLog) -> CheckOptions {
    let mut options = CheckOptions {
        model: arguments.model.clone(),
        cross_check: arguments.cross_check,
        ..CheckOptions::default()
    };
    if !arguments.checks.is_empty() {
        options.checks.clone_from(&arguments.checks);
    } else if !log.calls.iter().any(viewstorm_history::Call::is_final) {
        // Only our own runs say which reads are the last.
        options.checks.retain(|check| check != "durability");
    }
    options
}

fn export(log: &CallLog, target: &Path) -> std::io::Result<()> {
    if target == Path::new("-") {
        return write_edn(log, std::io::stdout().lock());
    }
    write_edn(log, std::io::BufWriter::new(File::create_new(target)?))
}

/// A run of ours is judged with its plan and traces, and its report is written again.
fn check_run(path: &Path) -> anyhow::Result<Checked> {
    let name = path.display().to_string();
    let judgement = match judge(path) {
        Ok(judgement) => judgement,
        Err(error) => {
            let verdict = Err(error.to_string());
            return Ok(Checked {
                name,
                exit: Exit::Plan,
                verdict,
                notes: Vec::new(),
            });
        }
    };
    let folder = RunFolder::existing(path);
    let results = crate::run::write_report(&folder, judgement)
        .with_context(|| format!("the report of {}", path.display()))?;
    let exit = Exit::of(&results);
    let reservations = results.reservations.iter();
    let mut notes: Vec<String> = reservations
        .map(|it| format!("reservation: {it}"))
        .collect();
    let outcome = &results.outcome;
    notes.push(format!(
        "outcome: {} ({})",
        outcome.validity, outcome.exit.meaning
    ));
    Ok(Checked {
        name,
        exit,
        verdict: Ok(results.verdict),
        notes,
    })
}

fn print(checked: &Checked, verdict: &Verdict, is_one_of_many: bool) {
    if is_one_of_many {
        print!("{}: ", checked.name);
    }
    println!("{}", verdict.validity);
    for check in &verdict.checks {
        let algorithms = match check.algorithms.is_empty() {
            true => String::new(),
            false => format!(" judged by {}", check.algorithms.join(", ")),
        };
        println!(
            "  {}: {}, {}{algorithms}",
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
    for note in &checked.notes {
        println!("{note}");
    }
}

/// One history's verdict, or a list with the name of each.
fn print_json(all: &[Checked]) -> anyhow::Result<()> {
    let of = |checked: &Checked| -> anyhow::Result<Value> {
        Ok(match &checked.verdict {
            Ok(verdict) => serde_json::to_value(verdict)?,
            Err(reason) => json!({ "error": reason }),
        })
    };
    let value = match all {
        [only] => of(only)?,
        _ => {
            let mut list = Vec::new();
            for checked in all {
                let mut value = of(checked)?;
                value["file"] = json!(checked.name);
                list.push(value);
            }
            Value::Array(list)
        }
    };
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &value)?;
    writeln!(out)?;
    Ok(())
}
