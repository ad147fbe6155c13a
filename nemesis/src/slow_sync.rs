//! A slow disk is shown by a sync that its replica began after the injection, and how long that took.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::hits::Hits;
use crate::probe::{Context, Finding};
use crate::target::list;
use crate::{Action, DiskReading, DiskRule, SyncReading};

/// How long a replica that has nothing to sync is waited for.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// What can be wrong with syncs, that shows in them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wrong {
    /// They take so much longer.
    Slow(Duration),
    /// They do nothing.
    Lying,
}

impl Wrong {
    /// Whether the sync shows it, or shows that it is gone; otherwise what it shows.
    fn look(self, sync: &SyncReading, rule: &DiskRule, is_healed: bool) -> Result<(), String> {
        let took = sync.took;
        match self {
            Self::Slow(delay) if !is_healed && took < delay => Err(format!(
                "took {took:.1?}, and not {delay:?} more than usual"
            )),
            // What other faults add is no less slow.
            Self::Slow(delay) if is_healed && took >= rule.sync_delay.saturating_add(delay) => {
                Err(format!("took {took:.1?}"))
            }
            Self::Lying if !is_healed && !sync.lied => Err("did what it said".to_owned()),
            Self::Lying if is_healed && sync.lied && !rule.syncs_lie => Err("lied".to_owned()),
            Self::Slow(_) | Self::Lying => Ok(()),
        }
    }

    /// What goes before that.
    const fn verb(self) -> &'static str {
        match self {
            Self::Slow(_) => "took ",
            Self::Lying => "",
        }
    }

    /// What is to be said of the sync.
    fn measured(self, sync: &SyncReading) -> String {
        match self {
            Self::Slow(_) => format!("{:.1?}", sync.took),
            Self::Lying if sync.lied => "did nothing and said it had".to_owned(),
            Self::Lying => "did what it said".to_owned(),
        }
    }
}

/// Measures the syncs of replicas.
#[derive(Clone, Debug)]
pub(crate) struct SlowSync {
    replicas: BTreeSet<ReplicaId>,
    /// What is wrong with them, or was before it healed.
    wrong: Wrong,
    is_healed: bool,
    since: Timestamp,
    took: BTreeMap<ReplicaId, SyncReading>,
    has_asked: bool,
    next_look: Timestamp,
}

impl SlowSync {
    pub(crate) fn of(hits: &Hits, wrong: Wrong, is_healed: bool, context: &Context<'_>) -> Self {
        let (since, next_look) = (context.now, context.now);
        Self {
            replicas: hits.machines.keys().copied().collect(),
            wrong,
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
            self.took.insert(replica, sync);
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
        let missing = match self.missing(context) {
            Ok(missing) => missing,
            Err(problem) => return Finding::Refuted(problem),
        };
        let is_idle = context.now >= self.since + IDLE_AFTER;
        let measured = || {
            self.took
                .iter()
                .map(|(id, sync)| format!("{} by {id}", self.wrong.measured(sync)))
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
            return Finding::Shown(format!(
                "a sync {}{}{idle}",
                self.wrong.verb(),
                list(measured())
            ));
        }
        // Where nobody writes nothing is slow: the disks themselves say so.
        let others = (self.replicas.iter()).map(|id| context.grip.machine(*id).disk.sync_delay);
        let own = match self.wrong {
            Wrong::Slow(delay) => delay,
            Wrong::Lying => Duration::ZERO,
        };
        let longest = others.max().unwrap_or_default().saturating_add(own);
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

    /// The replicas whose disks have not shown it, and why; or what shows that it is not so.
    fn missing(&self, context: &Context<'_>) -> Result<Vec<(ReplicaId, String)>, String> {
        let mut missing = Vec::new();
        for replica in self.replicas.iter().filter(|id| is_awake(**id, context)) {
            let rule = context.grip.machine(*replica).disk;
            match self.took.get(replica) {
                Some(sync) => match self.wrong.look(sync, &rule, self.is_healed) {
                    Ok(()) => {}
                    Err(problem) if self.is_healed => {
                        missing.push((*replica, format!("a sync of {replica} still {problem}")));
                    }
                    Err(problem) => {
                        return Err(format!("a sync of {replica} {problem}"));
                    }
                },
                None => missing.push((*replica, format!("{replica} has synced nothing since"))),
            }
        }
        Ok(missing)
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
