//! Rounds of probes, and which of them arrived.

use std::collections::BTreeMap;
use std::time::Duration;

use viewstorm_history::Timestamp;

use crate::grip::Grip;
use crate::{Action, Link, NemesisOptions, ProbeId};

/// What a look for evidence may use.
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) grip: &'a mut Grip,
    pub(crate) options: &'a NemesisOptions,
    pub(crate) actions: &'a mut Vec<Action>,
}

/// What a look for evidence came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing yet; why not.
    Open(String),
    /// It is so: the evidence.
    Shown(String),
    /// It is not so: what speaks against it.
    Refuted(String),
}

/// Something that a fault's look for evidence is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) id: ProbeId,
    pub(crate) sent: Timestamp,
    pub(crate) received: Timestamp,
}

/// Probes sent in rounds at an interval, then a time to wait for the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Batch<C> {
    rounds_left: u32,
    interval: Duration,
    grace: Duration,
    next_round: Timestamp,
    probes: BTreeMap<ProbeId, Probe<C>>,
}

/// A probe on its way, or arrived.
#[derive(Clone, Debug)]
pub(crate) struct Probe<C> {
    pub(crate) link: Link,
    /// What it was sent for.
    pub(crate) class: C,
    pub(crate) ordered: Timestamp,
    /// Of the link's rule then.
    pub(crate) version: u64,
    /// How long it took.
    pub(crate) took: Option<Duration>,
}

impl<C> Batch<C> {
    /// The first round is due at `now`.
    pub(crate) fn new(rounds: u32, interval: Duration, grace: Duration, now: Timestamp) -> Self {
        let probes = BTreeMap::new();
        Self {
            rounds_left: rounds,
            interval,
            grace,
            next_round: now,
            probes,
        }
    }

    /// Whether a round is due; the caller then sends it.
    pub(crate) fn begin_round(&mut self, now: Timestamp) -> bool {
        let is_due = self.rounds_left > 0 && now >= self.next_round;
        if is_due {
            self.rounds_left -= 1;
            // The last one is followed by the time to wait.
            let wait = if self.rounds_left > 0 {
                self.interval
            } else {
                self.grace
            };
            self.next_round = now + wait;
        }
        is_due
    }

    /// Waits at least this long after the last round.
    pub(crate) fn extend_grace(&mut self, grace: Duration, now: Timestamp) {
        self.grace = self.grace.max(grace);
        if self.rounds_left == 0 {
            self.next_round = self.next_round.max(now + self.grace);
        }
    }

    /// Whether the last probe was waited for long enough.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.rounds_left == 0 && now >= self.next_round
    }

    /// Whether no further round will be sent.
    pub(crate) const fn is_sent(&self) -> bool {
        self.rounds_left == 0
    }

    /// When something is due.
    pub(crate) const fn next_timeout(&self) -> Timestamp {
        self.next_round
    }

    pub(crate) fn send(&mut self, link: Link, class: C, context: &mut Context<'_>) {
        let id = context.grip.probe(link, context.actions);
        let version = context.grip.version(link);
        let ordered = context.now;
        self.probes.insert(
            id,
            Probe {
                link,
                class,
                ordered,
                version,
                took: None,
            },
        );
    }

    /// Whether it is one of these.
    pub(crate) fn has(&self, id: ProbeId) -> bool {
        self.probes.contains_key(&id)
    }

    /// Takes note of an arrival; hands out the probe if it is one of these and has not arrived before.
    pub(crate) fn arrived(&mut self, arrival: Arrival) -> Option<&Probe<C>> {
        let probe = self
            .probes
            .get_mut(&arrival.id)
            .filter(|probe| probe.took.is_none())?;
        probe.took = Some(arrival.received.saturating_since(arrival.sent));
        Some(probe)
    }

    /// All probes.
    pub(crate) fn probes(&self) -> impl Iterator<Item = &Probe<C>> {
        self.probes.values()
    }
}
