//! Where messages pass a node's tap: what it drops, delays, holds and duplicates.
//!
//! ```text
//!   offer -> tap: Pass ----------------------> goes on
//!                 Drop, or no room -----------> lost, counted
//!                 Delay, Duplicate -> delayed -> take_due
//!                 Hold ------------> held ----> set_rules
//! ```
//!
//! What is delayed or held here dies with the process, as what a kernel buffers for it does.

use std::collections::{BTreeMap, VecDeque};

use viewstorm_protocol::{Instant, Passing, TapVerdict};

use crate::TapControl;

/// A tap and what it keeps back.
pub(crate) struct Gate<T> {
    tap: Box<dyn TapControl>,
    held: VecDeque<(Passing, T)>,
    delayed: BTreeMap<(Instant, u64), T>,
    /// Keeps the order among those that are due at the same time.
    sequence: u64,
    room: usize,
    lost: u64,
    /// Watches that were about something since this was last asked.
    seen: Vec<u64>,
}

impl<T: Clone> Gate<T> {
    /// A gate that holds and delays `room` items at most.
    pub(crate) fn new(tap: Box<dyn TapControl>, room: usize) -> Self {
        Self {
            tap,
            held: VecDeque::new(),
            delayed: BTreeMap::new(),
            sequence: 0,
            room,
            lost: 0,
            seen: Vec::new(),
        }
    }

    /// Asks the tap what becomes of `item`. Hands it back if it goes on at once.
    #[must_use = "what is handed back goes on"]
    pub(crate) fn offer(&mut self, now: Instant, passing: Passing, item: T) -> Option<T> {
        self.tap.seen(&passing, &mut self.seen);
        match self.tap.inspect(now, &passing) {
            TapVerdict::Pass => return Some(item),
            TapVerdict::Drop => self.lost += 1,
            TapVerdict::Delay(by) => self.delay(now + by, item),
            TapVerdict::Duplicate(by) => {
                self.delay(now + by, item.clone());
                return Some(item);
            }
            TapVerdict::Hold if self.has_room() => self.held.push_back((passing, item)),
            TapVerdict::Hold => self.lost += 1,
            TapVerdict::Replay => {
                if self.has_room() {
                    self.held.push_back((passing, item.clone()));
                }
                return Some(item);
            }
        }
        None
    }

    fn delay(&mut self, until: Instant, item: T) {
        if self.has_room() {
            self.sequence += 1;
            self.delayed.insert((until, self.sequence), item);
        } else {
            self.lost += 1;
        }
    }

    fn has_room(&self) -> bool {
        self.held.len() + self.delayed.len() < self.room
    }

    /// Takes one item whose delay is over, the one that was due first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<T> {
        let first = self.delayed.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next delay is over.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// Replaces the tap's rules. Hands out what only a vanished rule held, in the order in which it came.
    pub(crate) fn set_rules(
        &mut self,
        now: Instant,
        rules: &serde_json::Value,
    ) -> Result<Vec<T>, String> {
        self.tap.set_rules(rules)?;
        let mut released = Vec::new();
        for (passing, item) in std::mem::take(&mut self.held) {
            match self.tap.inspect(now, &passing) {
                TapVerdict::Hold | TapVerdict::Replay => self.held.push_back((passing, item)),
                _ => released.push(item),
            }
        }
        Ok(released)
    }

    /// Replaces what the tap watches for.
    pub(crate) fn set_watches(&mut self, watches: &serde_json::Value) -> Result<(), String> {
        self.tap.set_watches(watches)
    }

    /// Takes the names of the watches that were about something that was offered, each as often as it was.
    pub(crate) fn take_seen(&mut self) -> std::vec::Drain<'_, u64> {
        self.seen.drain(..)
    }

    /// How many items are gone: dropped by a rule, or for want of room.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use viewstorm_protocol::{Direction, NodeId, Tap};

    use super::*;

    /// Decides by the number of a message; its only rule is up to which number it holds.
    struct ByNumber {
        hold_up_to: u64,
    }

    const DELAY: Duration = Duration::from_millis(1);

    impl Tap for ByNumber {
        fn inspect(&mut self, _now: Instant, passing: &Passing) -> TapVerdict {
            match passing.number {
                Some(number) if number <= self.hold_up_to => TapVerdict::Hold,
                Some(100) => TapVerdict::Drop,
                Some(101) => TapVerdict::Delay(DELAY),
                Some(102) => TapVerdict::Duplicate(2 * DELAY),
                Some(103) if self.hold_up_to > 0 => TapVerdict::Replay,
                _ => TapVerdict::Pass,
            }
        }
    }

    impl TapControl for ByNumber {
        fn set_rules(&mut self, rules: &serde_json::Value) -> Result<(), String> {
            self.hold_up_to = rules.as_u64().ok_or("not a number")?;
            Ok(())
        }
    }

    fn offer(gate: &mut Gate<u64>, number: u64) -> Option<u64> {
        let passing = Passing {
            direction: Direction::Send,
            peer: NodeId::replica(1),
            kind: "Prepare",
            view: None,
            number: Some(number),
        };
        gate.offer(Instant::ORIGIN, passing, number)
    }

    fn gate(hold_up_to: u64, room: usize) -> Gate<u64> {
        Gate::new(Box::new(ByNumber { hold_up_to }), room)
    }

    #[test]
    fn what_passes_goes_on_and_what_is_dropped_is_gone() {
        let mut gate = gate(0, 4);
        assert_eq!(offer(&mut gate, 99), Some(99));
        assert_eq!(offer(&mut gate, 100), None);
        assert_eq!((gate.lost(), gate.next_due()), (1, None));
    }

    #[test]
    fn a_delayed_message_and_a_second_copy_come_when_they_are_due() {
        let mut gate = gate(0, 4);
        assert_eq!(offer(&mut gate, 102), Some(102));
        assert_eq!(offer(&mut gate, 101), None);
        let due = Instant::ORIGIN + DELAY;
        assert_eq!(gate.next_due(), Some(due));
        assert_eq!(gate.take_due(Instant::ORIGIN), None);
        assert_eq!(gate.take_due(due), Some(101));
        assert_eq!(gate.take_due(due), None);
        assert_eq!(gate.take_due(due + DELAY), Some(102));
        assert_eq!(gate.next_due(), None);
    }

    #[test]
    fn what_only_a_vanished_rule_held_goes_on_in_order_and_the_rest_stays() {
        let mut gate = gate(5, 4);
        for number in [4, 2, 5, 1] {
            assert_eq!(offer(&mut gate, number), None);
        }
        let released = gate.set_rules(Instant::ORIGIN, &2.into()).unwrap();
        assert_eq!(released, [4, 5]);
        let released = gate.set_rules(Instant::ORIGIN, &0.into()).unwrap();
        assert_eq!(released, [2, 1]);
    }

    #[test]
    fn what_is_replayed_goes_on_now_and_again_when_the_rule_is_lifted() {
        let mut gate = gate(5, 4);
        assert_eq!(offer(&mut gate, 103), Some(103));
        assert!(
            gate.set_rules(Instant::ORIGIN, &4.into())
                .unwrap()
                .is_empty()
        );
        let released = gate.set_rules(Instant::ORIGIN, &0.into()).unwrap();
        assert_eq!(released, [103]);
        assert!(
            gate.set_rules(Instant::ORIGIN, &0.into())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn rules_that_make_no_sense_change_nothing() {
        let mut gate = gate(5, 4);
        assert_eq!(offer(&mut gate, 5), None);
        assert!(gate.set_rules(Instant::ORIGIN, &"x".into()).is_err());
        assert_eq!(offer(&mut gate, 5), None);
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let mut gate = gate(5, 2);
        assert_eq!(offer(&mut gate, 1), None);
        assert_eq!(offer(&mut gate, 101), None);
        assert_eq!(offer(&mut gate, 2), None);
        assert_eq!(offer(&mut gate, 101), None);
        assert_eq!(offer(&mut gate, 102), Some(102));
        assert_eq!(gate.lost(), 3);
    }
}
