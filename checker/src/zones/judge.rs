//! From a partition to a judgement.

use super::blocks::conflicts;
use super::chains::join;
use super::clusters::Clusters;
use super::evidence::Evidence;
use crate::Violation;
use crate::model::Exact;
use crate::model::ValueId;
use crate::partition::Partition;
use crate::register::{Action, INITIAL, Register};

/// Judges one register. Tells of `limit` violations at most; what one violation rests on is left out when
/// the next kind is looked for, so that no cause is told twice.
pub(crate) fn judge(partition: &Partition<'_, Register>, limit: usize) -> Exact {
    let limit = limit.max(1);
    let mut clusters = match Clusters::gather(partition) {
        Ok(clusters) => clusters,
        Err(error) => {
            let key = partition.key_name();
            let reason = match error.value {
                INITIAL => format!("{key}: somebody writes the initial value"),
                value => format!(
                    "{key}: {} is written more than once",
                    partition.value(value)
                ),
            };
            return Exact::NotApplicable(Some(reason));
        }
    };
    let mut violations = Vec::new();
    let mut room = |found: Vec<Violation>| {
        violations.extend(found);
        violations.len() < limit
    };
    let evidence = Evidence::new(partition);
    let looks_on = room(unwritten(&evidence, &clusters, limit))
        && room(refused(&evidence, limit))
        && room(forks(&evidence, &clusters, limit))
        && room(early(&evidence, &mut clusters, limit));
    if looks_on {
        let (blocks, faults) = join(&clusters);
        let faults = faults.iter().take(limit);
        if room(
            faults
                .map(|fault| evidence.chain(&clusters, *fault))
                .collect(),
        ) {
            let pairs = conflicts(&blocks, limit);
            room(
                pairs
                    .iter()
                    .map(|(one, other)| evidence.conflict(&clusters, one, other))
                    .collect(),
            );
        }
    }
    if violations.is_empty() {
        return Exact::Linearizable;
    }
    violations.sort_by_key(|violation| violation.window);
    violations.truncate(limit);
    Exact::Violated(violations)
}

/// Values that were seen and cannot have been there.
fn unwritten(evidence: &Evidence<'_, '_>, clusters: &Clusters, limit: usize) -> Vec<Violation> {
    let seen = clusters
        .all
        .iter()
        .enumerate()
        .filter(|(_, cluster)| !cluster.stands());
    let seen = seen.filter_map(|(value, cluster)| Some((value, cluster.last.operation()?)));
    seen.take(limit)
        .map(|(value, place)| evidence.unwritten(clusters, place, value as ValueId))
        .collect()
}

/// Compare-and-sets that were refused although they saw what they expected.
fn refused(evidence: &Evidence<'_, '_>, limit: usize) -> Vec<Violation> {
    let operations = evidence.partition.operations.iter();
    let wrong = operations.filter(|operation| {
        matches!(operation.action, Action::Refused { expected, saw, .. } if expected == saw)
    });
    wrong
        .take(limit)
        .map(|operation| evidence.refused(operation))
        .collect()
}

fn forks(evidence: &Evidence<'_, '_>, clusters: &Clusters, limit: usize) -> Vec<Violation> {
    let forks = clusters.forks.iter().take(limit);
    forks
        .map(|(one, other)| evidence.lost_update(clusters, *one, *other))
        .collect()
}

/// Values that were seen before their writer began.
fn early(evidence: &Evidence<'_, '_>, clusters: &mut Clusters, limit: usize) -> Vec<Violation> {
    let mut found = Vec::new();
    for (value, cluster) in clusters.all.iter_mut().enumerate() {
        if !cluster.stands() || cluster.first.time >= cluster.begun {
            continue;
        }
        cluster.drop_out();
        if let (Some(reader), Some(writer), true) = (
            cluster.first.operation(),
            cluster.writer(),
            found.len() < limit,
        ) {
            found.push(evidence.early(value as ValueId, reader, writer));
        }
    }
    found
}
