//! `viewstorm bench`.

use std::time::Duration;

use super::Exit;
use super::arguments::{BenchArguments, BenchVerb, FloorsArguments};
use crate::bench::{Floor, measure};

pub(super) fn bench(arguments: &BenchArguments) -> anyhow::Result<Exit> {
    match &arguments.what {
        BenchVerb::Floors(arguments) => floors(arguments),
    }
}

fn floors(arguments: &FloorsArguments) -> anyhow::Result<Exit> {
    let seconds = arguments.seconds;
    if !(seconds.is_finite() && seconds > 0.0 && seconds <= 600.0) {
        eprintln!("viewstorm: --seconds {seconds}: write a number above 0, at most 600");
        return Ok(Exit::Plan);
    }
    let floors = measure(Duration::from_secs_f64(seconds))?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&floors)?);
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
            "one hop through the relay costs {:.2} plain hops",
            hops(direct, relayed)
        );
    }
    Ok(Exit::Expected)
}

/// A plain round trip is two hops. The relayed one has two more, each through the relay.
fn hops(direct: &Floor, relayed: &Floor) -> f64 {
    (relayed.p50_us - direct.p50_us) / direct.p50_us
}
