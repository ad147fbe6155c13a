//! The first contradiction, told and drawn; the others, folded.

use std::collections::BTreeMap;

use maud::{Markup, html};
use viewstorm_checker::{CheckResult, Violation};
use viewstorm_history::{Kind, ProcessId, Timestamp};

use super::page::Sources;
use super::{frame, timeline};
use crate::chart::{Path, coordinate, time_ticks};
use crate::operations::Operation;
use crate::{summary, text, units};

/// The most violations that are told.
const MAX_VIOLATIONS: usize = 20;
/// How much of an explanation is told.
const EXPLANATION_CHARS: usize = 6000;
/// The most operations that are drawn; explanations have three to six.
const MAX_OPERATIONS: usize = 16;
/// How high an operation's row is, in pixels.
const ROW_PIXELS: usize = 44;
/// How much of an operation is written above its bar.
const LABEL_CHARS: usize = 60;

/// The section; nothing where nothing contradicts.
pub(super) fn contradictions(sources: &Sources<'_>) -> Markup {
    let Some((check, first)) = sources.results.first_violation() else {
        return html! {};
    };
    let others: Vec<_> = sources
        .results
        .verdict
        .checks
        .iter()
        .flat_map(|check| {
            check
                .violations
                .iter()
                .map(move |violation| (check, violation))
        })
        .filter(|(_, violation)| !std::ptr::eq(*violation, first))
        .collect();
    html! {
        section #contradiction {
            h2 { "First contradiction" }
            p { (title(check, first)) }
            p { (summary::sentence(&first.summary)) }
            (drawing(sources, first))
            (explanation(first))
            (timeline::timeline(sources, first))
            @if sources.origin > Timestamp::ZERO {
                p.note {
                    "Times in this section are those of the run's clock; the load began at "
                    (units::time(sources.origin, Timestamp::ZERO)) " on it."
                }
            }
            @if !others.is_empty() {
                details {
                    summary { (units::plural(others.len() as u64, "more violation")) }
                    @for (check, violation) in others.iter().take(MAX_VIOLATIONS) {
                        h3 { (title(check, violation)) }
                        (explanation(violation))
                    }
                    @if others.len() > MAX_VIOLATIONS {
                        p.note { "The rest are in results.json." }
                    }
                }
            }
        }
    }
}

fn title(check: &CheckResult, violation: &Violation) -> Markup {
    html! {
        span.chip.invalid { (summary::label(&violation.class)) }
        @if let Some(key) = &violation.key { " key " code { (summary::label(key)) } }
        " " span.muted {
            "violates " (summary::label(&check.check)) ", certain at "
            (units::time(violation.window.1, Timestamp::ZERO))
        }
    }
}

fn explanation(violation: &Violation) -> Markup {
    let story = text::shorten(
        &text::clean(violation.explanation.trim()),
        EXPLANATION_CHARS,
    );
    html! { pre.explanation tabindex="0" { (story) } }
}

/// The operations as intervals, one row each, those of one process together.
fn drawing(sources: &Sources<'_>, violation: &Violation) -> Markup {
    if violation.operations.is_empty() {
        // It is about something else: a process that ended, an invariant that broke.
        return html! {};
    }
    let mut operations = involved(sources.operations, violation);
    if operations.is_empty() {
        return html! { p.note { "The history does not hold the operations of this violation." } };
    }
    sort_by_process(&mut operations);
    let (from, to) = window(&operations);
    let span = to.0.saturating_sub(from.0).max(1) as f64;
    let place = |at: Timestamp| ((at.0 as f64 - from.0 as f64) / span).clamp(0.0, 1.0);
    let height = operations.len() * ROW_PIXELS;
    html! {
        figure.operations {
            div.frame style=(format!("height:{height}px")) {
                div.y {
                    @for (row, operation) in operations.iter().enumerate() {
                        @let is_first = row == 0
                            || operations[row - 1].invoke.process != operation.invoke.process;
                        @if is_first {
                            span style=(format!("top:{}px", row * ROW_PIXELS + 22)) {
                                "process " (operation.invoke.process.0)
                            }
                        }
                    }
                }
                div.plot role="img" aria-label="The operations, as intervals of time" {
                    (bars(sources, &operations, place))
                    @for (row, operation) in operations.iter().enumerate() {
                        @let (from, to) = (place(operation.invoke.time), place(end(operation, to)));
                        (label(row, operation, from, to))
                    }
                }
                (frame::x_ticks(&time_ticks(from, to, Timestamp::ZERO)))
            }
        }
    }
}

/// Those of one process together, the process that began first on top.
fn sort_by_process(operations: &mut [Operation<'_>]) {
    let mut begun: BTreeMap<ProcessId, Timestamp> = BTreeMap::new();
    for operation in operations.iter() {
        let first = begun
            .entry(operation.invoke.process)
            .or_insert(operation.invoke.time);
        *first = (*first).min(operation.invoke.time);
    }
    operations.sort_by_key(|operation| {
        let process = operation.invoke.process;
        (begun.get(&process).copied(), process, operation.invoke.time)
    });
}

/// The operations that a violation names.
fn involved<'a>(operations: &[Operation<'a>], violation: &Violation) -> Vec<Operation<'a>> {
    let is_named = |operation: &&Operation<'_>| violation.operations.contains(&operation.index);
    operations
        .iter()
        .filter(is_named)
        .take(MAX_OPERATIONS)
        .copied()
        .collect()
}

/// From a little before the first invoke to a little after the last end.
fn window(operations: &[Operation<'_>]) -> (Timestamp, Timestamp) {
    let from = operations
        .iter()
        .map(|operation| operation.invoke.time.0)
        .min()
        .unwrap_or(0);
    let known = operations
        .iter()
        .map(|operation| end(operation, operation.invoke.time).0);
    let to = known.max().unwrap_or(from).max(from);
    let margin = (to.saturating_sub(from) / 20).max(1);
    (
        Timestamp(from.saturating_sub(margin)),
        Timestamp(to.saturating_add(margin)),
    )
}

/// When an operation ended: of unknown outcome, it may take effect until the end of what is shown.
fn end(operation: &Operation<'_>, open: Timestamp) -> Timestamp {
    match (operation.outcome(), operation.end) {
        (Kind::Ok | Kind::Fail, Some(end)) => end.time,
        _ => open,
    }
}

fn bars(
    sources: &Sources<'_>,
    operations: &[Operation<'_>],
    place: impl Fn(Timestamp) -> f64,
) -> Markup {
    let rows = operations.len() as f64;
    let mut drawn: [Path; 3] = Default::default();
    for (row, operation) in operations.iter().enumerate() {
        let class = match operation.outcome() {
            Kind::Ok => 0,
            Kind::Fail => 1,
            Kind::Info | Kind::Invoke => 2,
        };
        let path = &mut drawn[class];
        let (low, high) = (
            1.0 - (row as f64 + 0.86) / rows,
            1.0 - (row as f64 + 0.6) / rows,
        );
        let from = place(operation.invoke.time);
        // What is too short to be seen gets the width of a stroke.
        let to = place(end(operation, Timestamp::MAX)).max(from + 0.003);
        path.move_to(from, low);
        path.line_to(from, high);
        path.line_to(to, high);
        path.line_to(to, low);
        path.close();
    }
    let bands = sources.faults.bands.iter().filter_map(|band| {
        let from = place(band.fault.injected_at_ns?);
        let to = band.fault.healed_at_ns.map_or(1.0, &place);
        (to > from).then_some((band, from, to))
    });
    html! {
        svg.stretched viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true" {
            @for (band, from, to) in bands {
                rect.band.{ "f" (band.color) } x=(coordinate(from * 1000.0)) y="0"
                    width=(coordinate((to - from) * 1000.0)) height="100"
                { title { (band.title()) } }
            }
            (frame::path("ok-bar", &drawn[0]))
            (frame::path("fail-bar", &drawn[1]))
            (frame::path("info-bar", &drawn[2]))
        }
    }
}

/// What an operation did, above its bar; on the right side it ends with the bar.
fn label(row: usize, operation: &Operation<'_>, from: f64, to: f64) -> Markup {
    let side = match from <= 0.5 {
        true => format!("left:{}%", coordinate(from * 100.0)),
        false => format!("right:{}%", coordinate((1.0 - to) * 100.0)),
    };
    let length = match operation.outcome() {
        Kind::Ok | Kind::Fail => {
            let nanos = end(operation, operation.invoke.time)
                .0
                .saturating_sub(operation.invoke.time.0);
            format!("took {}", units::duration(nanos))
        }
        Kind::Info | Kind::Invoke => "may take effect at any later time".to_owned(),
    };
    html! {
        span.operation style=(format!("{side};top:{}px", row * ROW_PIXELS + 4)) title=(length) {
            span.narrow { "p" (operation.invoke.process.0) " " }
            (text::shorten(&operation.label(), LABEL_CHARS))
        }
    }
}
