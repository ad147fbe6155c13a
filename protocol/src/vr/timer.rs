//! Deadlines, and the jitter that keeps replicas from acting in step for ever.

use std::time::Duration;

use crate::Instant;

/// What a replica waits for. Each status gives them its own meaning; changing status clears all but
/// `Fetch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A primary speaks up.
    Heartbeat,
    /// What went unanswered is said again.
    Resend,
    /// Patience with the primary, the election or the transfer ends.
    Suspicion,
    /// Missing entries are asked for.
    Repair,
    /// Missing nodes of a checkpoint are asked for, whatever the status.
    Fetch,
    /// A lease is to be renewed, or no longer forbids a vote.
    Lease,
}

impl Timer {
    pub(super) const ALL: [Self; 6] = [
        Self::Heartbeat,
        Self::Resend,
        Self::Suspicion,
        Self::Repair,
        Self::Fetch,
        Self::Lease,
    ];
}

/// The deadlines that are set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: [Option<Instant>; Timer::ALL.len()],
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.due[timer as usize] = Some(at);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        self.due[timer as usize] = None;
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.due[timer as usize].is_some()
    }

    /// Whether the timer was due; if so it no longer is set.
    pub(super) fn take_due(&mut self, timer: Timer, now: Instant) -> bool {
        let due = &mut self.due[timer as usize];
        due.take_if(|at| *at <= now).is_some()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }
}

/// Steele, Lea and Flood's `splitmix64`: enough for jitter, and a value like any other.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least `duration` and less than half as long again.
    pub(super) fn stretch(&mut self, duration: Duration) -> Duration {
        let eighths = (self.next() % 512) as u32;
        duration.saturating_add(duration / 1024 * eighths)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
