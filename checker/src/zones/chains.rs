//! Chains: values of which each was put in the place of the one before by a compare-and-set, so that no
//! other value fits between them.

use super::blocks::Block;
use super::clusters::{Clusters, Edge};
use crate::model::ValueId;
use crate::moment::Moment;

/// What is wrong inside a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChainFault {
    /// A later value was certain before an earlier one was last needed.
    AgainstTime { earlier: ValueId, later: ValueId },
    /// Each value was made from another of them.
    Cycle { value: ValueId },
}

/// Joins the clusters that stand into blocks. A chain with a fault makes none.
pub(super) fn join(clusters: &Clusters) -> (Vec<Block>, Vec<ChainFault>) {
    let mut blocks = Vec::new();
    let mut faults = Vec::new();
    let mut visited = vec![false; clusters.all.len()];
    let has_predecessor = predecessors(clusters);
    for (head, cluster) in clusters.all.iter().enumerate() {
        if cluster.stands() && !has_predecessor[head] {
            match walk(clusters, head as ValueId, &mut visited) {
                Ok(block) => blocks.push(block),
                Err(fault) => faults.push(fault),
            }
        }
    }
    // What no head leads to goes round in circles.
    for value in 0..clusters.all.len() {
        if clusters.all[value].stands() && !visited[value] {
            faults.push(ChainFault::Cycle {
                value: value as ValueId,
            });
            let mut at = value;
            while !std::mem::replace(&mut visited[at], true) {
                at = clusters.all[at]
                    .next()
                    .map_or(at, |(_, next)| next as usize);
            }
        }
    }
    (blocks, faults)
}

fn predecessors(clusters: &Clusters) -> Vec<bool> {
    let mut has_predecessor = vec![false; clusters.all.len()];
    for cluster in clusters.all.iter().filter(|cluster| cluster.stands()) {
        if let Some((_, next)) = cluster.next() {
            has_predecessor[next as usize] = true;
        }
    }
    has_predecessor
}

fn walk(clusters: &Clusters, head: ValueId, visited: &mut [bool]) -> Result<Block, ChainFault> {
    let mut first = Edge::at(Moment::NEVER);
    let mut last = Edge::at(Moment::BEFORE_ALL);
    let mut last_value = head;
    let mut fault = None;
    let mut next = Some(head);
    while let Some(value) = next {
        let cluster = &clusters.all[value as usize];
        if !cluster.stands() {
            break;
        }
        visited[value as usize] = true;
        if cluster.first.time < last.time && fault.is_none() {
            fault = Some(ChainFault::AgainstTime {
                earlier: last_value,
                later: value,
            });
        }
        if cluster.first.time < first.time {
            first = cluster.first;
        }
        if cluster.last.time > last.time {
            last = cluster.last;
            last_value = value;
        }
        next = cluster.next().map(|(_, next)| next);
    }
    match fault {
        Some(fault) => Err(fault),
        None => Ok(Block { head, first, last }),
    }
}
