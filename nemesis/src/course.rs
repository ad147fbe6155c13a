//! One fault's course: planned, applied, confirmed, healed, shown to be gone.
//!
//! ```text
//!   (Waiting ->) Planned -> Aiming -> Confirming -> Holding -> Healing -> Over
//!                              |          |                       |
//!                              +----------+---- failed: recorded, and taken back all the same
//! ```

use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_protocol::NodeId;

use crate::confirm::{Before, Check, turns};
use crate::healthy_core::{Core, what_stays};
use crate::hits::{Hits, Miss};
use crate::ledger::{LedgerEntry, Step};
use crate::probe::{Context, Finding};
use crate::trigger::Sighting;
use crate::{Fault, LinkEffect, LinkFault, Observation, Region, ScheduledFault, TapWatch};

/// Longer than any run.
const ENDLESS: Duration = Duration::from_secs(1 << 30);

/// A fault on its course.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    scheduled: ScheduledFault,
    planned_at: Timestamp,
    phase: Phase,
    hits: Hits,
    before: Before,
    /// What stays of it for ever, where only a core was healed.
    kept: Option<Hits>,
    /// It was told something since it last looked.
    is_told: bool,
}

#[derive(Clone, Debug)]
enum Phase {
    /// What it waits for has happened so often.
    Waiting { seen: u32 },
    /// Its time has not come.
    Planned,
    /// Its target is not known yet.
    Aiming {
        deadline: Timestamp,
        /// Other faults were applied meanwhile.
        is_crowded: bool,
    },
    /// It is applied.
    Active(Active),
    /// It is taken back.
    Healing { check: Check, deadline: Timestamp },
    /// Nothing more will come of it.
    Over,
}

#[derive(Clone, Debug)]
struct Active {
    check: Check,
    /// By when the check must have come to something; none once it has.
    deadline: Option<Timestamp>,
    /// How long the check has from when nothing stands in its way.
    patience: Duration,
    /// Other faults have stood in its way.
    is_crowded: bool,
    end: Option<Timestamp>,
    /// When it next comes or goes, if it does in turn.
    flip: Option<Timestamp>,
}

/// What a step of a course asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// What the fault does has changed: order it, then step again.
    Changed,
    /// Nothing until something is observed or due.
    Wait,
}

impl Course {
    pub(crate) fn new(scheduled: ScheduledFault, start: Timestamp) -> Self {
        Self {
            planned_at: start + scheduled.at,
            phase: match scheduled.trigger {
                Some(_) => Phase::Waiting { seen: 0 },
                None => Phase::Planned,
            },
            scheduled,
            hits: Hits::default(),
            before: Before::default(),
            kept: None,
            is_told: false,
        }
    }

    pub(crate) const fn length(&self) -> Option<Duration> {
        self.scheduled.length
    }

    /// What it does, while it is applied.
    pub(crate) const fn hits(&self) -> Option<&Hits> {
        match self.phase {
            Phase::Active(_) => Some(&self.hits),
            _ => self.kept.as_ref(),
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether it was told something since its last step, and may go on.
    pub(crate) const fn is_told(&self) -> bool {
        self.is_told
    }

    /// Goes on, as far as it can now.
    pub(crate) fn step(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) -> Next {
        let now = context.now;
        self.is_told = false;
        match &mut self.phase {
            Phase::Planned if now >= self.planned_at => {
                let deadline = now + context.options.target_within;
                self.phase = Phase::Aiming {
                    deadline,
                    is_crowded: false,
                };
                self.aim(entry, context)
            }
            Phase::Aiming { .. } => self.aim(entry, context),
            Phase::Active(active) => {
                if active.flip.is_some_and(|flip| now >= flip) {
                    self.flip(now);
                    return Next::Changed;
                }
                self.confirm(entry, context)
            }
            Phase::Healing { .. } => self.confirm_heal(entry, context),
            Phase::Waiting { .. } | Phase::Planned | Phase::Over => Next::Wait,
        }
    }

    /// Applies the fault if its target can be told.
    fn aim(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) -> Next {
        let (now, grip) = (context.now, &context.grip);
        let Phase::Aiming {
            deadline,
            is_crowded,
        } = &mut self.phase
        else {
            return Next::Wait;
        };
        *is_crowded |= grip.is_busy();
        let (deadline, is_crowded) = (*deadline, *is_crowded);
        let (reason, is_crowded) = match Hits::resolve(&self.scheduled, grip.topology, &grip.known)
        {
            Ok(hits) => {
                self.inject(hits, entry, context);
                return Next::Changed;
            }
            Err(Miss::NoPrimary) if now < deadline => return Next::Wait,
            Err(Miss::NoPrimary) => {
                let within = context.options.target_within;
                (format!("no primary was known for {within:?}"), is_crowded)
            }
            Err(Miss::Nothing(reason)) => (reason, false),
            Err(Miss::Down(reason)) => (reason, true),
        };
        context
            .actions
            .push(entry.fell_short(Step::Inject, &reason, is_crowded, now));
        self.phase = Phase::Over;
        Next::Wait
    }

    fn inject(&mut self, hits: Hits, entry: &mut LedgerEntry, context: &mut Context<'_>) {
        let now = context.now;
        self.before = Before::new(&hits, context);
        let check = Check::confirm(&self.scheduled.fault, &hits, &self.before, context);
        let links = hits.touched.iter().copied().collect();
        context
            .actions
            .push(entry.injected(hits.targets.clone(), links, now));
        context.actions.extend(hits.once.iter().cloned());
        for replica in &hits.wakes {
            if let Some(known) = context.grip.known.get_mut(*replica) {
                known.owes_start = true;
            }
        }
        for replica in &hits.damages {
            context.grip.known.damage(*replica);
        }
        // The time of one that waits for processes to end counts from when they have.
        let length = self
            .scheduled
            .length
            .filter(|_| !self.scheduled.fault.is_a_trap());
        let end = length.map(|length| now + length);
        // What comes late by the fault's own order is no reason to give up on it.
        let own_delay = longest_delay(&self.scheduled.fault);
        // An administrator asks until it is answered.
        let patience = match self.is_reconfiguration() {
            true => ENDLESS,
            false => context.options.confirm_within.saturating_add(own_delay),
        };
        let deadline = now + patience;
        self.phase = Phase::Active(Active {
            check,
            deadline: Some(end.map_or(deadline, |end| end.min(deadline))),
            patience,
            is_crowded: false,
            end,
            flip: turns(&self.scheduled.fault).map(|(there, _)| now + there),
        });
        self.hits = hits;
    }

    const fn is_reconfiguration(&self) -> bool {
        matches!(self.scheduled.fault, Fault::Reconfigure(_))
    }

    /// One that comes and goes comes or goes.
    fn flip(&mut self, now: Timestamp) {
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        self.hits.is_lifted = !self.hits.is_lifted;
        active.check.flip(self.hits.is_lifted, now);
        let turns = turns(&self.scheduled.fault);
        active.flip = turns.map(|(there, away)| match self.hits.is_lifted {
            true => now + away,
            false => now + there,
        });
    }

    /// Looks whether the fault took effect, and whether its time is over.
    fn confirm(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) -> Next {
        let now = context.now;
        let Phase::Active(active) = &mut self.phase else {
            return Next::Wait;
        };
        if let Some(deadline) = active.deadline {
            let finding = active.check.look(context);
            let is_crowded = context.grip.is_crowded(&self.hits, true)
                && !matches!(self.scheduled.fault, Fault::Reconfigure(_));
            active.is_crowded |= is_crowded;
            let has_ended = active.end.is_some_and(|end| now >= end);
            let is_late = now >= deadline && (has_ended || !is_crowded);
            if now >= deadline && !is_late {
                // Its time does not run while others stand in its way.
                let deadline = now + active.patience;
                active.deadline = Some(active.end.map_or(deadline, |end| end.min(deadline)));
            }
            if !matches!(finding, Finding::Open(_)) || is_late {
                active.deadline = None;
                if self.scheduled.fault.is_a_trap() {
                    // One into which nobody went is taken away.
                    let is_shown = matches!(finding, Finding::Shown(_));
                    let length = if is_shown {
                        self.scheduled.length
                    } else {
                        Some(Duration::ZERO)
                    };
                    active.end = length.map(|length| now + length);
                }
            }
            let action = match finding {
                Finding::Shown(evidence) => Some(entry.confirmed(evidence, now)),
                // Another fault ended the process before it went into the trap.
                Finding::Refuted(reason) => {
                    let is_others = active.is_crowded && self.scheduled.fault.is_a_trap();
                    Some(entry.fell_short(Step::Confirm, &reason, is_others, now))
                }
                Finding::Open(reason) if is_late => {
                    let by = if has_ended { "by its end" } else { "in time" };
                    let reason = format!("{by}: {reason}");
                    Some(entry.fell_short(Step::Confirm, &reason, active.is_crowded, now))
                }
                Finding::Open(_) => None,
            };
            context.actions.extend(action);
        }
        // Once it is known whether the process has ended, it is started again; a reconfiguration that has come to
        // something is over.
        let fault = &self.scheduled.fault;
        let is_restart = matches!(fault, Fault::Restart(_) | Fault::Reconfigure(_));
        let is_time = is_restart && active.deadline.is_none();
        if is_time || active.end.is_some_and(|end| now >= end) {
            self.heal(entry, context);
            return Next::Changed;
        }
        Next::Wait
    }

    /// Takes the fault back inside the core and leaves the rest of it for ever.
    fn heal_core(&mut self, core: &Core, entry: &mut LedgerEntry, context: &mut Context<'_>) {
        let is_restart = matches!(self.scheduled.fault, Fault::Restart(_));
        let (kept, lifted) = core.part(&self.hits, is_restart, &context.grip.known);
        let Some(stays) = what_stays(&kept) else {
            return self.heal(entry, context);
        };
        self.before.only(&lifted);
        self.hits = lifted;
        self.kept = Some(kept);
        if self.hits.is_nothing() {
            context.actions.push(entry.stays(stays, context.now));
            self.phase = Phase::Over;
        } else {
            entry.stays = Some(stays);
            self.heal(entry, context);
        }
    }

    /// Takes the fault back.
    fn heal(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) {
        context.actions.push(entry.healed(context.now));
        if self.scheduled.fault.is_a_trap() && entry.confirmed_at.is_none() {
            // It may have ended nobody, who then does not come back.
            self.before = Before::default();
        }
        let check = Check::heal(&self.scheduled.fault, &self.hits, &self.before, context);
        let deadline = context.now + context.options.heal_within;
        self.phase = Phase::Healing { check, deadline };
    }

    fn confirm_heal(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) -> Next {
        let now = context.now;
        let Phase::Healing { check, deadline } = &mut self.phase else {
            return Next::Wait;
        };
        match check.look(context) {
            Finding::Shown(evidence) => {
                context.actions.push(entry.healed_confirmed(evidence, now));
                self.phase = Phase::Over;
            }
            Finding::Open(reason) if context.grip.is_settled() => {
                // What hides it now does so for ever.
                let is_hidden = check.is_obstructed(context);
                if is_hidden || now >= *deadline {
                    context.actions.push(match is_hidden {
                        true => entry.hidden(&reason, now),
                        false => {
                            let is_crowded = context.grip.is_crowded(&self.hits, false);
                            entry.fell_short(Step::Heal, &reason, is_crowded, now)
                        }
                    });
                    self.phase = Phase::Over;
                }
            }
            Finding::Open(_)
                if check.is_obstructed(context) || context.grip.is_crowded(&self.hits, false) =>
            {
                *deadline = now + context.options.heal_within;
            }
            Finding::Open(_) if now < *deadline => {}
            Finding::Open(reason) | Finding::Refuted(reason) => {
                context.actions.push(entry.failed(Step::Heal, &reason, now));
                self.phase = Phase::Over;
            }
        }
        Next::Wait
    }

    /// Ends it now: one that is applied is taken back, with a core as far as that goes; one whose time has not
    /// come never comes.
    pub(crate) fn end(
        &mut self,
        core: Option<&Core>,
        entry: &mut LedgerEntry,
        context: &mut Context<'_>,
    ) {
        match &mut self.phase {
            Phase::Waiting { .. } | Phase::Planned => {
                entry.not_reached = true;
                self.phase = Phase::Over;
            }
            Phase::Aiming { is_crowded, .. } => {
                let reason = "no primary was known until the end of the run";
                let is_crowded = *is_crowded;
                let action = entry.fell_short(Step::Inject, reason, is_crowded, context.now);
                context.actions.push(action);
                self.phase = Phase::Over;
            }
            // The group may only have waited for the others to be healed.
            Phase::Active(active)
                if matches!(self.scheduled.fault, Fault::Reconfigure(_))
                    && active.deadline.is_some() =>
            {
                let deadline = Some(context.now + context.options.heal_within);
                (active.deadline, active.end) = (deadline, deadline);
            }
            Phase::Active(active) => {
                if active.deadline.is_some() {
                    let by_end = |reason| format!("by the end of the run: {reason}");
                    let is_crowded = active.is_crowded || context.grip.is_crowded(&self.hits, true);
                    // One that came with the end of the run had no time to be shown.
                    let age = entry.injected_at.map(|at| context.now.saturating_since(at));
                    let is_crowded =
                        is_crowded || age.is_some_and(|age| age < context.options.shortest());
                    let (finding, now) = (active.check.look(context), context.now);
                    context.actions.push(match finding {
                        Finding::Shown(evidence) => entry.confirmed(evidence, now),
                        Finding::Open(reason) => {
                            entry.fell_short(Step::Confirm, &by_end(reason), is_crowded, now)
                        }
                        Finding::Refuted(reason) => {
                            entry.failed(Step::Confirm, &by_end(reason), now)
                        }
                    });
                }
                match core {
                    Some(core) => self.heal_core(core, entry, context),
                    None => self.heal(entry, context),
                }
            }
            Phase::Healing { .. } | Phase::Over => {}
        }
    }

    /// What it wants to be told of, and at whose tap, if it waits for a message.
    pub(crate) fn watch(&self, id: u64) -> Option<(Option<NodeId>, TapWatch)> {
        match (&self.phase, &self.scheduled.trigger) {
            (Phase::Waiting { .. }, Some(trigger)) => trigger.event.watch(id),
            _ => None,
        }
    }

    /// Something has happened that it may wait for.
    pub(crate) fn sighted(&mut self, sighting: Sighting, id: u64, now: Timestamp) {
        let (Phase::Waiting { seen }, Some(trigger)) = (&mut self.phase, &self.scheduled.trigger)
        else {
            return;
        };
        if now < self.planned_at || !trigger.event.is(sighting, id) {
            return;
        }
        *seen += 1;
        if *seen >= trigger.count {
            self.is_told = true;
            self.planned_at = now + trigger.after;
            self.phase = Phase::Planned;
        }
    }

    /// Takes note of what was observed.
    pub(crate) fn observe(
        &mut self,
        observation: &Observation,
        entry: &mut LedgerEntry,
        context: &mut Context<'_>,
    ) {
        if let (Phase::Active(_), Observation::Exited { replica, .. }) = (&self.phase, observation)
        {
            // A pause is over with the process that it stopped; the next one is not paused.
            self.hits.paused.remove(replica);
        }
        match &mut self.phase {
            Phase::Active(active) => {
                self.is_told |= active.check.is_about(observation);
                let leak = active.check.observe(observation, context);
                if let Some(leak) = leak.filter(|_| active.deadline.is_none()) {
                    context
                        .actions
                        .push(entry.failed(Step::Confirm, &leak, context.now));
                }
            }
            Phase::Healing { check, .. } => {
                self.is_told |= check.is_about(observation);
                check.observe(observation, context);
            }
            // A role may make its target known.
            Phase::Aiming { .. } => {
                self.is_told |= matches!(observation, Observation::Role { .. });
            }
            Phase::Waiting { .. } | Phase::Planned | Phase::Over => {}
        }
    }

    /// When it next wants to go on, if it does not only wait to be told.
    pub(crate) fn next_timeout(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Waiting { .. } => None,
            Phase::Planned => Some(self.planned_at),
            Phase::Aiming { deadline, .. } => Some(*deadline),
            Phase::Active(active) => {
                let look = active.deadline.and_then(|_| active.check.next_timeout());
                [active.deadline, look, active.end, active.flip]
                    .into_iter()
                    .flatten()
                    .min()
            }
            Phase::Healing { check, deadline } => Some(
                check
                    .next_timeout()
                    .map_or(*deadline, |look| look.min(*deadline)),
            ),
            Phase::Over => None,
        }
    }
}

/// By how much the fault itself may delay what would show it.
fn longest_delay(fault: &Fault) -> Duration {
    match fault {
        Fault::Links(LinkFault {
            effect: LinkEffect::Spread(spread),
            ..
        }) => spread.distribution.bounds().1,
        Fault::Wan(fault) => {
            let apart = |from: &Region| fault.regions.iter().map(|to| from.one_way(*to)).max();
            let longest = fault.regions.iter().filter_map(apart).max();
            longest.unwrap_or_default().mul_f64(1.0 + fault.jitter)
        }
        Fault::Links(LinkFault {
            effect: LinkEffect::Delay(delay),
            ..
        }) => delay.base.saturating_add(delay.jitter),
        Fault::Links(LinkFault {
            effect: LinkEffect::Reorder { by, .. },
            ..
        }) => *by,
        _ => Duration::ZERO,
    }
}
