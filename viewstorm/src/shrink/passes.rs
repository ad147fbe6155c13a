//! The ways in which a plan gets smaller.

use std::time::Duration;

use viewstorm_nemesis::{Declaration, When};

use super::ddmin::ddmin;
use super::shrinker::{ShrinkError, Shrinker};
use crate::plan::{Arrival, Faults, Liveness, Plan};

/// How long a run goes on after the property was broken: its faults need not heal, its readers must read.
const MARGIN: Duration = Duration::from_millis(500);
/// A fault shorter than this has no time to be confirmed.
const SHORTEST_FAULT: Duration = Duration::from_millis(300);

impl Shrinker<'_> {
    /// Ends the run soon after the property was broken. What would have come later did not matter.
    pub(super) fn cut_the_end(&mut self) -> Result<(), ShrinkError> {
        let Some(broken_at) = self.broken_at() else {
            return Ok(());
        };
        // What is broken only at the very end did not need what came after the last fault.
        let last = self.best.nemesis.settled.iter().filter_map(last_end).max();
        let end = match last {
            Some(last) if broken_at >= self.best.run.duration => last + MARGIN,
            _ => broken_at + MARGIN,
        };
        if end < self.best.run.duration {
            let mut plan = self.best.clone();
            plan.run.duration = end;
            plan.run.warmup = plan.run.warmup.min(end / 2);
            plan.nemesis.settled.retain(|fault| fault.count(end) > 0);
            self.try_plan(plan)?;
        }
        Ok(())
    }

    /// Drops faults that do not matter.
    pub(super) fn drop_faults(&mut self) -> Result<(), ShrinkError> {
        let faults = self.best.nemesis.settled.clone();
        let mut error = None;
        let left = ddmin(faults, |part| {
            let nemesis = Faults {
                settled: part.to_vec(),
                open: Vec::new(),
            };
            let plan = Plan {
                nemesis,
                ..self.best.clone()
            };
            self.try_plan(plan).unwrap_or_else(|failed| {
                error = Some(failed);
                false
            })
        });
        debug_assert!(error.is_some() || left == self.best.nemesis.settled);
        error.map_or(Ok(()), Err)
    }

    /// Shortens what is left.
    pub(super) fn lower_magnitudes(&mut self) -> Result<(), ShrinkError> {
        for index in 0..self.best.nemesis.settled.len() {
            while let Some(length) = self.best.nemesis.settled[index].length
                && length / 2 >= SHORTEST_FAULT
            {
                let mut plan = self.best.clone();
                plan.nemesis.settled[index].length = Some(length / 2);
                if !self.try_plan(plan)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Fewer replicas, clients, keys and operations.
    pub(super) fn lessen_load(&mut self) -> Result<(), ShrinkError> {
        let lessen: [fn(&mut Plan); 7] = [
            |plan| plan.check.liveness = Liveness::All,
            |plan| plan.workload.pauses = None,
            |plan| plan.cluster.replicas = plan.cluster.replicas.saturating_sub(2).max(3),
            |plan| plan.workload.keys = (plan.workload.keys / 2).max(1),
            |plan| {
                plan.workload.clients =
                    (plan.workload.clients / 2).max(u32::from(plan.workload.endpoints))
            },
            |plan| plan.workload.endpoints = (plan.workload.endpoints / 2).max(1),
            |plan| {
                if let Arrival::Open { rate } = &mut plan.workload.arrival {
                    *rate = (*rate / 2.0).max(1.0);
                }
            },
        ];
        for lessen in lessen {
            loop {
                let mut plan = self.best.clone();
                lessen(&mut plan);
                if plan == self.best || !self.try_plan(plan)? {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// When a fault is over, from the start of the load; none where that hangs on what happens.
fn last_end(fault: &Declaration) -> Option<Duration> {
    match fault.when {
        When::At(at) => Some(at.saturating_add(fault.length.unwrap_or_default())),
        When::Every { .. } | When::On { .. } => None,
    }
}
