//! The fault ledger, put together from the faults' events in a history.

use std::collections::BTreeMap;

use serde_json::Value;
use viewstorm_history::{FaultEvent, History, Stage, Timestamp};
use viewstorm_report::{FaultRecord, FaultTotals};

use super::measures::Phase;

/// What became of every fault, in the order of the plan.
pub(super) fn ledger(history: &History) -> Vec<FaultRecord> {
    let mut records: BTreeMap<u64, FaultRecord> = BTreeMap::new();
    for event in &history.faults {
        let record = records.entry(event.fault).or_insert_with(|| FaultRecord {
            id: event.fault,
            name: event.f.clone(),
            ..FaultRecord::default()
        });
        take(record, event);
    }
    records.into_values().collect()
}

fn take(record: &mut FaultRecord, event: &FaultEvent) {
    let text = |field: &str| {
        event
            .value
            .get(field)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let list = |field: &str| event.value.get(field).and_then(Value::as_array).cloned();
    let at = Some(event.time);
    match event.stage {
        Stage::Plan => {
            let mut description = text("description").unwrap_or_default();
            if let Some(name) = text("name") {
                description = format!("{name}: {description}");
            }
            record.description = description;
            record.planned_at_ns = event.value.get("at").and_then(Value::as_u64).map(Timestamp);
        }
        Stage::Inject => {
            record.injected_at_ns = at;
            let targets = list("targets").unwrap_or_default();
            record.targets = targets
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            record.links = list("links").map_or(0, |links| links.len() as u64);
        }
        Stage::Confirm => {
            record.confirmed_at_ns = at;
            record.evidence = text("evidence");
        }
        Stage::Heal => {
            record.stays = text("stays");
            let is_whole = event.value.get("whole").and_then(Value::as_bool) == Some(true);
            record.healed_at_ns = at.filter(|_| !is_whole);
        }
        Stage::Healed => {
            record.healed_confirmed_at_ns = at;
            if let Some(evidence) = text("evidence") {
                let before = record.evidence.take();
                let before = before
                    .map(|before| format!("{before}; "))
                    .unwrap_or_default();
                record.evidence = Some(format!("{before}{evidence}"));
            }
        }
        Stage::Failed => {
            let failure = text("failure").unwrap_or_else(|| "failed".to_owned());
            let is_others = event.value.get("overlapped").and_then(Value::as_bool) == Some(true);
            record.overlapped = is_others && (record.failure.is_none() || record.overlapped);
            record.hidden |= event.value.get("hidden").and_then(Value::as_bool) == Some(true);
            record.failure = Some(match record.failure.take() {
                Some(before) => format!("{before}; {failure}"),
                None => failure,
            });
        }
    }
}

/// The sums over a ledger.
pub(super) fn totals(ledger: &[FaultRecord]) -> FaultTotals {
    let count =
        |is: fn(&FaultRecord) -> bool| ledger.iter().filter(|fault| is(fault)).count() as u64;
    FaultTotals {
        planned: ledger.len() as u64,
        applied: count(|fault| fault.injected_at_ns.is_some()),
        confirmed: count(|fault| fault.confirmed_at_ns.is_some()),
        healed: count(|fault| fault.healed_confirmed_at_ns.is_some()),
    }
}

/// When the last fault was taken back; none if there was none. One that stays for ever goes on from the final heal
/// as part of the world.
pub(super) fn last_heal(ledger: &[FaultRecord], final_heal: Timestamp) -> Option<Timestamp> {
    let over = |fault: &FaultRecord| {
        fault
            .healed_at_ns
            .or(fault.stays.as_ref().map(|_| final_heal))
    };
    ledger.iter().filter_map(over).max()
}

/// The time of each fault that was applied, until it was taken back or the load ended.
pub(super) fn windows(ledger: &[FaultRecord], load_end: Timestamp) -> Vec<Phase> {
    let window = |fault: &FaultRecord| {
        let from = fault.injected_at_ns?;
        let hit = if fault.targets.is_empty() { "" } else { " of " };
        let name = format!(
            "during {} {}{hit}{}",
            fault.id,
            fault.name,
            fault.targets.join(", ")
        );
        let to = fault.healed_at_ns.unwrap_or(load_end);
        Some(Phase {
            name,
            from,
            to: to.max(from),
        })
    };
    ledger.iter().filter_map(window).collect()
}

/// Why a fault keeps a run from being valid; none if it went as planned, if its time never came, or if other
/// faults, which are shown themselves, were all that stood in its way.
pub(super) fn reservation(fault: &FaultRecord) -> Option<String> {
    let stays_whole = fault.stays.is_some() && fault.healed_at_ns.is_none();
    let is_gone = fault.healed_at_ns.is_none() || fault.healed_confirmed_at_ns.is_some();
    if fault.overlapped && (is_gone || fault.hidden) {
        return None;
    }
    let what = match (&fault.failure, fault.injected_at_ns, fault.confirmed_at_ns) {
        (Some(failure), ..) => failure.clone(),
        (None, Some(_), None) => "applied, and never shown to have taken effect".to_owned(),
        (None, Some(_), Some(_)) if fault.healed_confirmed_at_ns.is_none() && !stays_whole => {
            "never shown to be gone".to_owned()
        }
        _ => return None,
    };
    Some(format!("fault {} ({}): {what}", fault.id, fault.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use viewstorm_history::Stage::{Confirm, Failed, Heal, Healed, Inject, Plan};

    use super::*;

    fn event(fault: u64, time: u64, stage: Stage, value: Value) -> FaultEvent {
        let (index, f, time) = (None, "partition".to_owned(), Timestamp(time));
        FaultEvent {
            index,
            time,
            fault,
            f,
            stage,
            value,
            extra: serde_json::Map::new(),
        }
    }

    fn history(faults: Vec<FaultEvent>) -> History {
        History {
            faults,
            ..History::default()
        }
    }

    #[test]
    fn a_fault_that_goes_its_way_leaves_no_reservation() {
        let ledger = ledger(&history(vec![
            event(3, 0, Plan, json!({ "description": "halves", "at": 5 })),
            event(
                3,
                6,
                Inject,
                json!({ "targets": ["r1"], "links": [["r0", "r1"]] }),
            ),
            event(3, 7, Confirm, json!({ "evidence": "silence" })),
            event(3, 20, Heal, Value::Null),
            event(3, 21, Healed, json!({ "evidence": "probes arrive" })),
        ]));
        assert_eq!(ledger.len(), 1);
        assert_eq!(
            ledger[0].evidence.as_deref(),
            Some("silence; probes arrive")
        );
        assert_eq!(
            (ledger[0].links, ledger[0].planned_at_ns),
            (1, Some(Timestamp(5)))
        );
        assert_eq!(reservation(&ledger[0]), None);
        assert_eq!(last_heal(&ledger, Timestamp(90)), Some(Timestamp(20)));
        let window = &windows(&ledger, Timestamp(99))[0];
        assert_eq!((window.from, window.to), (Timestamp(6), Timestamp(20)));
    }

    #[test]
    fn what_stays_outside_a_core_is_no_shortcoming() {
        let begin = [
            event(0, 1, Inject, json!({ "targets": ["r1"] })),
            event(0, 2, Confirm, json!({ "evidence": "silence" })),
        ];
        let stays = |whole| json!({ "stays": "cut stay r0->r1", "whole": whole });
        let whole = [&begin[..], &[event(0, 9, Heal, stays(true))]].concat();
        let whole = ledger(&history(whole));
        assert_eq!(
            (reservation(&whole[0]), whole[0].healed_at_ns),
            (None, None)
        );
        assert_eq!(last_heal(&whole, Timestamp(9)), Some(Timestamp(9)));
        // The part that was taken back is to be shown gone all the same.
        let part = [&begin[..], &[event(0, 9, Heal, stays(false))]].concat();
        assert!(reservation(&ledger(&history(part))[0]).is_some());
    }

    #[test]
    fn what_could_not_be_shown_is_a_reservation() {
        let inject = || event(0, 1, Inject, Value::Null);
        let cases = [
            vec![inject()],
            vec![
                inject(),
                event(0, 2, Confirm, Value::Null),
                event(0, 3, Heal, Value::Null),
            ],
            vec![event(
                0,
                1,
                Failed,
                json!({ "failure": "not applied: no primary" }),
            )],
        ];
        for events in cases {
            assert!(reservation(&ledger(&history(events))[0]).is_some());
        }
        let never_reached = vec![event(0, 0, Plan, Value::Null)];
        assert_eq!(reservation(&ledger(&history(never_reached))[0]), None);
    }
}
