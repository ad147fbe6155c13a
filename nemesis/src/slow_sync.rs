//! A slow disk is shown by a sync that its replica began after the injection, and how long that took.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::probe::{Context, Finding};
use crate::target::list;
use crate::{Action, DiskReading};

/// How long a replica that has nothing to sync is waited for.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Measures the syncs of replicas.
#[derive(Clone, Debug)]
pub(crate) struct SlowSync {
    replicas: BTreeSet<ReplicaId>,
    /// How much longer they take, or took before it healed.
    delay: Duration,
    is_healed: bool,
    since: Timestamp,
    took: BTreeMap<ReplicaId, Duration>,
    has_asked: bool,
    next_look: Timestamp,
}

impl SlowSync {
    pub(crate) fn new(
        replicas: BTreeSet<ReplicaId>,
        delay: Duration,
        is_healed: bool,
        context: &Context<'_>,
    ) -> Self {
        let (since, next_look) = (context.now, context.now);
        Self {
            replicas,
            delay,
            is_healed,
            since,
            took: BTreeMap::new(),
            has_asked: false,
            next_look,
        }
    }

    pub(crate) fn read(&mut self, replica: ReplicaId, reading: &DiskReading) {
        let sync = reading
            .last_sync
            .filter(|sync| sync.began > self.since && !sync.failed);
        if let Some(sync) = sync.filter(|_| self.replicas.contains(&replica)) {
            self.took.insert(replica, sync.took);
        }
    }

    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        let known = &context.grip.known;
        if self.is_healed
            && self
                .replicas
                .iter()
                .all(|id| known.is_lost(NodeId::Replica(*id)))
        {
            return Finding::Shown("no machine that it hit is up".to_owned());
        }
        let mut missing = Vec::new();
        for replica in self.replicas.iter().filter(|id| is_awake(**id, context)) {
            // What other faults add is no less slow.
            let others = context.grip.machine(*replica).disk.sync_delay;
            match self.took.get(replica) {
                Some(took) if !self.is_healed && *took < self.delay => {
                    let delay = self.delay;
                    return Finding::Refuted(format!(
                        "a sync of {replica} took {took:.1?}, and not {delay:?} more than usual"
                    ));
                }
                Some(took) if self.is_healed && *took >= others.saturating_add(self.delay) => {
                    missing.push((
                        *replica,
                        format!("a sync of {replica} still took {took:.1?}"),
                    ));
                }
                Some(_) => {}
                None => missing.push((*replica, format!("{replica} has synced nothing since"))),
            }
        }
        let is_idle = context.now >= self.since + IDLE_AFTER;
        let measured = || {
            self.took
                .iter()
                .map(|(id, took)| format!("{took:.1?} by {id}"))
        };
        let can_wait = missing
            .iter()
            .any(|(id, _)| !is_idle || self.took.contains_key(id));
        if !self.took.is_empty() && !can_wait {
            let left = self.replicas.len() - self.took.len();
            let idle = if left > 0 {
                format!(" ({left} had nothing to sync)")
            } else {
                String::new()
            };
            return Finding::Shown(format!("a sync took {}{idle}", list(measured())));
        }
        // Where nobody writes nothing is slow: the disks themselves say so.
        let others = (self.replicas.iter()).map(|id| context.grip.machine(*id).disk.sync_delay);
        let longest = others.max().unwrap_or_default().saturating_add(self.delay);
        let has_waited = context.now >= self.since + IDLE_AFTER.saturating_add(longest);
        if self.took.is_empty() && has_waited && self.has_asked && !missing.is_empty() {
            let idle = missing.iter().map(|(id, _)| id);
            return Finding::Shown(format!(
                "nothing was synced for {IDLE_AFTER:?} by {}",
                list(idle)
            ));
        }
        if context.now >= self.next_look {
            self.has_asked = true;
            self.next_look = context.now + context.options.look_interval;
            context
                .actions
                .extend(missing.iter().map(|(id, _)| Action::ReadDisk(*id)));
        }
        Finding::Open(match missing.first() {
            Some((_, problem)) => problem.clone(),
            None => format!("{} does not run", list(&self.replicas)),
        })
    }

    /// Whether nothing can be measured now.
    pub(crate) fn is_obstructed(&self, context: &Context<'_>) -> bool {
        !self.replicas.iter().any(|id| is_awake(*id, context))
    }

    pub(crate) const fn next_timeout(&self) -> Timestamp {
        self.next_look
    }
}

fn is_awake(replica: ReplicaId, context: &Context<'_>) -> bool {
    context.grip.known.is_awake(NodeId::Replica(replica))
}
