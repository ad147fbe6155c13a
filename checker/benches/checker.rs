//! Measures the checker: `cargo bench -p viewstorm-checker`, or with words that the rows must contain as arguments.
//!
//! Histories of an honest service are made in memory; each also with one stale read in the middle. A row is the
//! median of some runs, and the most memory that the process held meanwhile, the history included.

mod generate;

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use generate::{Size, Workload, generate, json_lines};
use viewstorm_checker::{CheckOptions, Validity, check_log};
use viewstorm_history::CallLog;

/// How often each row is measured.
const REPEATS: usize = 7;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "load average {}",
        load.split(' ').take(3).collect::<Vec<_>>().join(" ")
    );
    println!(
        "{:<58} {:>10} {:>10} {:>9}",
        "", "median", "least", "memory"
    );
    let rows = Rows { words };
    zones(&rows);
    searches(&rows);
    witnesses(&rows);
    parsing(&rows);
}

struct Rows {
    words: Vec<String>,
}

impl Rows {
    fn wants(&self, name: &str) -> bool {
        self.words.iter().all(|word| name.contains(word.as_str()))
    }

    /// Measures `work` on what `make` makes.
    fn row<T>(&self, name: &str, make: impl FnOnce() -> T, mut work: impl FnMut(&T)) {
        if !self.wants(name) {
            return;
        }
        let input = make();
        // Resets the high-water mark of the process' memory.
        let is_reset = fs::write("/proc/self/clear_refs", "5").is_ok();
        let before = cpu_ticks();
        let mut times: Vec<Duration> = (0..REPEATS)
            .map(|_| {
                let start = Instant::now();
                work(&input);
                start.elapsed()
            })
            .collect();
        let cpu = (cpu_ticks() - before) as f64 * TICK_MILLISECONDS / REPEATS as f64;
        times.sort_unstable();
        let memory = if is_reset { memory() } else { "?".to_owned() };
        let milliseconds = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        let (median, least) = (milliseconds(times[REPEATS / 2]), milliseconds(times[0]));
        println!("{name:<58} {median:>10} {least:>10} {cpu:>7.0} ms {memory:>9}");
    }
}

/// What the kernel counts processor time in.
const TICK_MILLISECONDS: f64 = 10.0;

/// The processor time of all threads so far.
fn cpu_ticks() -> u64 {
    const USER: usize = 11;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    fields
        .skip(USER)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map_or("?".to_owned(), |kilobytes| {
        format!("{} MB", kilobytes / 1024)
    })
}

/// One algorithm, linearizability alone.
fn alone() -> CheckOptions {
    CheckOptions {
        checks: vec!["linearizability".to_owned()],
        cross_check: false,
        ..CheckOptions::default()
    }
}

fn judge(log: &CallLog, expected: Validity, algorithm: &str) {
    let verdict = check_log(black_box(log), &alone()).expect("the model is there");
    let check = &verdict.checks[0];
    assert_eq!(check.validity, expected, "{:?}", check.reason);
    assert!(
        check.algorithms.iter().any(|it| it == algorithm),
        "{:?}",
        check.algorithms
    );
}

fn zones(rows: &Rows) {
    for (operations, keys) in [(100_000, 1), (1_000_000, 10), (1_000_000, 100)] {
        for clients in [5, 50] {
            for unknown in [0, 10, 50] {
                for is_bad in [false, true] {
                    let what = if is_bad {
                        "one stale read"
                    } else {
                        "linearizable"
                    };
                    let name = format!(
                        "zones: {operations} ops, {keys} keys, {clients} clients, {}% info, {what}",
                        unknown / 10
                    );
                    let size = Size {
                        keys,
                        clients,
                        operations,
                        unknown,
                    };
                    let expected = if is_bad {
                        Validity::Invalid
                    } else {
                        Validity::Valid
                    };
                    let make = || {
                        generate(
                            size,
                            Workload::Register { distinct: u64::MAX },
                            is_bad,
                            false,
                        )
                    };
                    rows.row(&name, make, |log| judge(log, expected, "zones"));
                }
            }
        }
    }
}

const MODELS: &[(&str, Workload)] = &[
    ("register", Workload::Register { distinct: 50 }),
    ("counter", Workload::Counter),
    ("queue", Workload::Queue),
    ("list", Workload::List),
    ("set", Workload::Set),
    ("mutex", Workload::Mutex),
];

fn searches(rows: &Rows) {
    for (model, workload) in MODELS {
        let name = format!("search: {model}, 100000 ops, 1 key, 5 clients");
        let size = Size {
            keys: 1,
            clients: 5,
            operations: 100_000,
            unknown: 0,
        };
        let make = || generate(size, *workload, false, false);
        rows.row(&name, make, |log| judge(log, Validity::Valid, "search"));
    }
}

fn witnesses(rows: &Rows) {
    for (model, workload) in MODELS {
        let name = format!("witness: {model}, 1000000 ops, 10 keys, 5 clients");
        let size = Size {
            keys: 10,
            clients: 5,
            operations: 1_000_000,
            unknown: 0,
        };
        let make = || generate(size, *workload, false, true);
        rows.row(&name, make, |log| {
            judge(log, Validity::Valid, "order-witness")
        });
    }
}

fn parsing(rows: &Rows) {
    let size = Size {
        keys: 10,
        clients: 5,
        operations: 1_000_000,
        unknown: 10,
    };
    let make = || {
        json_lines(&generate(
            size,
            Workload::Register { distinct: u64::MAX },
            false,
            true,
        ))
    };
    rows.row("parse: 1000000 ops of JSON lines", make, |text| {
        let log = CallLog::read_jsonl(text.as_slice()).expect("just written");
        assert!(black_box(log).calls.len() > 900_000);
    });
}
