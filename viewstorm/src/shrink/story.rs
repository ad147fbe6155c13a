//! What is left of a failing plan, in sentences.

use std::fmt::Write as _;

use viewstorm_nemesis::When;

use super::Shrunk;
use crate::plan::duration_text;

/// One sentence for each fault that is left, and what they lead to.
pub fn story(shrunk: &Shrunk) -> String {
    let mut story = String::new();
    let plan = &shrunk.plan;
    // Writing to a string does not fail.
    let _ = writeln!(
        story,
        "{} of {} faults matter, with {} replicas, {} clients and {} of load:",
        plan.nemesis.settled.len(),
        shrunk.faults_before,
        plan.cluster.replicas,
        plan.workload.clients,
        duration_text(plan.run.duration),
    );
    for (number, fault) in (1..).zip(&plan.nemesis.settled) {
        let at = match &fault.when {
            When::At(at) => format!("at {}", duration_text(*at)),
            When::Every { .. } | When::On { .. } => fault.when.to_string(),
        };
        let length = fault.length.map_or_else(
            || "to the end of the run".to_owned(),
            |length| format!("for {}", duration_text(length)),
        );
        let (name, fault) = (fault.fault.name(), &fault.fault);
        let _ = writeln!(story, "{number}. {at}, {length}: {name} {fault}.");
    }
    if let Some((check, violation)) = shrunk.results.first_violation() {
        let _ = writeln!(
            story,
            "Then {} does not hold: {}",
            check.check, violation.summary
        );
    }
    story
}
