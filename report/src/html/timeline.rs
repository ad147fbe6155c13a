//! All that was done on the contradiction's key around it, to be looked at closely: a drawing that the script zooms
//! and moves.

use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};
use viewstorm_checker::Violation;
use viewstorm_history::{Kind, Timestamp};

use super::page::Sources;
use super::parts;
use crate::operations::Operation;
use crate::text;

/// The most operations that are drawn, the nearest to the contradiction first.
const MAX_OPERATIONS: usize = 600;
/// How much of an operation is written.
const LABEL_CHARS: usize = 80;
/// How much time is drawn before and after the contradiction, in its own length.
const AROUND: u64 = 4;

/// The timeline; nothing where the violation is about no operations. It needs the script.
pub(super) fn timeline(sources: &Sources<'_>, violation: &Violation) -> Markup {
    let drawn = around(sources, violation);
    if drawn.is_empty() {
        return html! {};
    }
    let data = parts::script_json(&data(&drawn, violation));
    html! {
        div.scripted hidden #timeline {
            p {
                "Around it: every operation on the key, one row a process. Drag to move, turn the wheel or press "
                "+ and − to zoom. "
                button type="button" #timeline-jump { "Jump to the first contradiction" }
            }
            div.closeup tabindex="0" role="img" aria-label="Operations around the contradiction" {}
        }
        script type="application/json" #timeline-data { (PreEscaped(data)) }
    }
}

/// What overlaps the time around the contradiction, on its key or among its operations.
fn around<'a>(sources: &'a Sources<'_>, violation: &Violation) -> Vec<Operation<'a>> {
    let is_named = |operation: &Operation<'_>| violation.operations.contains(&operation.index);
    if !sources.operations.iter().any(is_named) {
        return Vec::new();
    }
    let (from, to) = (violation.window.0.0, violation.window.1.0);
    let margin = to.saturating_sub(from).max(1).saturating_mul(AROUND);
    let (first, last) = (from.saturating_sub(margin), to.saturating_add(margin));
    let is_near = |operation: &&Operation<'_>| {
        let is_of_key = violation.key.is_none() || operation.invoke.key == violation.key;
        let ends = operation.end.map_or(operation.invoke.time, |end| end.time);
        is_named(operation) || (is_of_key && operation.invoke.time.0 <= last && ends.0 >= first)
    };
    let mut near: Vec<Operation<'_>> = sources.operations.iter().filter(is_near).copied().collect();
    let distance = |operation: &Operation<'_>| {
        let at = operation.invoke.time.0;
        (
            !is_named(operation),
            from.saturating_sub(at).max(at.saturating_sub(to)),
        )
    };
    near.sort_by_key(distance);
    near.truncate(MAX_OPERATIONS);
    near.sort_by_key(|operation| operation.invoke.time);
    near
}

/// Rows of `[process, from, to, outcome, named, label]`, times in nanoseconds from the first.
fn data(drawn: &[Operation<'_>], violation: &Violation) -> Value {
    let origin = drawn
        .first()
        .map_or(Timestamp::ZERO, |first| first.invoke.time)
        .0;
    let row = |operation: &Operation<'_>| {
        let outcome = match operation.outcome() {
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info | Kind::Invoke => "info",
        };
        let end = operation.end.filter(|_| outcome != "info");
        json!([
            operation.invoke.process.0,
            operation.invoke.time.0.saturating_sub(origin),
            end.map(|end| end.time.0.saturating_sub(origin)),
            outcome,
            violation.operations.contains(&operation.index),
            text::shorten(&operation.label(), LABEL_CHARS),
        ])
    };
    json!({
        "origin": origin,
        "from": violation.window.0.0.saturating_sub(origin),
        "to": violation.window.1.0.saturating_sub(origin),
        "rows": drawn.iter().map(row).collect::<Vec<_>>(),
    })
}
