//! What the transport lost or refused, from its start on.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// One count.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Messages to peers that were not connected.
    pub(super) unconnected: Count,
    /// Messages that found no room in a peer's queue.
    pub(super) queue_full: Count,
    /// Messages that are longer than a frame may be.
    pub(super) too_long: Count,
    /// Connections that were closed because the peer sent nonsense.
    pub(super) malformed: Count,
    /// Connections of peers who may not connect here, or of an earlier incarnation.
    pub(super) refused: Count,
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "messages lost: {} to unconnected peers, {} for want of room, {} too long; \
             connections closed: {} malformed, {} refused",
            self.unconnected.get(),
            self.queue_full.get(),
            self.too_long.get(),
            self.malformed.get(),
            self.refused.get(),
        )
    }
}
