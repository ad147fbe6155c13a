//! A cluster in one process: replicas on threads with real sockets and storage, and a client host.

pub(crate) mod clients;
pub(crate) mod cluster;
pub(crate) mod relay;
pub(crate) mod rules;
pub(crate) mod stranger;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a test waits for what must happen. No claim on how fast it should.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `wanted` makes something of what is received.
pub(crate) fn wait_for<T: std::fmt::Debug, R>(
    receiver: &Receiver<T>,
    what: &str,
    mut wanted: impl FnMut(&T) -> Option<R>,
) -> R {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(item) => match wanted(&item) {
                Some(result) => return result,
                None => seen.push(item),
            },
            Err(RecvTimeoutError::Timeout) => panic!("waited for {what} in vain; saw {seen:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("no {what} any more; saw {seen:?}"),
        }
    }
}
