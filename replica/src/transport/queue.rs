//! What waits to be written to one peer.
//!
//! Messages are encoded where they will be written from, so that all of a turn leave in one write. When the
//! queue is full the newest message is lost: what is before it is older but in order, and the protocols say
//! again what matters. Large messages have a place of their own: they must not hold up a heartbeat.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Notify;

use super::frame::{self, FrameError};

/// How many bytes of ordinary messages wait for one peer.
pub(super) const QUEUE_BYTES_MAX: usize = 1 << 20;
/// How many large messages wait for one peer or are being written to it.
pub(super) const LARGE_MESSAGES_MAX: usize = 4;

/// The queue of one peer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    ordinary: Vec<u8>,
    large: VecDeque<Vec<u8>>,
    /// Large messages that were taken and are not yet written.
    writing: usize,
}

/// What is to be written next.
#[derive(Debug)]
pub(super) struct Batch {
    /// Whole frames, perhaps none.
    pub(super) ordinary: Bytes,
    /// One frame each.
    pub(super) large: Vec<Bytes>,
}

impl From<&'static [u8]> for Batch {
    /// Frames that were never queued.
    fn from(frames: &'static [u8]) -> Self {
        Self {
            ordinary: Bytes::from_static(frames),
            large: Vec::new(),
        }
    }
}

/// Why a message is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    TooLong(FrameError),
}

impl Queue {
    /// Puts a message at the end.
    pub(super) fn push(&self, message: &impl Serialize) -> Result<(), Refused> {
        let mut waiting = self.waiting();
        let start = waiting.ordinary.len();
        frame::encode(message, &mut waiting.ordinary).map_err(Refused::TooLong)?;
        let bytes = waiting.ordinary.len() - start;
        if !frame::is_ordinary(bytes) {
            let large = waiting.ordinary.split_off(start);
            if waiting.large.len() + waiting.writing >= LARGE_MESSAGES_MAX {
                return Err(Refused::Full);
            }
            waiting.large.push_back(large);
        } else if start + bytes > QUEUE_BYTES_MAX {
            waiting.ordinary.truncate(start);
            return Err(Refused::Full);
        }
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// Waits until there is something, and takes all of it.
    pub(super) async fn take(&self) -> Batch {
        loop {
            if let Some(batch) = self.try_take() {
                return batch;
            }
            self.wake.notified().await;
        }
    }

    fn try_take(&self) -> Option<Batch> {
        let mut waiting = self.waiting();
        if waiting.ordinary.is_empty() && waiting.large.is_empty() {
            return None;
        }
        let large: Vec<_> = waiting.large.drain(..).map(Bytes::from).collect();
        waiting.writing += large.len();
        Some(Batch {
            ordinary: std::mem::take(&mut waiting.ordinary).into(),
            large,
        })
    }

    /// A large message is written, or never will be.
    pub(super) fn large_written(&self) {
        self.waiting().writing -= 1;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_leaves_in_one_piece_and_in_order() {
        let queue = Queue::default();
        for number in 0..3_u8 {
            queue.push(&number).unwrap();
        }
        let batch = queue.try_take().unwrap();
        assert_eq!(
            batch.ordinary,
            [1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 2][..]
        );
        assert!(batch.large.is_empty() && queue.try_take().is_none());
    }

    #[test]
    fn the_newest_is_lost_when_the_queue_is_full() {
        let queue = Queue::default();
        let message = vec![7_u8; frame::ORDINARY_MAX - 3];
        let mut taken = 0;
        while queue.push(&message).is_ok() {
            taken += 1;
        }
        let batch = queue.try_take().unwrap();
        assert!(batch.ordinary.len() <= QUEUE_BYTES_MAX);
        assert_eq!(batch.ordinary.len(), taken * (frame::ORDINARY_MAX + 4));
        assert_eq!(queue.push(&message), Ok(()));
    }

    #[test]
    fn large_messages_go_aside_and_are_few() {
        let queue = Queue::default();
        let message = vec![7_u8; frame::ORDINARY_MAX];
        for _ in 0..LARGE_MESSAGES_MAX {
            queue.push(&message).unwrap();
        }
        assert_eq!(queue.push(&message), Err(Refused::Full));
        queue.push(&1_u8).unwrap();
        let batch = queue.try_take().unwrap();
        assert_eq!(
            (batch.ordinary.len(), batch.large.len()),
            (5, LARGE_MESSAGES_MAX)
        );
        assert_eq!(
            queue.push(&message),
            Err(Refused::Full),
            "they are being written"
        );
        queue.large_written();
        assert_eq!(queue.push(&message), Ok(()));
        let endless = vec![0_u8; frame::LARGE_MAX];
        assert!(matches!(queue.push(&endless), Err(Refused::TooLong(_))));
    }
}
