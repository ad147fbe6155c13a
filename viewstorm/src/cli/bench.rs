//! `viewstorm bench`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::Exit;
use super::arguments::{BenchArguments, BenchVerb, BenchVrArguments, FloorsArguments};
use crate::bench::{Floor, VrBenchOptions, measure, measure_vr, relay_rate};

pub(super) fn bench(arguments: &BenchArguments) -> anyhow::Result<Exit> {
    match &arguments.what {
        BenchVerb::Floors(arguments) => floors(arguments),
        BenchVerb::Vr(arguments) => vr(arguments),
    }
}

fn vr(arguments: &BenchVrArguments) -> anyhow::Result<Exit> {
    let seconds = arguments.seconds;
    if !(seconds.is_finite() && seconds > 0.0 && seconds <= 600.0) {
        eprintln!("viewstorm: --seconds {seconds}: write a number above 0, at most 600");
        return Ok(Exit::Plan);
    }
    let options = VrBenchOptions {
        length: Duration::from_secs_f64(seconds),
        repeats: arguments.repeats,
        kills: arguments.kills,
        only: arguments.only.clone(),
    };
    let executable = std::env::current_exe().context("this program")?;
    let bench = measure_vr(&options, &executable, Path::new("."))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&bench)?);
        return Ok(Exit::Expected);
    }
    let [before, after] = bench.load_average;
    println!("load average {before:.2} before, {after:.2} after");
    println!(
        "{:<36} {:>10} {:>10} {:>10}  bound",
        "cell", "op/s", "p50 us", "p99 us"
    );
    let sync = "fdatasync, three writers";
    println!("{sync:<36} {:>10} {:>10.0}", "", bench.fdatasync_us);
    for cell in &bench.cells {
        let bound = cell.bound.as_ref().map_or(String::new(), |(words, met)| {
            format!("{words}: {}", if *met { "met" } else { "missed" })
        });
        println!(
            "{:<36} {:>10.0} {:>10.0} {:>10.0}  {bound}",
            cell.name, cell.ops_per_second, cell.p50_us, cell.p99_us
        );
    }
    if let Some(failover) = &bench.failover {
        let met = failover.p90_ms <= failover.bound_ms;
        println!(
            "failover, {} kills: p50 {:.0} ms, p90 {:.0} ms, max {:.0} ms; p90 at most {:.0} ms: {}",
            failover.kills,
            failover.p50_ms,
            failover.p90_ms,
            failover.max_ms,
            failover.bound_ms,
            if met { "met" } else { "missed" }
        );
    }
    Ok(Exit::Expected)
}

fn floors(arguments: &FloorsArguments) -> anyhow::Result<Exit> {
    let seconds = arguments.seconds;
    if !(seconds.is_finite() && seconds > 0.0 && seconds <= 600.0) {
        eprintln!("viewstorm: --seconds {seconds}: write a number above 0, at most 600");
        return Ok(Exit::Plan);
    }
    let length = Duration::from_secs_f64(seconds);
    if arguments.pin {
        pin()?;
    }
    let floors = measure(length)?;
    let rate = relay_rate(length)?;
    if arguments.json {
        let all = serde_json::json!({ "floors": floors, "relay": rate, "pinned": arguments.pin });
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(Exit::Expected);
    }
    println!(
        "{:<42} {:>10} {:>10} {:>10} {:>9}",
        "floor", "p50 us", "p99 us", "min us", "count"
    );
    for Floor {
        name,
        count,
        p50_us,
        p99_us,
        min_us,
    } in &floors
    {
        println!("{name:<42} {p50_us:>10.1} {p99_us:>10.1} {min_us:>10.1} {count:>9}");
    }
    if let [direct, relayed, ..] = floors.as_slice() {
        println!(
            "one hop through the relay costs {:.2} plain hops{}",
            hops(direct, relayed),
            if arguments.pin {
                ", all on one core"
            } else {
                "; --pin takes the scheduler's part out of it"
            }
        );
    }
    println!(
        "the relay carries {:.0} datagrams/s here, {:.0} for each second of its own on a core",
        rate.per_second(),
        rate.per_core_second()
    );
    Ok(Exit::Expected)
}

/// Keeps this thread, and those that it starts from now on, on one core.
fn pin() -> anyhow::Result<()> {
    let mut first = rustix::thread::CpuSet::new();
    let allowed = rustix::thread::sched_getaffinity(None)?;
    let core = (0..rustix::thread::CpuSet::MAX_CPU).find(|core| allowed.is_set(*core));
    first.set(core.unwrap_or_default());
    rustix::thread::sched_setaffinity(None, &first)?;
    Ok(())
}

/// A plain round trip is two hops. The relayed one has two more, each through the relay.
fn hops(direct: &Floor, relayed: &Floor) -> f64 {
    (relayed.p50_us - direct.p50_us) / direct.p50_us
}
