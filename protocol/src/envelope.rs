//! What travels: a message with its sender's incarnation and Lamport stamp.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ViewNumber;

/// Counts a node's starts. A message of an earlier incarnation than the one a receiver has met is dropped:
/// packets of a dead process that arrive late must not speak for its successor.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// What a message tells those who may not look inside: taps, traces and rules select by it.
pub trait Message: Clone + Debug + Serialize + DeserializeOwned {
    /// The message's name in its paper: `Prepare`, `StartViewChange`, ...
    fn kind(&self) -> &'static str;
    /// The view it belongs to, if it names one.
    fn view(&self) -> Option<ViewNumber>;
    /// Its op-number, sequence number or request number, if it has one.
    fn number(&self) -> Option<u64>;
}

/// A message as it travels between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<M> {
    /// The sender's Lamport time.
    pub lamport: u64,
    /// Which start of the sender said it.
    pub incarnation: Incarnation,
    /// What was said.
    pub message: M,
}

/// A logical clock (Lamport 1978, "Time, Clocks, and the Ordering of Events in a Distributed System",
/// rules IR1 and IR2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LamportClock(u64);

impl LamportClock {
    /// IR1: every event on a node ticks. Returns the event's time.
    pub fn tick(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    /// IR2: a receipt is later than the sending it sees. Returns the receipt's time. A stamp from the end of
    /// time saturates rather than wraps: a peer's bytes never panic us.
    pub fn receive(&mut self, stamp: u64) -> u64 {
        self.0 = self.0.max(stamp).saturating_add(1);
        self.0
    }

    /// The time of the node's latest event.
    pub const fn now(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_later_than_the_sending_and_than_all_before_it() {
        let (mut sender, mut receiver) = (LamportClock::default(), LamportClock::default());
        receiver.tick();
        let stamp = (0..5).map(|_| sender.tick()).last().unwrap();
        assert_eq!(receiver.receive(stamp), 6);
        assert_eq!(receiver.receive(2), 7);
        assert_eq!(receiver.receive(u64::MAX), u64::MAX);
    }
}
