//! The message-layer seam: where whoever drives a core may pass, drop or delay what leaves and arrives.
//!
//! The core does not know it. The honest replica plugs in [`OpenTap`]; `viewstorm replica` and the simulator
//! plug in the nemesis' rules.

use std::time::Duration;

use crate::{Instant, NodeId, ViewNumber};

/// Which way a message goes, seen from the node whose tap it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It leaves this node.
    Send,
    /// It arrives at this node.
    Receive,
}

/// What the tap is told of a message: never its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passing {
    /// Which way it goes.
    pub direction: Direction,
    /// The node at the other end.
    pub peer: NodeId,
    /// [`Message::kind`](crate::Message::kind).
    pub kind: &'static str,
    /// [`Message::view`](crate::Message::view).
    pub view: Option<ViewNumber>,
    /// [`Message::number`](crate::Message::number).
    pub number: Option<u64>,
}

/// What becomes of a message at the tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapVerdict {
    /// It goes on.
    Pass,
    /// It is gone.
    Drop,
    /// It goes on after this long; later messages may overtake it.
    Delay(Duration),
    /// It goes on now and once more after this long.
    Duplicate(Duration),
    /// It waits until the rule that held it is lifted.
    Hold,
    /// It goes on now, and a copy waits until the rule that made it is lifted.
    Replay,
}

/// Decides what becomes of each message.
pub trait Tap {
    /// Looks at one message.
    fn inspect(&mut self, now: Instant, passing: &Passing) -> TapVerdict;
}

/// The tap of an honest world: everything passes.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenTap;

impl Tap for OpenTap {
    fn inspect(&mut self, _now: Instant, _passing: &Passing) -> TapVerdict {
        TapVerdict::Pass
    }
}
