//! `metrics.prom` of a night: OpenMetrics text, for a scraper or a pushgateway.

use std::fmt::Write as _;

use viewstorm_checker::Validity;

use super::night::{Night, NightExperiment};
use crate::text;

/// One family of metrics over the experiments.
struct Family {
    name: &'static str,
    help: &'static str,
    unit: Option<&'static str>,
    of: fn(&NightExperiment) -> Option<f64>,
}

/// What is told of each experiment.
const FAMILIES: &[Family] = &[
    Family {
        name: "viewstorm_seeds",
        help: "Seeds that ran.",
        unit: None,
        of: |e| Some(e.seeds as f64),
    },
    Family {
        name: "viewstorm_seeds_invalid",
        help: "Seeds that were invalid.",
        unit: None,
        of: |e| Some(e.invalid as f64),
    },
    Family {
        name: "viewstorm_seeds_unknown",
        help: "Seeds that proved nothing.",
        unit: None,
        of: |e| Some(e.unknown as f64),
    },
    Family {
        name: "viewstorm_wall_seconds",
        help: "Time that the experiment took.",
        unit: Some("seconds"),
        of: |e| Some(e.wall_s),
    },
    Family {
        name: "viewstorm_throughput_operations_per_second",
        help: "Median of the acknowledged operations a second over runs whose figures are sound.",
        unit: None,
        of: |e| e.median(|f| f.throughput_ops_per_s),
    },
    Family {
        name: "viewstorm_latency_p50_seconds",
        help: "Median over runs of the median latency.",
        unit: Some("seconds"),
        of: |e| e.median(|f| f.latency_us_p50 / 1e6),
    },
    Family {
        name: "viewstorm_latency_p99_seconds",
        help: "Median over runs of the 99th percentile of latency.",
        unit: Some("seconds"),
        of: |e| e.median(|f| f.latency_us_p99 / 1e6),
    },
    Family {
        name: "viewstorm_runs_flagged",
        help: "Runs whose figures were taken on an overloaded machine.",
        unit: None,
        of: |e| Some(e.flagged() as f64),
    },
];

/// The file.
pub(super) fn metrics(night: &Night) -> String {
    let mut out = String::new();
    let id = label(&night.id);
    for family in FAMILIES {
        head(&mut out, family.name, family.help, family.unit);
        for experiment in &night.experiments {
            let Some(value) = (family.of)(experiment).filter(|value| value.is_finite()) else {
                continue;
            };
            // Writing to a string does not fail.
            let _ = writeln!(
                out,
                "{}{{night=\"{id}\",experiment=\"{}\",world=\"{}\"}} {value}",
                family.name,
                label(&experiment.name),
                label(&experiment.world)
            );
        }
    }
    let caught = night.canaries.iter().filter(|canary| canary.caught).count();
    let valid = u8::from(night.validity() == Validity::Valid);
    for (name, help, value) in [
        (
            "viewstorm_night_valid",
            "Whether the night was valid.",
            f64::from(valid),
        ),
        (
            "viewstorm_night_findings_new",
            "Failures that were not known.",
            night.new_findings().count() as f64,
        ),
        (
            "viewstorm_night_canaries",
            "Planted bugs and beyond-f faults that were tried.",
            night
                .canaries
                .iter()
                .filter(|canary| canary.seeds.is_some())
                .count() as f64,
        ),
        (
            "viewstorm_night_canaries_caught",
            "Those of them that were caught.",
            caught as f64,
        ),
        (
            "viewstorm_night_troubles",
            "Runs that the harness got wrong.",
            night.troubles.len() as f64,
        ),
    ] {
        head(&mut out, name, help, None);
        let _ = writeln!(out, "{name}{{night=\"{id}\"}} {value}");
    }
    out.push_str("# EOF\n");
    out
}

fn head(out: &mut String, name: &str, help: &str, unit: Option<&str>) {
    let _ = writeln!(out, "# TYPE {name} gauge");
    if let Some(unit) = unit {
        let _ = writeln!(out, "# UNIT {name} {unit}");
    }
    let _ = writeln!(out, "# HELP {name} {help}");
}

/// A label's value, escaped as the format wants it.
fn label(foreign: &str) -> String {
    text::one_line(foreign)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
}
