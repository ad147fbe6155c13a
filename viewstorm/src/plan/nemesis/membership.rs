//! Reconfigurations: which replicas are the group from then on.

use serde::ser::SerializeMap;
use viewstorm_nemesis::{Fault, LEAST_MEMBERS, Membership, Target};
use viewstorm_protocol::ReplicaId;

use super::Around;
use super::target::Whom;
use super::write::write_target;
use crate::plan::error::PlanError;
use crate::plan::section::{Field, Section};

/// The new group: all of it, what changes of the old one, or how many any replicas.
pub(super) fn read(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    let (to, add, remove) = (
        replicas("members", section, around),
        replicas("add", section, around),
        replicas("remove", section, around),
    );
    let most = around.replicas.unwrap_or(u16::MAX).max(LEAST);
    let size = section.integer("size", LEAST..=most);
    let is_change = !add.is_absent() || !remove.is_absent();
    let ways = [!to.is_absent(), is_change, !size.is_absent()];
    if ways.iter().filter(|is_there| **is_there).count() != 1 {
        let title = "this reconfiguration does not say in one way which the new group is";
        let help = "either `members = [\"r0\", \"r1\", \"r3\"]`, or `add` and `remove`, or `size = 3` for any three";
        section.note(
            PlanError::at(section.span(), title, "")
                .help(help)
                .missing(),
        );
        return None;
    }
    if let Field::Here(group, span) = &to
        && group.len() < LEAST_MEMBERS
    {
        let title = format!("a group of {} masks no crash", group.len());
        let label = format!("expected {LEAST_MEMBERS} replicas or more");
        section.note(PlanError::at(span, title, label));
        return None;
    }
    Some(Fault::Reconfigure(match (to, size) {
        (Field::Here(group, _), _) => Membership::To(group),
        (_, Field::Here(size, _)) => Membership::Random(size),
        _ => Membership::Change {
            add: add.known(Vec::new())?.0,
            remove: remove.known(Vec::new())?.0,
        },
    }))
}

/// The fewest members, as a plan counts replicas.
const LEAST: u16 = 3;

/// A list of replicas.
fn replicas(
    key: &'static str,
    section: &mut Section<'_, '_>,
    around: &Around<'_>,
) -> Field<Vec<ReplicaId>> {
    let listed = |target| match target {
        Target::Named(nodes) => nodes.iter().filter_map(|node| node.as_replica()).collect(),
        _ => Vec::new(),
    };
    match section.target(key, Whom::Replicas, around) {
        Field::Here(target @ Target::Named(_), span) => Field::Here(listed(target), span),
        Field::Here(_, span) => {
            let title = format!("`{key}` names no replicas");
            let error = PlanError::at(&span, title, "expected a list: [\"r0\", \"r3\"]");
            section.note(error);
            Field::Invalid
        }
        Field::Absent => Field::Absent,
        Field::Invalid => Field::Invalid,
    }
}

/// Writes the new group.
pub(super) fn write<M: SerializeMap>(map: &mut M, change: &Membership) -> Result<(), M::Error> {
    let named = |ids: &[ReplicaId]| {
        let nodes = ids.iter().copied().map(viewstorm_protocol::NodeId::Replica);
        Target::Named(nodes.collect())
    };
    match change {
        Membership::To(group) => write_target(map, "members", &named(group)),
        Membership::Random(size) => map.serialize_entry("size", size),
        Membership::Change { add, remove } => {
            for (key, ids) in [("add", add), ("remove", remove)] {
                if !ids.is_empty() {
                    write_target(map, key, &named(ids))?;
                }
            }
            Ok(())
        }
    }
}
