//! Damage to storage is shown by the storage itself: what it holds, read after the injection.

use std::collections::{BTreeMap, BTreeSet};

use viewstorm_protocol::ReplicaId;

use crate::probe::{Context, Finding};
use crate::target::list;
use crate::{Action, DiskReading};

/// Looks at what disks hold. Damage does not heal: in the end it is said what is left of it.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    replicas: BTreeSet<ReplicaId>,
    is_healed: bool,
    readings: BTreeMap<ReplicaId, DiskReading>,
    has_asked: bool,
}

impl Damage {
    pub(crate) const fn new(replicas: BTreeSet<ReplicaId>, is_healed: bool) -> Self {
        Self {
            replicas,
            is_healed,
            readings: BTreeMap::new(),
            has_asked: false,
        }
    }

    pub(crate) fn read(&mut self, replica: ReplicaId, reading: &DiskReading) {
        if self.has_asked && self.replicas.contains(&replica) {
            self.readings.insert(replica, reading.clone());
        }
    }

    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        if !std::mem::replace(&mut self.has_asked, true) {
            context
                .actions
                .extend(self.replicas.iter().copied().map(Action::ReadDisk));
        }
        let mut evidence = Vec::new();
        for replica in &self.replicas {
            let Some(reading) = self.readings.get(replica) else {
                return Finding::Open(format!("the disk of {replica} has not been read"));
            };
            let corrupt = list(&reading.corrupt);
            match (reading.corrupt.is_empty(), self.is_healed) {
                (true, false) => {
                    let records = reading.records;
                    return Finding::Refuted(format!(
                        "all checksums of {replica} match, of {records} records"
                    ));
                }
                (true, true) => evidence.push(format!("{replica} has written it anew")),
                (false, false) => {
                    evidence.push(format!("the checksum does not match: {replica}, {corrupt}"));
                }
                (false, true) => {
                    let lost = context
                        .grip
                        .known
                        .get(*replica)
                        .filter(|known| known.is_lost);
                    let what = match lost.and_then(|known| known.last_exit.as_deref()) {
                        Some(how) => format!("which stays down ({how})"),
                        None => "which has not read it since".to_owned(),
                    };
                    evidence.push(format!("still damaged: {replica}, {corrupt}, {what}"));
                }
            }
        }
        Finding::Shown(list(evidence))
    }
}
