//! One fault's course: planned, applied, confirmed, healed, shown to be gone.
//!
//! ```text
//!   Planned -> Aiming -> Confirming -> Holding -> Healing -> Over
//!                 |          |                       |
//!                 +----------+---- failed: recorded, and taken back all the same
//! ```

use std::time::Duration;

use viewstorm_history::Timestamp;

use crate::confirm::{Before, Check, flapping};
use crate::hits::{Hits, Miss};
use crate::ledger::{LedgerEntry, Step};
use crate::probe::{Context, Finding};
use crate::{Fault, Observation, ScheduledFault};

/// A fault on its course.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    scheduled: ScheduledFault,
    planned_at: Timestamp,
    phase: Phase,
    hits: Hits,
    before: Before,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Its time has not come.
    Planned,
    /// Its target is not known yet.
    Aiming { deadline: Timestamp },
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
            scheduled,
            phase: Phase::Planned,
            hits: Hits::default(),
            before: Before::default(),
        }
    }

    pub(crate) const fn length(&self) -> Option<Duration> {
        self.scheduled.length
    }

    /// What it does, while it is applied.
    pub(crate) const fn hits(&self) -> Option<&Hits> {
        match self.phase {
            Phase::Active(_) => Some(&self.hits),
            _ => None,
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Goes on, as far as it can now.
    pub(crate) fn step(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) -> Next {
        let now = context.now;
        match &mut self.phase {
            Phase::Planned if now >= self.planned_at => {
                let deadline = now + context.options.target_within;
                self.phase = Phase::Aiming { deadline };
                self.aim(deadline, entry, context)
            }
            Phase::Aiming { deadline } => {
                let deadline = *deadline;
                self.aim(deadline, entry, context)
            }
            Phase::Active(active) => {
                if active.flip.is_some_and(|flip| now >= flip) {
                    self.flip(now);
                    return Next::Changed;
                }
                self.confirm(entry, context)
            }
            Phase::Healing { .. } => self.confirm_heal(entry, context),
            Phase::Planned | Phase::Over => Next::Wait,
        }
    }

    /// Applies the fault if its target can be told.
    fn aim(
        &mut self,
        deadline: Timestamp,
        entry: &mut LedgerEntry,
        context: &mut Context<'_>,
    ) -> Next {
        let (now, grip) = (context.now, &context.grip);
        let reason = match Hits::resolve(&self.scheduled, grip.topology, &grip.known) {
            Ok(hits) => {
                self.inject(hits, entry, context);
                return Next::Changed;
            }
            Err(Miss::NoPrimary) if now < deadline => return Next::Wait,
            Err(Miss::NoPrimary) => {
                format!(
                    "no primary was known for {:?}",
                    context.options.target_within
                )
            }
            Err(Miss::Nothing(reason)) => reason,
        };
        context
            .actions
            .push(entry.failed(Step::Inject, &reason, now));
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
        for replica in &hits.damages {
            context.grip.known.damage(*replica);
        }
        // The time of one that waits for processes to end counts from when they have.
        let length = self
            .scheduled
            .length
            .filter(|_| !self.scheduled.fault.is_a_trap());
        let end = length.map(|length| now + length);
        let deadline = now + context.options.confirm_within;
        self.phase = Phase::Active(Active {
            check,
            deadline: Some(end.map_or(deadline, |end| end.min(deadline))),
            end,
            flip: flapping(&self.scheduled.fault).map(|length| now + length),
        });
        self.hits = hits;
    }

    /// One that comes and goes comes or goes.
    fn flip(&mut self, now: Timestamp) {
        let Phase::Active(active) = &mut self.phase else {
            return;
        };
        self.hits.is_lifted = !self.hits.is_lifted;
        active.check.flip(self.hits.is_lifted, now);
        active.flip = flapping(&self.scheduled.fault).map(|length| now + length);
    }

    /// Looks whether the fault took effect, and whether its time is over.
    fn confirm(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) -> Next {
        let now = context.now;
        let Phase::Active(active) = &mut self.phase else {
            return Next::Wait;
        };
        if let Some(deadline) = active.deadline {
            let finding = active.check.look(context);
            let is_late = now >= deadline;
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
            match finding {
                Finding::Shown(evidence) => {
                    context.actions.push(entry.confirmed(evidence, now));
                }
                Finding::Refuted(reason) => {
                    context
                        .actions
                        .push(entry.failed(Step::Confirm, &reason, now));
                }
                Finding::Open(reason) if is_late => {
                    let by = if active.end.is_some_and(|end| now >= end) {
                        "by its end"
                    } else {
                        "in time"
                    };
                    let reason = format!("{by}: {reason}");
                    context
                        .actions
                        .push(entry.failed(Step::Confirm, &reason, now));
                }
                Finding::Open(_) => {}
            }
        }
        // Once it is known whether the process has ended, it is started again.
        let is_restart = matches!(self.scheduled.fault, Fault::Restart(_));
        let is_time = is_restart && active.deadline.is_none();
        if is_time || active.end.is_some_and(|end| now >= end) {
            self.heal(entry, context);
            return Next::Changed;
        }
        Next::Wait
    }

    /// Takes the fault back.
    fn heal(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) {
        context.actions.push(entry.healed(context.now));
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
            Finding::Open(_) if check.is_obstructed(context) => {
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

    /// Ends it now: one that is applied is taken back, one whose time has not come never comes.
    pub(crate) fn end(&mut self, entry: &mut LedgerEntry, context: &mut Context<'_>) {
        match &mut self.phase {
            Phase::Planned => {
                entry.not_reached = true;
                self.phase = Phase::Over;
            }
            Phase::Aiming { .. } => {
                let reason = "no primary was known until the end of the run";
                context
                    .actions
                    .push(entry.failed(Step::Inject, reason, context.now));
                self.phase = Phase::Over;
            }
            Phase::Active(active) => {
                if active.deadline.is_some() {
                    let reason = match active.check.look(context) {
                        Finding::Open(reason) | Finding::Refuted(reason) => Err(reason),
                        Finding::Shown(evidence) => Ok(evidence),
                    };
                    context.actions.push(match reason {
                        Ok(evidence) => entry.confirmed(evidence, context.now),
                        Err(reason) => {
                            let reason = format!("by the end of the run: {reason}");
                            entry.failed(Step::Confirm, &reason, context.now)
                        }
                    });
                }
                self.heal(entry, context);
            }
            Phase::Healing { .. } | Phase::Over => {}
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
                let leak = active.check.observe(observation, context);
                if let Some(leak) = leak.filter(|_| active.deadline.is_none()) {
                    context
                        .actions
                        .push(entry.failed(Step::Confirm, &leak, context.now));
                }
            }
            Phase::Healing { check, .. } => {
                check.observe(observation, context);
            }
            Phase::Planned | Phase::Aiming { .. } | Phase::Over => {}
        }
    }

    /// When it next wants to go on, if it does not only wait to be told.
    pub(crate) fn next_timeout(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Planned => Some(self.planned_at),
            Phase::Aiming { deadline } => Some(*deadline),
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
