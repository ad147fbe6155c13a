//! Whether a run shows anything: a claim about nothing is never valid.

use std::time::Duration;

use viewstorm_history::Kind;
use viewstorm_report::FaultRecord;

use super::operations::Operation;

/// How many operations must have ended ok for a run to show anything.
const OK_MIN: usize = 10;
/// How many must have been under way while a fault was applied for it to show anything of that fault.
const IN_PHASE_MIN: usize = 1;
/// A fault that was applied for less than this may fall between two operations.
const SHORT: Duration = Duration::from_millis(250);

/// Why the run would show nothing, or nothing of some fault. Where the plan has its clients fall silent
/// (`is_silent_at_times`), a fault in such a silence is what it is about, and what comes after the silence shows it.
pub(super) fn reservations(
    operations: &[Operation<'_>],
    faults: &[FaultRecord],
    is_silent_at_times: bool,
) -> Vec<String> {
    let mut reservations = Vec::new();
    let ok = operations.iter().filter(|one| one.kind == Kind::Ok).count();
    if ok < OK_MIN {
        reservations.push(format!(
            "{ok} operations ended ok: a run shows something from {OK_MIN} on"
        ));
    }
    if !faults.is_empty() && faults.iter().all(|fault| fault.injected_at_ns.is_none()) {
        let planned = faults.len();
        reservations.push(format!("of {planned} planned faults none was applied"));
    }
    if !is_silent_at_times {
        reservations.extend(faults.iter().filter_map(|fault| unseen(operations, fault)));
    }
    reservations
}

/// What is missing where too little was going on during a fault.
fn unseen(operations: &[Operation<'_>], fault: &FaultRecord) -> Option<String> {
    let (from, to) = fault.injected_at_ns.zip(fault.healed_at_ns)?;
    let length = to.saturating_since(from);
    if length < SHORT {
        return None;
    }
    let under_way = operations
        .iter()
        .filter(|one| one.due <= to && one.end >= from);
    let count = under_way.count();
    (count < IN_PHASE_MIN).then(|| {
        let (id, name) = (fault.id, &fault.name);
        format!("no operation was under way during fault {id}, {name}, from {from} to {to}")
    })
}

#[cfg(test)]
mod tests {
    use viewstorm_history::Timestamp;

    use super::*;

    fn operation(due: u64, end: u64, kind: Kind) -> Operation<'static> {
        Operation {
            f: "write",
            due: Timestamp(due),
            kind,
            end: Timestamp(end),
            is_final: false,
        }
    }

    fn fault(applied: Option<(u64, u64)>) -> FaultRecord {
        FaultRecord {
            name: "kill".to_owned(),
            injected_at_ns: applied.map(|(from, _)| Timestamp(from)),
            healed_at_ns: applied.map(|(_, to)| Timestamp(to)),
            ..FaultRecord::default()
        }
    }

    #[test]
    fn a_run_in_which_nothing_happened_shows_nothing() {
        let many: Vec<_> = (0..10).map(|at| operation(at, at + 1, Kind::Ok)).collect();
        assert_eq!(reservations(&many, &[], false), Vec::<String>::new());
        assert_eq!(reservations(&many[..9], &[], false).len(), 1);
        let unknown: Vec<_> = (0..10)
            .map(|at| operation(at, at + 1, Kind::Info))
            .collect();
        assert_eq!(reservations(&unknown, &[], false).len(), 1);
    }

    #[test]
    fn a_fault_shows_something_where_something_was_going_on() {
        let mut operations: Vec<_> = (0..10).map(|at| operation(at, at + 1, Kind::Ok)).collect();
        let fault = [fault(Some((1_000_000_000, 2_000_000_000)))];
        let missing = reservations(&operations, &fault, false);
        assert!(
            missing[0].contains("no operation was under way"),
            "{missing:?}"
        );
        // Clients that the plan lets fall silent are no reason for doubt.
        assert!(reservations(&operations, &fault, true).is_empty());
        // One that waited all the time, whatever became of it.
        operations.push(operation(900_000_000, u64::MAX, Kind::Info));
        assert!(reservations(&operations, &fault, false).is_empty());
    }

    #[test]
    fn faults_of_which_none_came_show_nothing() {
        let operations: Vec<_> = (0..10).map(|at| operation(at, at + 1, Kind::Ok)).collect();
        assert_eq!(reservations(&operations, &[fault(None)], false).len(), 1);
        let faults = [fault(None), fault(Some((0, 5)))];
        assert!(reservations(&operations, &faults, false).is_empty());
    }
}
