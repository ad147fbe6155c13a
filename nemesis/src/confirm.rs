//! Which evidence shows that a fault took effect, and which that it is gone (DESIGN 5.3: evidence from the
//! faulted object, not the injector's bookkeeping, by a declared deadline).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_protocol::{Incarnation, NodeId, ReplicaId};

use crate::clock_look::ClockLook;
use crate::count::Count;
use crate::damage::Damage;
use crate::hits::Hits;
use crate::known::Process;
use crate::machine::Ending;
use crate::measure::{Measure, Measured};
use crate::membership::Reconfigured;
use crate::probe::{Arrival, Context, Finding};
use crate::process::{Back, Ended, State};
use crate::shape::replicas_among;
use crate::silence::{LOST, Silence, Sound};
use crate::slow_sync::{SlowSync, Wrong};
use crate::target::list;
use crate::{
    Action, ClockFault, Delay, DiskEffect, DiskFault, Fault, Link, LinkEffect, Observation,
    PROBE_KIND, ProcessState, TapAct,
};

/// A look for evidence.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// Nodes that first say themselves that they have the rules.
    taps: BTreeSet<NodeId>,
    /// It waits for their word.
    is_waiting: bool,
    /// The links that are to be whole again.
    healed: BTreeSet<Link>,
    look: Look,
}

#[derive(Clone, Debug)]
enum Look {
    Silence(Silence),
    Sound(Sound),
    Measure(Measure),
    Count(Count),
    Ended(Ended),
    Back(Back),
    State(State),
    Damage(Damage),
    SlowSync(SlowSync),
    Clock(ClockLook),
    Reconfigured(Reconfigured),
    /// A group stays what it was made.
    Nothing,
    /// The nodes' own word is all the evidence.
    Taps,
}

/// What a fault's healing has to be measured against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    /// The incarnations of the replicas that it ends.
    incarnations: BTreeMap<ReplicaId, Incarnation>,
    /// Those that were down already, and how they were ordered to end.
    down: BTreeMap<ReplicaId, Option<Ending>>,
}

impl Before {
    /// How things are before the fault is applied.
    pub(crate) fn new(hits: &Hits, context: &Context<'_>) -> Self {
        let known = |id: &ReplicaId| context.grip.known.get(*id);
        let incarnation = |id: &ReplicaId| Some((*id, known(id)?.incarnation));
        let down = |id: &ReplicaId| {
            let replica = known(id).filter(|replica| replica.process == Process::Gone)?;
            Some((*id, replica.ended))
        };
        Self {
            incarnations: hits.ends.keys().filter_map(incarnation).collect(),
            down: hits.ends.keys().filter_map(down).collect(),
        }
    }
}

impl Before {
    /// Forgets those that the fault is not taken back from.
    pub(crate) fn only(&mut self, lifted: &Hits) {
        self.incarnations
            .retain(|id, _| lifted.ends.contains_key(id));
        self.down.retain(|id, _| lifted.ends.contains_key(id));
    }
}

impl Check {
    /// What shows that the fault took effect.
    pub(crate) fn confirm(
        fault: &Fault,
        hits: &Hits,
        before: &Before,
        context: &Context<'_>,
    ) -> Self {
        let links = || hits.touched.clone();
        let look = match fault {
            Fault::Partition(partition) => {
                Look::Silence(Silence::new(links(), partition.flapping, context))
            }
            Fault::Links(fault) => match (fault.effect.measured(), &fault.effect) {
                (_, LinkEffect::Hold) => Look::Silence(Silence::new(links(), None, context)),
                (Measured::Nothing, effect) => {
                    Look::Count(Count::new(links(), effect.clone(), false, context))
                }
                (_, effect) => Look::Measure(Measure::new(links(), effect.clone(), false, context)),
            },
            Fault::Wan(_) => Look::Measure(Measure::new(links(), nearest(hits), false, context)),
            Fault::Messages(_) if stops_probes(fault) => {
                Look::Silence(Silence::new(links(), None, context))
            }
            Fault::Messages(_) => Look::Taps,
            Fault::Kill(_) | Fault::Restart(_) | Fault::PowerLoss(_) | Fault::Crash(_) => {
                Look::Ended(Ended::new(
                    hits.ends.clone(),
                    before.down.clone(),
                    context.now,
                ))
            }
            Fault::Disk(DiskFault { effect, .. }) => match *effect {
                DiskEffect::SlowSync(delay) => {
                    Look::SlowSync(SlowSync::of(hits, Wrong::Slow(delay), false, context))
                }
                DiskEffect::LyingSync => {
                    Look::SlowSync(SlowSync::of(hits, Wrong::Lying, false, context))
                }
                DiskEffect::BitFlip { .. } => {
                    Look::Damage(Damage::new(hits.damages.clone(), false))
                }
                DiskEffect::FailingSync | DiskEffect::FailingWrite(_) | DiskEffect::Wipe { .. } => {
                    Look::Ended(Ended::new(
                        hits.ends.clone(),
                        before.down.clone(),
                        context.now,
                    ))
                }
            },
            Fault::Clock(fault) => clock(fault, hits, false, context),
            Fault::Reconfigure(_) => {
                let request = hits.once.iter().find_map(Action::request);
                Look::Reconfigured(Reconfigured::new(request.unwrap_or_default()))
            }
            Fault::Pause(_) | Fault::Slow(_) => Look::State(State::new(
                hits.paused.clone(),
                ProcessState::Paused,
                context,
            )),
        };
        Self {
            taps: hits.tap_nodes(),
            is_waiting: false,
            healed: BTreeSet::new(),
            look,
        }
    }

    /// What shows that the fault is gone.
    pub(crate) fn heal(fault: &Fault, hits: &Hits, before: &Before, context: &Context<'_>) -> Self {
        let links = || hits.touched.clone();
        let look = match fault {
            Fault::Partition(_) => Look::Sound(Sound::new(links(), context)),
            Fault::Links(fault) => match (fault.effect.measured(), &fault.effect) {
                (_, LinkEffect::Hold) => Look::Sound(Sound::new(links(), context)),
                (Measured::Nothing, effect) => {
                    Look::Count(Count::new(links(), effect.clone(), true, context))
                }
                (_, effect) => Look::Measure(Measure::new(links(), effect.clone(), true, context)),
            },
            Fault::Wan(_) => Look::Measure(Measure::new(links(), nearest(hits), true, context)),
            Fault::Messages(_) if stops_probes(fault) => Look::Sound(Sound::new(links(), context)),
            Fault::Messages(_) => Look::Taps,
            Fault::Kill(_) | Fault::Restart(_) | Fault::PowerLoss(_) | Fault::Crash(_) => {
                Look::Back(Back::new(before.incarnations.clone()))
            }
            Fault::Disk(DiskFault { effect, .. }) => match *effect {
                DiskEffect::SlowSync(delay) => {
                    Look::SlowSync(SlowSync::of(hits, Wrong::Slow(delay), true, context))
                }
                DiskEffect::LyingSync => {
                    Look::SlowSync(SlowSync::of(hits, Wrong::Lying, true, context))
                }
                DiskEffect::BitFlip { .. } => Look::Damage(Damage::new(hits.damages.clone(), true)),
                DiskEffect::FailingSync | DiskEffect::FailingWrite(_) | DiskEffect::Wipe { .. } => {
                    Look::Back(Back::new(before.incarnations.clone()))
                }
            },
            Fault::Clock(fault) => clock(fault, hits, true, context),
            Fault::Reconfigure(_) => Look::Nothing,
            Fault::Pause(_) | Fault::Slow(_) => Look::State(State::new(
                hits.paused.clone(),
                ProcessState::Running,
                context,
            )),
        };
        Self {
            taps: hits.tap_nodes(),
            is_waiting: false,
            healed: hits.touched.clone(),
            look,
        }
    }

    /// Looks, and does what is needed to see more.
    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        let known = &context.grip.known;
        let is_lost = |link: &Link| known.is_lost(link.from) || known.is_lost(link.to);
        if !self.healed.is_empty() && self.healed.iter().all(is_lost) {
            return Finding::Shown(LOST.to_owned());
        }
        let asked = match self.wait_for_taps(context) {
            Ok(asked) => asked,
            Err(missing) => return Finding::Open(missing),
        };
        match &mut self.look {
            Look::Silence(look) => look.look(context),
            Look::Sound(look) => look.look(context),
            Look::Measure(look) => look.look(context),
            Look::Count(look) => look.look(context),
            Look::Ended(look) => look.look(context),
            Look::Back(look) => look.look(context),
            Look::State(look) => look.look(context),
            Look::Damage(look) => look.look(context),
            Look::SlowSync(look) => look.look(context),
            Look::Clock(look) => look.look(context),
            Look::Reconfigured(look) => look.look(),
            Look::Nothing => Finding::Shown("the group stays what it was made".to_owned()),
            Look::Taps => Finding::Shown(format!("acknowledged at the tap of {}", list(asked))),
        }
    }

    /// The nodes that have acknowledged their rules, or whose word is missing.
    fn wait_for_taps(&mut self, context: &Context<'_>) -> Result<Vec<NodeId>, String> {
        let awake = |node: &NodeId| context.grip.known.is_awake(*node);
        let asked: Vec<NodeId> = self.taps.iter().copied().filter(awake).collect();
        let silent = asked
            .iter()
            .find(|node| !context.grip.has_acknowledged(**node));
        self.is_waiting = silent.is_some() || (asked.is_empty() && !self.taps.is_empty());
        match silent {
            Some(node) => Err(format!("{node} has not acknowledged its rules")),
            None if self.is_waiting => Err("no node with a rule runs".to_owned()),
            None => Ok(asked),
        }
    }

    /// Whether what was observed may be evidence.
    pub(crate) fn is_about(&self, observation: &Observation) -> bool {
        match observation {
            Observation::ProbeArrived { id, .. } => match &self.look {
                Look::Silence(look) => look.is_about(*id),
                Look::Sound(look) => look.is_about(*id),
                Look::Measure(look) => look.is_about(*id),
                _ => false,
            },
            Observation::Counters { .. } => matches!(self.look, Look::Count(_)),
            Observation::State { .. } => matches!(self.look, Look::State(_)),
            Observation::Crashed { .. } => matches!(self.look, Look::Ended(_)),
            Observation::Disk { .. } => matches!(
                self.look,
                Look::Ended(_) | Look::Damage(_) | Look::SlowSync(_)
            ),
            Observation::Clock { .. } => matches!(self.look, Look::Clock(_)),
            Observation::Reconfigured { .. } => matches!(self.look, Look::Reconfigured(_)),
            _ => false,
        }
    }

    /// Takes note of what was observed. What a probe that should not have arrived shows is handed out.
    pub(crate) fn observe(
        &mut self,
        observation: &Observation,
        context: &Context<'_>,
    ) -> Option<String> {
        match (&mut self.look, observation) {
            (
                look,
                Observation::ProbeArrived {
                    id, sent, received, ..
                },
            ) => {
                let arrival = Arrival {
                    id: *id,
                    sent: *sent,
                    received: *received,
                };
                match look {
                    Look::Silence(look) => return look.arrived(arrival),
                    Look::Sound(look) => look.arrived(arrival),
                    Look::Measure(look) => look.arrived(arrival),
                    _ => {}
                }
            }
            (Look::Count(look), Observation::Counters { link, counters }) => {
                look.counted(*link, *counters);
            }
            (Look::State(look), Observation::State { replica, state }) => {
                look.seen(*replica, *state);
            }
            (Look::Ended(look), Observation::Crashed { replica, point }) => {
                look.crashed(*replica, *point);
            }
            (look, Observation::Disk { replica, reading }) => match look {
                Look::Ended(look) => look.read(*replica, reading),
                Look::Damage(look) => look.read(*replica, reading),
                Look::SlowSync(look) => look.read(*replica, reading),
                _ => {}
            },
            (Look::Reconfigured(look), Observation::Reconfigured { request, outcome }) => {
                look.answered(*request, outcome);
            }
            (Look::Clock(look), Observation::Clock { replica, told, at }) => {
                look.read(*replica, (*told, *at), context);
            }
            _ => {}
        }
        None
    }

    /// A cut that comes and goes has come or gone.
    pub(crate) fn flip(&mut self, is_whole: bool, now: Timestamp) {
        if let Look::Silence(look) = &mut self.look {
            look.flip(is_whole, now);
        }
    }

    /// Whether other faults hide what is looked for: its deadline does not run meanwhile.
    pub(crate) fn is_obstructed(&self, context: &Context<'_>) -> bool {
        match &self.look {
            Look::Sound(look) => look.is_obstructed(context),
            Look::Measure(look) => look.is_obstructed(context),
            Look::Count(look) => look.is_obstructed(context),
            Look::Back(look) => look.is_obstructed(context),
            Look::State(look) => look.is_obstructed(context),
            Look::SlowSync(look) => look.is_obstructed(context),
            Look::Clock(look) => look.is_obstructed(context),
            Look::Taps => !self
                .taps
                .iter()
                .any(|node| context.grip.known.is_awake(*node)),
            Look::Silence(_)
            | Look::Ended(_)
            | Look::Damage(_)
            | Look::Reconfigured(_)
            | Look::Nothing => false,
        }
    }

    /// When it next wants to look, if it does not only wait to be told.
    pub(crate) fn next_timeout(&self) -> Option<Timestamp> {
        match &self.look {
            _ if self.is_waiting => None,
            Look::Silence(look) => Some(look.next_timeout()),
            Look::Sound(look) => Some(look.next_timeout()),
            Look::Measure(look) => Some(look.next_timeout()),
            Look::Count(look) => Some(look.next_timeout()),
            Look::State(look) => Some(look.next_timeout()),
            Look::SlowSync(look) => Some(look.next_timeout()),
            Look::Clock(look) => Some(look.next_timeout()),
            Look::Ended(_)
            | Look::Back(_)
            | Look::Damage(_)
            | Look::Reconfigured(_)
            | Look::Nothing
            | Look::Taps => None,
        }
    }
}

fn clock(fault: &ClockFault, hits: &Hits, is_healed: bool, context: &Context<'_>) -> Look {
    let replicas = replicas_among(&hits.targets).collect();
    Look::Clock(ClockLook::new(replicas, fault.effect, is_healed, context))
}

/// Whether the rules of a message fault stop probes, so that they can be heard to do so.
fn stops_probes(fault: &Fault) -> bool {
    let Fault::Messages(fault) = fault else {
        return false;
    };
    let is_certain = fault.share >= 1.0 && fault.skip == 0 && fault.limit.is_none();
    let is_any = fault.kinds.is_empty() || fault.kinds.iter().any(|kind| kind == PROBE_KIND);
    let is_unnumbered = fault.views.is_none() && fault.numbers.is_none();
    matches!(fault.act, TapAct::Drop | TapAct::Hold) && is_certain && is_any && is_unnumbered
}

/// The shortest of the delays of a wide-area network: what is faster than that is not delayed.
fn nearest(hits: &Hits) -> LinkEffect {
    let delays = hits.links.values().filter_map(|rule| rule.delay);
    let shortest = delays.min_by_key(|delay| delay.base);
    LinkEffect::Delay(shortest.unwrap_or(Delay {
        base: Duration::ZERO,
        jitter: Duration::ZERO,
    }))
}

/// How long one that comes and goes is there, and away, in turn.
pub(crate) fn turns(fault: &Fault) -> Option<(Duration, Duration)> {
    match fault {
        Fault::Partition(partition) => partition.flapping.map(|flapping| (flapping, flapping)),
        Fault::Slow(fault) => Some(fault.turns()),
        _ => None,
    }
}
