//! A node's tap: the nemesis' rules, and what they hold.

use std::collections::VecDeque;

use viewstorm_nemesis::{RuleTap, TapRule, TapWatch};
use viewstorm_protocol::{Direction, Instant, Passing, Tap, TapVerdict};

use crate::queue::Slot;

/// A node's tap. What it holds outlives the node's process, so that it can be released across incarnations.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    tap: Option<RuleTap>,
    watches: Vec<TapWatch>,
    held: VecDeque<(Direction, Slot)>,
}

impl Gate {
    /// Whether everything passes.
    pub(crate) const fn is_open(&self) -> bool {
        self.tap.is_none() && self.watches.is_empty()
    }

    /// Replaces what is watched for.
    pub(crate) fn watch(&mut self, watches: Vec<TapWatch>) {
        self.watches = watches;
    }

    /// The watches that are about such a message.
    pub(crate) fn seen(&self, passing: &Passing) -> impl Iterator<Item = u64> {
        let about = self.watches.iter().filter(|watch| watch.matches(passing));
        about.map(|watch| watch.id)
    }

    /// Replaces the rules. Hands out all that was held, oldest first.
    pub(crate) fn set(&mut self, rules: Vec<TapRule>) -> VecDeque<(Direction, Slot)> {
        match &mut self.tap {
            Some(tap) if !rules.is_empty() => tap.set(rules),
            tap => *tap = (!rules.is_empty()).then(|| RuleTap::new(rules)),
        }
        std::mem::take(&mut self.held)
    }

    /// What becomes of a message.
    pub(crate) fn inspect(&mut self, now: u64, passing: &Passing) -> TapVerdict {
        let now = Instant::from_nanos(now);
        self.tap
            .as_mut()
            .map_or(TapVerdict::Pass, |tap| tap.inspect(now, passing))
    }

    /// Holds a message.
    pub(crate) fn hold(&mut self, direction: Direction, slot: Slot) {
        self.held.push_back((direction, slot));
    }

    /// How many it holds.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }
}
