//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::history_file::Format;

/// viewstorm breaks replicated state machines on purpose and proves what happened.
#[derive(Debug, Parser)]
#[command(name = "viewstorm", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 as expected, 1 invalid (or an expected violation that did \
    not come), 2 unknown, 3 bad plan or usage, 4 the harness itself failed."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What viewstorm can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run an experiment: start the cluster, inject the faults, judge the history, write the report.
    #[command(after_help = "Examples:\n  \
        viewstorm run experiments/vr/partitions.toml\n  \
        viewstorm run experiments/vr/partitions.toml --seed 42 --replace\n  \
        viewstorm run experiments/vr/partitions.toml --seeds 1..20 --set cluster.replicas=5")]
    Run(RunArguments),
    /// Print what a plan's nemesis would do with a seed, and when, and run nothing.
    #[command(after_help = "Examples:\n  \
        viewstorm dry-run experiments/vr/partitions.toml\n  \
        viewstorm dry-run experiments/vr/storm.toml --seed 7 --nemesis crashes")]
    DryRun(DryRunArguments),
    /// Print what each protocol promises in which system model, and the experiment that shows it.
    Model,
    /// Run many seeds of an experiment in the simulator, in memory and on all cores.
    #[command(after_help = "Examples:\n  \
        viewstorm simulate experiments/vr/partitions.toml --seeds 1..1000\n  \
        viewstorm simulate experiments/vr/partitions.toml --seeds 1..100 --jobs 1 --fail-fast --twice")]
    Simulate(SimulateArguments),
    /// Run a simulated run again from its folder, and show that it is the same.
    #[command(after_help = "Example:\n  \
        viewstorm replay runs/vr-partitions/simulated-0123456789ab-42")]
    Replay(ReplayArguments),
    /// Cut a failing run's plan down to the faults that matter, in the simulator.
    #[command(after_help = "Example:\n  \
        viewstorm shrink runs/vr-storm/simulated-0123456789ab-42")]
    Shrink(ShrinkArguments),
    /// Take a failing run on processes into the simulator, until the same property fails there.
    #[command(after_help = "Example:\n  \
        viewstorm reproduce runs/vr-partitions/processes-0123456789ab-42 --seeds 1000")]
    Reproduce(ReproduceArguments),
    /// Plant each bug of mutants/ in a copy of the tree and count the seeds until it is caught.
    #[command(after_help = "Examples:\n  \
        viewstorm mutants --check\n  \
        viewstorm mutants commit-with-f --seeds 2000 --campaigns 5\n  \
        viewstorm mutants commit-with-f --world processes --seeds 10")]
    Mutants(MutantsArguments),
    /// Run a night: a set of experiments, worlds and seeds under a time budget, with canaries that must fail.
    #[command(after_help = "Examples:\n  \
        viewstorm nightly experiments/nightly.toml --id 2026-11-25\n  \
        viewstorm nightly experiments/nightly.toml --minutes 5\n\n\
        The same --id goes on with a night that was cut off; its seeds follow from the id and the plan alone.")]
    Nightly(NightlyArguments),
    /// Unpack the bundle of a failure and say what it is.
    #[command(after_help = "Example:\n  \
        viewstorm open nights/nightly/2026-11-25/bundles/vr-storm-0123abcd.tar.gz")]
    Open(OpenArguments),
    /// Judge histories, of past runs or of other tools: run folders, JSON lines, Jepsen's EDN.
    #[command(after_help = "Examples:\n  \
        viewstorm check runs/vr-partitions/processes-0123456789ab-42\n  \
        viewstorm check history.jsonl --model register --json\n  \
        viewstorm check store/latest/history.edn --model cas-register --cross-check\n  \
        viewstorm check histories/ --check linearizability")]
    Check(CheckArguments),
    /// Write the report of a past run again, from its folder alone.
    #[command(after_help = "Example:\n  \
        viewstorm report runs/vr-partitions/processes-0123456789ab-42")]
    Report(ReportArguments),
    /// Run one replica process. The runner starts these; by hand it is for debugging.
    #[command(after_help = "Example:\n  viewstorm replica --config replicas/r0/config.toml")]
    Replica(ReplicaArguments),
    /// Look what this machine can do for experiments, and what is missing.
    Doctor,
    /// Measure this machine.
    Bench(BenchArguments),
}

/// `viewstorm run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The experiment's plan.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The seed, instead of the plan's; with neither a fresh one is drawn and printed.
    #[arg(long, conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// One run for each seed from A to B, both included.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    pub seeds: Option<(u64, u64)>,
    /// The world to run in, instead of the plan's: processes or simulated.
    #[arg(long, value_name = "KIND")]
    pub world: Option<String>,
    /// The faults of a profile instead of the plan's: calm, partitions, network, crashes, storage, clocks, storm.
    #[arg(long, value_name = "PROFILE")]
    pub nemesis: Option<String>,
    /// Where run folders go.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Remove an earlier run of the same experiment, world, commit and seed first.
    #[arg(long)]
    pub replace: bool,
    /// Change one value of the plan, as `cluster.replicas=5`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print results.json instead of the closing lines.
    #[arg(long)]
    pub json: bool,
    /// Print nothing but errors and the closing lines.
    #[arg(long, short)]
    pub quiet: bool,
}

/// `viewstorm dry-run`.
#[derive(Debug, Args)]
pub struct DryRunArguments {
    /// The experiment's plan.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The seed, instead of the plan's; with neither it is 1.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The faults of a profile instead of the plan's.
    #[arg(long, value_name = "PROFILE")]
    pub nemesis: Option<String>,
    /// Change one value of the plan, as `cluster.replicas=5`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the resolved plan instead.
    #[arg(long)]
    pub toml: bool,
}

/// `viewstorm simulate`.
#[derive(Debug, Args)]
pub struct SimulateArguments {
    /// The experiment's plan.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The seeds from A to B, both included.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, default_value = "1..100")]
    pub seeds: (u64, u64),
    /// The faults of a profile instead of the plan's: calm, partitions, network, crashes, storage, clocks, storm.
    #[arg(long, value_name = "PROFILE")]
    pub nemesis: Option<String>,
    /// How many at a time; one for each core otherwise.
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZero<usize>>,
    /// Begin no further seed once one has not come as expected.
    #[arg(long)]
    pub fail_fast: bool,
    /// Begin no further seed once one was judged invalid.
    #[arg(long, conflicts_with = "fail_fast")]
    pub until_invalid: bool,
    /// Run each seed twice and fail if the two runs differ.
    #[arg(long)]
    pub twice: bool,
    /// Change one value of the plan, as `cluster.replicas=5`; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
    /// Show no progress bar.
    #[arg(long, short)]
    pub quiet: bool,
}

/// `viewstorm shrink`.
#[derive(Debug, Args)]
pub struct ShrinkArguments {
    /// The failing run's folder.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The check that must go on failing; otherwise any that fails.
    #[arg(long, value_name = "CHECK")]
    pub property: Option<String>,
    /// How many seeds each smaller plan gets to fail with.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// How many runs it may take in all.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `viewstorm reproduce`.
#[derive(Debug, Args)]
pub struct ReproduceArguments {
    /// The failing run's folder.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// How many simulated seeds to try.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
}

/// `viewstorm mutants`.
#[derive(Debug, Args)]
pub struct MutantsArguments {
    /// Only these mutants; all otherwise.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only see that every patch applies and compiles.
    #[arg(long)]
    pub check: bool,
    /// The world to run in: simulated or processes.
    #[arg(long, value_name = "KIND")]
    pub world: Option<String>,
    /// The experiment; otherwise the one that a mutant's story names (`Plan:`, `Processes:`), or else the storm in the
    /// simulator. Without names, processes run those mutants alone whose stories name an experiment for them.
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// How many seeds a campaign has at most; otherwise 2000 in the simulator and 3 on processes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: Option<u64>,
    /// How many runs a failing schedule may take to be shrunk; 0 for not at all.
    #[arg(long, value_name = "RUNS", default_value_t = 5000)]
    pub shrink: u64,
    /// How many campaigns, each with seeds of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub campaigns: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `viewstorm replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The run's folder.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// `viewstorm nightly`.
#[derive(Debug, Args)]
pub struct NightlyArguments {
    /// The night's plan.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The night's id, from which its seeds follow; the time of day otherwise.
    #[arg(long, value_parser = parse_night_id)]
    pub id: Option<String>,
    /// Where the folders of nights go.
    #[arg(long, value_name = "DIR", default_value = "nights")]
    pub out: PathBuf,
    /// How many minutes it may take, instead of the plan's budget.
    #[arg(long, value_parser = parse_minutes)]
    pub minutes: Option<std::time::Duration>,
    /// Print results.json instead of the summary.
    #[arg(long)]
    pub json: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// `viewstorm open`.
#[derive(Debug, Args)]
pub struct OpenArguments {
    /// The bundle.
    #[arg(value_name = "FILE")]
    pub bundle: PathBuf,
    /// Where the run's folder goes.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub into: PathBuf,
}

/// `viewstorm check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Run folders, history files (JSON lines, or Jepsen's EDN), folders of them, or `-` for standard input.
    #[arg(value_name = "DIR|FILE", required = true)]
    pub paths: Vec<PathBuf>,
    /// The sequential model, if the history does not name it: register, cas-register, multi-register, set,
    /// counter, queue, list, mutex, bank or list-append.
    #[arg(long)]
    pub model: Option<String>,
    /// Only these checks; all that apply otherwise.
    #[arg(long = "check", value_name = "NAME")]
    pub checks: Vec<String>,
    /// The history's format; otherwise what its name or its beginning says.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// In EDN, each value is a pair of a key and the value, also where it does not look so.
    #[arg(long)]
    pub keyed: bool,
    /// The state at first, in JSON: a register's value, the elements of a list, the balances of a bank.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    pub initial: Option<serde_json::Value>,
    /// Search also what another algorithm has decided: two that are independent have to agree.
    #[arg(long)]
    pub cross_check: bool,
    /// Write the history as EDN, to a file that is not there yet or `-`.
    #[arg(long, value_name = "FILE")]
    pub to_edn: Option<PathBuf>,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `viewstorm report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The run's folder.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// `viewstorm replica`.
#[derive(Debug, Args)]
pub struct ReplicaArguments {
    /// The replica's configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Run the message pattern of the protocol and nothing else, to be measured.
    #[arg(long, hide = true)]
    pub pattern: bool,
}

/// `viewstorm bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// What to measure.
    #[command(subcommand)]
    pub what: BenchVerb,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// The floors no system on this machine gets under: datagram and QUIC round trips, one hop through the
    /// relay, fdatasync, a signature.
    Floors(FloorsArguments),
    /// How fast VR is: its message pattern without VR over the same transport, the disk, then VR in each durability
    /// mode with 1, 64 and 512 clients, five replicas, and the time from a primary's end to the next answer.
    #[command(after_help = "Examples:\n  viewstorm bench vr\n  \
        viewstorm bench vr --repeats 5 --json")]
    Vr(BenchVrArguments),
}

/// `viewstorm bench vr`.
#[derive(Debug, Args)]
pub struct BenchVrArguments {
    /// How long each cell is measured each time, in seconds.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// How many times the whole table is measured; it shows the medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeats: u32,
    /// How many times the primary is killed.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub kills: u32,
    /// Only cells whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub only: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `viewstorm bench floors`.
#[derive(Debug, Args)]
pub struct FloorsArguments {
    /// Measure everything on one core: where the scheduler puts the threads changes a hop by a factor of four.
    #[arg(long)]
    pub pin: bool,
    /// How long each floor is measured, in seconds.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

fn parse_json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn parse_seeds(text: &str) -> Result<(u64, u64), String> {
    let error = || format!("\"{text}\" is no range of seeds: write 1..20");
    let (first, last) = text.split_once("..").ok_or_else(error)?;
    let first: u64 = first.parse().map_err(|_| error())?;
    let last: u64 = last.trim_start_matches('=').parse().map_err(|_| error())?;
    if first > last {
        return Err(format!(
            "the range {text} is empty: its first seed is the larger one"
        ));
    }
    Ok((first, last))
}

fn parse_night_id(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match text.len() {
        1..=64 if text.chars().all(is_plain) && !text.starts_with('.') => Ok(text.to_owned()),
        _ => Err("an id is 1 to 64 letters, digits, hyphens, underscores and dots".to_owned()),
    }
}

fn parse_minutes(text: &str) -> Result<std::time::Duration, String> {
    let minutes: f64 = text
        .parse()
        .map_err(|_| format!("\"{text}\" is no number of minutes"))?;
    if !(minutes > 0.0 && minutes <= 100_000.0) {
        return Err("a night takes more than 0 and at most 100000 minutes".to_owned());
    }
    Ok(std::time::Duration::from_secs_f64(minutes * 60.0))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_night_id_names_a_folder_and_nothing_else() {
        for right in ["2026-11-25", "12345", "a_b.c"] {
            assert!(parse_night_id(right).is_ok(), "{right}");
        }
        for wrong in ["", "..", "a/b", "a b", &"x".repeat(65)] {
            assert!(parse_night_id(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "-1", "NaN", "inf", "x"] {
            assert!(parse_minutes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seed_ranges_include_both_ends() {
        assert_eq!(parse_seeds("1..20"), Ok((1, 20)));
        assert_eq!(parse_seeds("7..7"), Ok((7, 7)));
        for wrong in ["", "1", "..", "2..1", "a..b", "-1..2"] {
            assert!(parse_seeds(wrong).is_err(), "{wrong}");
        }
    }
}
