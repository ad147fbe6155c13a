//! A bent clock is shown by two readings of it, each beside the true time: what it gained from one to the other.
//!
//! ```text
//!   told    .--- second        gained = (second.told - first.told) - (second.at - first.at)
//!    |   .´                    a leap is gained at once, a drift at a rate, and a clock that
//!    | first                   stands loses all the time there is
//!    +----------- at
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::probe::{Context, Finding};
use crate::target::list;
use crate::{Action, ClockEffect};

/// How far a measured rate may be off, in millionths.
const TOLERANCE_PPM: f64 = 1.0;
/// How far a measured leap may be off, beside what the time between the readings explains.
const TOLERANCE: i128 = 1_000_000;
/// The least time from one reading to the next, for a rate.
const LEAST_APART: Duration = Duration::from_millis(40);

/// Reads the clocks of replicas.
#[derive(Clone, Debug)]
pub(crate) struct ClockLook {
    replicas: BTreeSet<ReplicaId>,
    effect: ClockEffect,
    is_healed: bool,
    since: Timestamp,
    first: BTreeMap<ReplicaId, Reading>,
    shown: BTreeMap<ReplicaId, String>,
    problem: String,
    next_look: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    told: i128,
    at: i128,
    /// The rate that was ordered then.
    drift: i32,
}

impl ClockLook {
    pub(crate) fn new(
        replicas: BTreeSet<ReplicaId>,
        effect: ClockEffect,
        is_healed: bool,
        context: &Context<'_>,
    ) -> Self {
        Self {
            replicas,
            effect,
            is_healed,
            since: context.now,
            first: BTreeMap::new(),
            shown: BTreeMap::new(),
            problem: "no clock was read".to_owned(),
            next_look: context.now,
        }
    }

    pub(crate) fn read(
        &mut self,
        replica: ReplicaId,
        (told, at): (Timestamp, Timestamp),
        context: &Context<'_>,
    ) {
        if !self.replicas.contains(&replica) || self.shown.contains_key(&replica) {
            return;
        }
        let drift = context.grip.machine(replica).drift;
        let nanos = |time: Timestamp| i128::from(time.as_nanos());
        let second = Reading {
            told: nanos(told),
            at: nanos(at),
            drift,
        };
        let Some(first) = self.first.get(&replica).copied() else {
            self.first.insert(replica, second);
            return;
        };
        let verdict = match self.effect {
            ClockEffect::Jump(by) if !self.is_healed => leaped(first, second, i128::from(by)),
            _ => ran(first, second),
        };
        match verdict {
            Some(Ok(evidence)) => {
                self.shown
                    .insert(replica, format!("the clock of {replica} {evidence}"));
            }
            Some(Err(problem)) => {
                self.problem = format!("the clock of {replica} {problem}");
                if !matches!(self.effect, ClockEffect::Jump(_)) || self.is_healed {
                    self.first.insert(replica, second);
                }
            }
            None => {}
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
        let is_missing = |id: &&ReplicaId| {
            known.is_awake(NodeId::Replica(**id)) && !self.shown.contains_key(*id)
        };
        let missing: Vec<ReplicaId> = self.replicas.iter().filter(is_missing).copied().collect();
        if missing.is_empty() && !self.shown.is_empty() {
            let left = self.replicas.len() - self.shown.len();
            let down = if left > 0 {
                format!(" ({left} did not run)")
            } else {
                String::new()
            };
            return Finding::Shown(list(self.shown.values()) + &down);
        }
        if context.now >= self.next_look {
            self.next_look = context.now + context.options.look_interval;
            context
                .actions
                .extend(missing.into_iter().map(Action::ReadClock));
        }
        Finding::Open(self.problem.clone())
    }

    /// Whether no clock can be read, or stands for now because it leapt back.
    pub(crate) fn is_obstructed(&self, context: &Context<'_>) -> bool {
        let known = &context.grip.known;
        let stands = match self.effect {
            ClockEffect::Jump(by) if by < 0 => Duration::from_nanos(by.unsigned_abs()),
            _ => Duration::ZERO,
        };
        context.now < self.since + stands
            || !self
                .replicas
                .iter()
                .any(|id| known.is_awake(NodeId::Replica(*id)))
    }

    pub(crate) const fn next_timeout(&self) -> Timestamp {
        self.next_look
    }
}

/// Whether the clock leapt between the readings. A clock that leapt back stands, for as long as it leapt.
fn leaped(first: Reading, second: Reading, by: i128) -> Option<Result<String, String>> {
    let apart = second.at - first.at;
    let gained = second.told - first.told - apart;
    let said = format!("gained {} in {}", span(gained), span(apart));
    if by > 0 {
        // A drift adds what it does meanwhile.
        let drift = i128::from(first.drift.abs().max(second.drift.abs()));
        let is_it = (gained - by).abs() <= TOLERANCE + apart * drift / 1_000_000;
        return Some(if is_it { Ok(said) } else { Err(said) });
    }
    let expected = by.max(-apart);
    if apart < TOLERANCE {
        return None;
    }
    Some(if 2 * gained <= expected {
        Ok(said)
    } else {
        Err(said)
    })
}

/// Whether the clock ran at the rate that is ordered. None if they are too close to tell.
fn ran(first: Reading, second: Reading) -> Option<Result<String, String>> {
    let apart = second.at - first.at;
    if apart < i128::try_from(LEAST_APART.as_nanos()).unwrap_or(i128::MAX) {
        return None;
    }
    if first.drift != second.drift {
        return Some(Err("was bent anew while it was read".to_owned()));
    }
    let gained = second.told - first.told - apart;
    let ppm = gained as f64 / apart as f64 * 1e6;
    let said = format!("gained {ppm:.1} parts per million in {}", span(apart));
    Some(if (ppm - f64::from(second.drift)).abs() <= TOLERANCE_PPM {
        Ok(said)
    } else {
        Err(format!("{said}, and not {}", second.drift))
    })
}

/// A number of nanoseconds, in words.
fn span(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let length = u64::try_from(nanos.unsigned_abs()).unwrap_or(u64::MAX);
    format!("{sign}{:.1?}", Duration::from_nanos(length))
}
