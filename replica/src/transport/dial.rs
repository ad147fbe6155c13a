//! The dial loop: keeps one connection to a peer, whatever happens to it.
//!
//! A handshake that lost its first packets waits ever longer between attempts: after 250 ms a fresh one is
//! better. The one that waits is not given up at once, though: on a link with a round trip of more than that,
//! only the patient arrive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{ClientConfig, Connection, Endpoint};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use viewstorm_protocol::{Message, NodeId};

use super::connection::serve;
use super::link::Shared;
use crate::identity::node_name;

/// After so long another attempt begins beside the ones under way.
const DIAL_TIMEOUT: Duration = Duration::from_millis(250);
/// An attempt that takes longer is given up.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many attempts are under way at once.
const ATTEMPTS_MAX: usize = 8;
/// A connection that lasted so long is dialled again without a pause.
const LASTING: Duration = Duration::from_secs(1);
/// The pause before the next attempt, half as long to half as long again.
const PAUSE: Duration = Duration::from_millis(50);

/// Whom to dial, and where.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) endpoint: Endpoint,
    pub(super) config: ClientConfig,
    pub(super) peer: NodeId,
    pub(super) address: SocketAddr,
    pub(super) jitter: Jitter,
}

impl Dial {
    /// Keeps a connection, for ever.
    pub(super) async fn keep<M: Message + Send + 'static>(mut self, shared: Arc<Shared<M>>) {
        loop {
            let connection = self.connect().await;
            let began = Instant::now();
            serve(Arc::clone(&shared), connection, Some(self.peer)).await;
            // A connection that lasted was not refused: its peer is likely to be there again.
            if began.elapsed() < LASTING {
                sleep(self.jitter.around(PAUSE)).await;
            }
        }
    }

    /// Tries until it is connected.
    async fn connect(&mut self) -> Connection {
        let mut attempts = JoinSet::new();
        loop {
            if attempts.len() < ATTEMPTS_MAX {
                attempts.spawn(attempt(self.clone()));
            }
            // Whether one failed or none came through in time: after a pause there is another.
            if let Ok(Some(Ok(Some(connection)))) =
                timeout(DIAL_TIMEOUT, attempts.join_next()).await
            {
                return connection;
            }
            sleep(self.jitter.around(PAUSE)).await;
        }
    }
}

async fn attempt(dial: Dial) -> Option<Connection> {
    let name = node_name(dial.peer);
    let connecting = dial.endpoint.connect_with(dial.config, dial.address, &name);
    let connecting = match connecting {
        Ok(connecting) => connecting,
        Err(error) => {
            tracing::error!(peer = %dial.peer, %error, "cannot dial");
            return None;
        }
    };
    match timeout(ATTEMPT_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(error)) => {
            tracing::debug!(peer = %dial.peer, %error, "dialled in vain");
            None
        }
        Err(_) => None,
    }
}

/// A small stream of numbers that keeps nodes from acting in step (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From half of `duration` to half as much again.
    fn around(&mut self, duration: Duration) -> Duration {
        let thousandths = u32::try_from(self.next() % 1001).expect("at most a thousand");
        duration / 2 + duration * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_and_stay_around_their_mean() {
        let mut jitter = Jitter::new(1);
        let pauses: Vec<_> = (0..1000).map(|_| jitter.around(PAUSE)).collect();
        assert!(
            pauses
                .iter()
                .all(|pause| (PAUSE / 2..=PAUSE * 3 / 2).contains(pause))
        );
        let mean = pauses.iter().sum::<Duration>() / 1000;
        assert!(
            (PAUSE * 9 / 10..PAUSE * 11 / 10).contains(&mean),
            "{mean:?}"
        );
    }
}
