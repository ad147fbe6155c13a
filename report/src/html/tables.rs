//! Checks and bounds, and latency per phase and per kind of operation.

use maud::{Markup, html};
use viewstorm_checker::CheckResult;

use super::page::Sources;
use super::parts::{self, verdict_chip};
use crate::{Counts, Latency, Results, summary, units};

/// The most rows of a table.
const MAX_ROWS: usize = 100;

/// The checks, and the bounds of the plan.
pub(super) fn checks(results: &Results) -> Markup {
    html! {
        section #checks {
            h2 { "Checks" }
            @if results.verdict.checks.is_empty() {
                p.note { "No check was asked for." }
            } @else {
                div.wide { table.checks {
                    thead { tr {
                        th scope="col" { "Check" } th scope="col" { "Verdict" }
                        th.number scope="col" { "Judged" } th scope="col" { "Decided by" }
                        th scope="col" { "Note" }
                    } }
                    tbody {
                        @for check in &results.verdict.checks {
                            tr {
                                th scope="row" { (summary::label(&check.check)) }
                                td { (verdict_chip(check.validity)) }
                                td.number { (units::count(check.judged)) }
                                td { (parts::foreign(&check.algorithms.join(", "))) }
                                td.text { (note(check)) }
                            }
                        }
                    }
                } }
            }
            (bounds(results))
        }
    }
}

/// What a check found, or why it found nothing.
fn note(check: &CheckResult) -> Markup {
    html! {
        @if let Some((first, others)) = check.violations.split_first() {
            (parts::foreign(&first.summary)) " "
            @if !others.is_empty() {
                span.muted {
                    "(and " (units::plural(others.len() as u64, "more violation")) ") "
                }
            }
        }
        @if let Some(reason) = &check.reason { (parts::foreign(reason)) }
    }
}

fn bounds(results: &Results) -> Markup {
    html! {
        @if !results.bounds.is_empty() {
            h3 { "Bounds of the plan" }
            div.wide { table.bounds {
                thead { tr {
                    th scope="col" { "Bound" } th.number scope="col" { "Limit" }
                    th.number scope="col" { "Measured" } th scope="col" { "" }
                } }
                tbody {
                    @for bound in &results.bounds {
                        tr {
                            th scope="row" { (summary::label(&bound.name)) }
                            td.number { (summary::label(&bound.limit)) }
                            @let measured = bound.measured.as_deref().unwrap_or(units::NONE);
                            td.number { (summary::label(measured)) }
                            td {
                                @match (bound.met, bound.judged) {
                                    (true, _) => span.chip.valid { "met" },
                                    (false, true) => span.chip.invalid { "missed" },
                                    (false, false) => span.chip.unknown { "missed, not judged" },
                                }
                            }
                        }
                    }
                }
            } }
        }
    }
}

/// Counts and latencies: of everything, per kind and per phase.
pub(super) fn latency(sources: &Sources<'_>) -> Markup {
    let results = sources.results;
    let rate = Some(results.throughput_ops_per_s);
    html! {
        section #figures {
            h2 { "Figures" }
            div.wide { table.latency {
                (head("Operations"))
                tbody {
                    (row(&html! { "all" }, rate, &results.counts, &results.latency))
                    @for kind in results.kinds.iter().take(MAX_ROWS) {
                        @let name = html! { (summary::label(&kind.f)) };
                        (row(&name, None, &kind.counts, &kind.latency))
                    }
                }
                @if !results.phases.is_empty() {
                    (head("Phase"))
                    tbody.phases {
                        @for phase in results.phases.iter().take(MAX_ROWS) {
                            @let name = html! {
                                (summary::label(&phase.name)) " "
                                span.muted {
                                    (units::time(phase.from_ns, sources.origin)) " to "
                                    (units::time(phase.to_ns, sources.origin))
                                }
                            };
                            @let rate = Some(phase.throughput_ops_per_s);
                            (row(&name, rate, &phase.counts, &phase.latency))
                        }
                    }
                }
            } }
            p.note {
                "The first row counts every operation. Its rate and latencies, and the kinds, are "
                "of the measured part of the run: after the warm-up, without the reads of the final "
                "state. Latency counts from when an operation was due to its ok; an operation "
                "belongs to the phases in which it was due."
            }
        }
    }
}

fn head(first: &str) -> Markup {
    let columns = [
        "ok", "fail", "info", "rate", "p50", "p90", "p99", "p99.9", "max",
    ];
    html! {
        thead { tr {
            th scope="col" { (first) }
            @for column in columns { th.number scope="col" { (column) } }
        } }
    }
}

fn row(name: &Markup, rate: Option<f64>, counts: &Counts, latency: &Latency) -> Markup {
    let quantiles = [
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
        latency.p99_9_us,
        latency.max_us,
    ];
    html! {
        tr {
            th scope="row" { (name) }
            td.number { (units::count(counts.ok)) }
            td.number { (units::count(counts.fail)) }
            td.number { (units::count(counts.info)) }
            td.number { (rate.map_or_else(|| units::NONE.to_owned(), units::rate)) }
            @for quantile in quantiles {
                td.number {
                    @if latency.count == 0 { (units::NONE) } @else { (units::micros(quantile)) }
                }
            }
        }
    }
}
