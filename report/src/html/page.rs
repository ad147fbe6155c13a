//! The whole page, in the order in which it is read.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::json;
use viewstorm_history::{History, Timestamp};

use super::faults::{Faults, drawn_views};
use super::percentiles::Plot;
use super::{banner, contradiction, facts, ledger, parts, percentiles, tables, time};
use crate::operations::Operation;
use crate::series::Series;
use crate::{Results, distribution, summary, text};

pub(super) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const TIMELINE: &str = include_str!("timeline.js");

/// Forbids the page to fetch anything, whatever stands in it.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// What the sections draw from.
pub(super) struct Sources<'a> {
    pub(super) results: &'a Results,
    pub(super) operations: &'a [Operation<'a>],
    /// When the load began: times count from here.
    pub(super) origin: Timestamp,
    pub(super) series: Series,
    pub(super) faults: Faults<'a>,
}

/// The file. Times count from `origin`.
pub(crate) fn page(
    results: &Results,
    history: &History,
    operations: &[Operation<'_>],
    origin: Timestamp,
) -> String {
    let series = Series::new(operations, origin, end_of(results, operations, origin));
    let faults = Faults::new(results, &series);
    let sources = Sources {
        results,
        operations,
        origin,
        series,
        faults,
    };
    let plots = plots(&sources);
    let title = format!(
        "{} · {} · viewstorm",
        results.outcome.validity,
        summary::label(&results.run.experiment)
    );
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (banner::banner(&sources, history))
                    (contradiction::contradictions(&sources))
                    (time::time(&sources))
                    (percentiles::section(&plots))
                    (ledger::ledger(&sources))
                    (tables::checks(results))
                    (tables::latency(&sources))
                    (facts::reproduce(results))
                    (facts::machine(results))
                }
                footer { (footer(results)) }
                script type="application/json" id="data" { (PreEscaped(data(&sources, &plots))) }
                script { (PreEscaped(SCRIPT)) (PreEscaped(TIMELINE)) }
            }
        }
    };
    markup.into_string()
}

fn plots(sources: &Sources<'_>) -> Vec<Plot> {
    let phases = &sources.results.phases;
    let measured_from = summary::measured_from(sources.results).unwrap_or(sources.origin);
    let overall = distribution::overall(sources.operations, measured_from);
    let kinds = distribution::by_kind(sources.operations, measured_from);
    let by_phase = match phases.len() > distribution::MAX_CURVES {
        true => "by phase of the run: the first and the last",
        false => "by phase of the run",
    };
    let phases = distribution::by_phase(sources.operations, phases);
    Plot::all(
        overall,
        [("by kind of operation", kinds), (by_phase, phases)],
    )
}

/// Where the charts end: with the last thing that happened under load.
fn end_of(results: &Results, operations: &[Operation<'_>], origin: Timestamp) -> Timestamp {
    let under_load = operations.iter().filter(|operation| !operation.is_final());
    let ends = under_load.map(|operation| operation.end.unwrap_or(operation.invoke).time);
    let faults = results.faults.iter().flat_map(|fault| {
        [
            fault.injected_at_ns,
            fault.healed_at_ns,
            fault.healed_confirmed_at_ns,
        ]
    });
    let phases = results.phases.iter().map(|phase| phase.to_ns);
    let last = ends.chain(faults.flatten()).chain(phases).max();
    last.unwrap_or(Timestamp(results.run.duration_ns))
        .max(origin)
}

fn footer(results: &Results) -> Markup {
    html! {
        "viewstorm " (text::one_line(&results.run.version))
        @if let Some(commit) = &results.run.commit { " · " code { (summary::label(commit)) } }
        " · results.json version " (results.schema_version)
    }
}

/// What the script shows under the pointer: the buckets and the curves, as numbers.
fn data(sources: &Sources<'_>, plots: &[Plot]) -> String {
    let series = &sources.series;
    let origin = sources.origin;
    let seconds = |at: Timestamp| (at.0 as f64 - origin.0 as f64) / 1e9;
    let latency = |of: fn(&crate::series::BucketLatency) -> u64| -> Vec<Option<u64>> {
        // Microseconds are enough to read.
        series
            .buckets
            .iter()
            .map(|bucket| Some(of(bucket.latency.as_ref()?) / 1000))
            .collect()
    };
    let counts = |of: fn(&crate::series::Bucket) -> u64| -> Vec<u64> {
        series.buckets.iter().map(of).collect()
    };
    let faults: Vec<_> = sources
        .faults
        .bands
        .iter()
        .map(|band| {
            json!({"from": round(band.from), "to": round(band.to), "color": band.color,
               "name": summary::fault_title(band.fault)})
        })
        .collect();
    let views: Vec<_> = drawn_views(sources.results, series)
        .iter()
        .map(|view| json!([round(series.fraction(view.at_ns)), view.view, view.primary]))
        .collect();
    let data = json!({
        "from": seconds(series.from),
        "to": seconds(series.to),
        "width": series.width as f64 / 1e9,
        "p50": latency(|latency| latency.p50),
        "p99": latency(|latency| latency.p99),
        "max": latency(|latency| latency.max),
        "ok": counts(|bucket| bucket.ok),
        "fail": counts(|bucket| bucket.fail),
        "info": counts(|bucket| bucket.info),
        "faults": faults,
        "views": views,
        "plots": plots.iter().map(Plot::data).collect::<Vec<_>>(),
    });
    parts::script_json(&data)
}

/// To a hundredth of a drawing's unit.
fn round(fraction: f64) -> f64 {
    (fraction * 1e5).round() / 1e5
}

#[cfg(test)]
mod tests;
