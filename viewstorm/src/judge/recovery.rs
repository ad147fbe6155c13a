//! How the system came back: after the last heal, after each fault, and what its longest outage was.

use viewstorm_history::{Kind, Timestamp};
use viewstorm_report::{FaultRecord, FaultRecovery, Outage, Recovery};

use super::operations::Operation;

/// What can be said of the recovery. `healed_at` is when the last fault was taken back.
pub(super) fn recovery(
    operations: &[Operation<'_>],
    faults: &[FaultRecord],
    healed_at: Option<Timestamp>,
    load: (Timestamp, Timestamp),
) -> Recovery {
    let mut acknowledged: Vec<Timestamp> = operations
        .iter()
        .filter(|operation| operation.kind == Kind::Ok)
        .map(|operation| operation.end)
        .collect();
    acknowledged.sort_unstable();
    let next_after = |from: Timestamp| {
        let next = acknowledged.get(acknowledged.partition_point(|at| *at <= from))?;
        u64::try_from(next.saturating_since(from).as_nanos()).ok()
    };
    let of_fault = |fault: &FaultRecord| FaultRecovery {
        fault: fault.id,
        after_inject_ns: fault.injected_at_ns.and_then(next_after),
        after_heal_ns: fault.healed_at_ns.and_then(next_after),
    };
    Recovery {
        final_heal_at_ns: healed_at,
        after_final_heal_ns: healed_at.and_then(next_after),
        longest_outage: longest_outage(operations, load),
        per_fault: faults.iter().map(of_fault).collect(),
    }
}

/// The longest time under load in which operations waited and none was acknowledged.
fn longest_outage(
    operations: &[Operation<'_>],
    (start, end): (Timestamp, Timestamp),
) -> Option<Outage> {
    /// In the order in which things of one time are looked at.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Change {
        Acknowledged,
        GivenUp,
        Due,
    }
    let mut changes = Vec::with_capacity(2 * operations.len());
    for operation in operations.iter().filter(|operation| !operation.is_final) {
        changes.push((operation.due, Change::Due));
        changes.push(match operation.kind {
            Kind::Ok => (operation.end, Change::Acknowledged),
            _ => (operation.end, Change::GivenUp),
        });
    }
    changes.sort_unstable();
    let (mut waiting, mut since, mut longest) = (0_u64, start, None::<Outage>);
    let mut close = |from: Timestamp, to: Timestamp| {
        let outage = Outage {
            from_ns: from,
            to_ns: to.min(end),
        };
        let length = |outage: &Outage| outage.to_ns.saturating_since(outage.from_ns);
        if longest
            .as_ref()
            .is_none_or(|longest| length(&outage) > length(longest))
        {
            longest = Some(outage);
        }
    };
    for (time, change) in changes.into_iter().filter(|(time, _)| *time <= end) {
        match change {
            Change::Due => {
                if waiting == 0 {
                    since = since.max(time);
                }
                waiting += 1;
            }
            Change::GivenUp => waiting -= 1,
            Change::Acknowledged => {
                close(since, time);
                waiting -= 1;
                since = time;
            }
        }
    }
    if waiting > 0 {
        close(since, end);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(due: u64, end: u64, kind: Kind) -> Operation<'static> {
        let (due, end) = (Timestamp(due), Timestamp(end));
        Operation {
            f: "read",
            due,
            kind,
            end,
            is_final: false,
        }
    }

    #[test]
    fn an_outage_counts_only_while_somebody_waits() {
        let operations = [
            operation(0, 10, Kind::Ok),
            // Nobody waits from 10 to 500.
            operation(500, 560, Kind::Ok),
            operation(510, 700, Kind::Info),
            operation(600, 710, Kind::Ok),
        ];
        let outage = longest_outage(&operations, (Timestamp(0), Timestamp(1000)));
        assert_eq!(
            outage,
            Some(Outage {
                from_ns: Timestamp(560),
                to_ns: Timestamp(710)
            })
        );
    }

    #[test]
    fn an_outage_may_last_to_the_end() {
        let operations = [
            operation(0, 10, Kind::Ok),
            operation(20, u64::MAX, Kind::Info),
        ];
        let outage = longest_outage(&operations, (Timestamp(0), Timestamp(1000)));
        assert_eq!(
            outage,
            Some(Outage {
                from_ns: Timestamp(20),
                to_ns: Timestamp(1000)
            })
        );
    }

    #[test]
    fn recovery_is_the_next_acknowledgement_after_the_heal() {
        let operations = [operation(0, 10, Kind::Ok), operation(20, 140, Kind::Ok)];
        let load = (Timestamp(0), Timestamp(1000));
        let recovery = recovery(&operations, &[], Some(Timestamp(100)), load);
        assert_eq!(recovery.after_final_heal_ns, Some(40));
    }
}
