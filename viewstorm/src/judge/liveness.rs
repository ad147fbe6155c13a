//! Progress once everything is healed: safety is judged under any faults, liveness after them.

use std::time::Duration;

use viewstorm_checker::Violation;
use viewstorm_history::Kind;

use super::operations::Operation;
use crate::run_facts::Ending;

/// What is wrong if the group made no progress within `bound` of the heal: no operation ended ok, one that waited at
/// the heal was never answered, or a read of the final state never was.
pub(super) fn no_progress(
    operations: &[Operation<'_>],
    ending: &Ending,
    bound: Duration,
) -> Option<Violation> {
    let healed = ending.stages.healed;
    let after_heal = operations.iter().filter(|operation| operation.end > healed);
    let first_ok = after_heal
        .filter(|one| one.kind == Kind::Ok)
        .map(|one| one.end)
        .min();
    let in_time = first_ok.is_some_and(|first| first <= healed + bound);
    // One that is still waiting then has its deadline put off until the bound.
    let is_forgotten = |one: &&Operation<'_>| {
        one.due < healed && one.kind == Kind::Info && one.end >= healed + bound
    };
    let forgotten = operations.iter().find(is_forgotten);
    let waits_after_heal = operations.iter().any(|one| one.end > healed);
    let final_reads = || operations.iter().filter(|operation| operation.is_final);
    let answered = final_reads().filter(|read| read.kind == Kind::Ok).count();
    let summary = if !waits_after_heal {
        return None;
    } else if !in_time {
        format!("no operation ended ok within {bound:?} of the heal at {healed}")
    } else if let Some(one) = forgotten {
        let (f, due) = (one.f, one.due);
        format!("a {f} due at {due} was not answered within {bound:?} of the heal at {healed}")
    } else if answered == 0 && final_reads().count() > 0 {
        format!(
            "no read of the final state was answered by {}",
            ending.stages.end
        )
    } else {
        return None;
    };
    let states = ending.states.join("\n");
    let over = match core(ending) {
        None => "All faults are over".to_owned(),
        Some(core) => format!("All faults are over among {core}"),
    };
    Some(Violation {
        class: "no-progress".to_owned(),
        key: None,
        explanation: format!("{summary}. {over}. The replicas at the end:\n{states}"),
        summary,
        operations: Vec::new(),
        window: (healed, ending.stages.end.max(healed)),
    })
}

/// The core of replicas that had to make progress, in words; none if all had to.
pub(super) fn core(ending: &Ending) -> Option<String> {
    let core: Vec<_> = ending.core.iter().map(ToString::to_string).collect();
    (!core.is_empty()).then(|| format!("the core {}", core.join(", ")))
}

#[cfg(test)]
mod tests {
    use viewstorm_history::Timestamp;
    use viewstorm_protocol::ReplicaId;

    use super::*;
    use crate::runner::{Lag, Stages};

    const BOUND: Duration = Duration::from_nanos(100);

    fn ending() -> Ending {
        let at = Timestamp;
        Ending {
            stages: Stages {
                load: at(0),
                heal: at(90),
                healed: at(100),
                drain: at(300),
                end: at(400),
            },
            core: vec![ReplicaId(0), ReplicaId(2)],
            not_started: 0,
            interrupted: None,
            unexpected_exits: Vec::new(),
            anomalies: Vec::new(),
            theorems: Vec::new(),
            broken: Vec::new(),
            events: 1,
            states: vec!["r0: ViewChange in view 7".to_owned()],
            trace_hash: None,
            lag: Lag::default(),
        }
    }

    fn operation(due: u64, end: u64, kind: Kind, is_final: bool) -> Operation<'static> {
        Operation {
            f: "read",
            due: Timestamp(due),
            kind,
            end: Timestamp(end),
            is_final,
        }
    }

    #[test]
    fn one_that_answers_again_in_time_lives() {
        let operations = [
            operation(50, 150, Kind::Ok, false),
            operation(310, 320, Kind::Ok, true),
        ];
        assert_eq!(no_progress(&operations, &ending(), BOUND), None);
    }

    #[test]
    fn one_that_never_answers_again_is_shown_with_its_states() {
        let operations = [
            operation(50, 60, Kind::Ok, false),
            operation(150, 350, Kind::Info, false),
        ];
        let violation = no_progress(&operations, &ending(), BOUND).unwrap();
        assert!(
            violation.explanation.contains("ViewChange in view 7")
                && violation.explanation.contains("the core r0, r2"),
            "{violation:?}"
        );
        let forgotten = [
            operation(50, 200, Kind::Info, false),
            operation(60, 150, Kind::Ok, false),
            operation(310, 320, Kind::Ok, true),
        ];
        assert!(no_progress(&forgotten, &ending(), BOUND).is_some());
        let late = [operation(150, 250, Kind::Ok, false)];
        assert!(no_progress(&late, &ending(), BOUND).is_some());
        let unread = [
            operation(50, 150, Kind::Ok, false),
            operation(310, 400, Kind::Info, true),
        ];
        assert!(no_progress(&unread, &ending(), BOUND).is_some());
    }
}
