//! The ledger of the faults: what was planned, what was done, what shows it, and how the system
//! came back.

use maud::{Markup, html};
use viewstorm_history::Timestamp;

use super::faults::{MAX_FAULTS, fault_name};
use super::page::Sources;
use super::parts;
use crate::{FaultRecord, FaultRecovery, summary, units};

const COLUMNS: [&str; 9] = [
    "#",
    "Fault",
    "On",
    "Planned",
    "Applied",
    "Confirmed",
    "Healed",
    "Seen gone",
    "Back",
];

/// How many targets are named.
const MAX_TARGETS: usize = 8;

/// The section.
pub(super) fn ledger(sources: &Sources<'_>) -> Markup {
    let faults = &sources.results.faults;
    html! {
        section #faults {
            h2 { "Faults" }
            @if faults.is_empty() {
                p.note { "The plan holds no fault." }
            } @else {
                p.note {
                    "Times count from the start of the load. A stage is confirmed when a probe "
                    "showed it. Back: from the injection, and from the heal, to the next "
                    "acknowledged operation."
                }
                div.wide {
                    table.ledger {
                        thead { tr {
                            @for column in COLUMNS { th scope="col" { (column) } }
                        } }
                        @for fault in faults.iter().take(MAX_FAULTS) { (rows(sources, fault)) }
                    }
                }
                @if faults.len() > MAX_FAULTS {
                    p.note { (faults.len() - MAX_FAULTS) " more are in results.json." }
                }
            }
        }
    }
}

/// A fault's two rows: its stages, and what was seen.
fn rows(sources: &Sources<'_>, fault: &FaultRecord) -> Markup {
    let per_fault = &sources.results.recovery.per_fault;
    let recovery = per_fault.iter().find(|recovery| recovery.fault == fault.id);
    let at = |time| stage(time, sources.origin, fault.failure.is_some());
    // A trigger has no time of its own.
    let planned = match fault.planned_at_ns {
        Some(time) => html! { span.chip { (units::time(time, sources.origin)) } },
        None => html! { span.chip { "trigger" } },
    };
    let shortcoming = summary::shortcoming(fault);
    html! {
        tbody.fault #{ "fault-" (fault.id) } {
            tr {
                td.number data-label="#" { (fault.id) }
                td.name { (fault_name(&sources.faults, fault)) }
                td data-label="on" { (targets(fault)) }
                td data-label="planned" { (planned) }
                td data-label="applied" { (at(fault.injected_at_ns)) }
                td data-label="confirmed" { (at(fault.confirmed_at_ns)) }
                td data-label="healed" { (at(fault.healed_at_ns)) }
                td data-label="seen gone" { (at(fault.healed_confirmed_at_ns)) }
                td data-label="back" { (back(recovery)) }
            }
            @if fault.failure.is_some() || fault.evidence.is_some() || shortcoming.is_some()
                || fault.stays.is_some()
            {
                tr.evidence {
                    td {}
                    td colspan="8" {
                        @if let Some(shortcoming) = shortcoming {
                            span.chip.unknown { (shortcoming) } " "
                        }
                        @if let Some(stays) = &fault.stays {
                            span.chip { "outside the core" } " " (parts::foreign(stays)) ". "
                        }
                        @if let Some(failure) = &fault.failure {
                            span.failure { (parts::foreign(failure)) } " "
                        }
                        @if let Some(evidence) = &fault.evidence { (parts::foreign(evidence)) }
                    }
                }
            }
        }
    }
}

/// A stage as a chip: when it was reached, or that it was not.
fn stage(time: Option<Timestamp>, origin: Timestamp, has_failed: bool) -> Markup {
    match time {
        Some(time) => html! { span.chip.valid { (units::time(time, origin)) } },
        None if has_failed => html! { span.chip.invalid { "no" } },
        None => html! { span.chip.unknown { "no" } },
    }
}

fn targets(fault: &FaultRecord) -> Markup {
    let named: Vec<_> = fault
        .targets
        .iter()
        .take(MAX_TARGETS)
        .map(String::as_str)
        .collect();
    let mut text = named.join(", ");
    if fault.targets.len() > MAX_TARGETS {
        text = format!("{text} and {} more", fault.targets.len() - MAX_TARGETS);
    }
    html! {
        (parts::foreign(&text))
        @if fault.links > 0 {
            " " span.pair.muted { (units::plural(fault.links, "link")) }
        }
    }
}

fn back(recovery: Option<&FaultRecovery>) -> Markup {
    let figure = |nanos: Option<u64>| nanos.map_or_else(|| units::NONE.to_owned(), units::duration);
    html! {
        @match recovery {
            None => (units::NONE),
            Some(recovery) => {
                span.pair { span.muted { "injection " } (figure(recovery.after_inject_ns)) }
                span.pair { span.muted { "heal " } (figure(recovery.after_heal_ns)) }
            }
        }
    }
}
