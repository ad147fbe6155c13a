//! The socket below QUIC: it takes probes out of what arrives and sends our own.
//!
//! quinn's trait for sockets changes with its next version: nothing else here knows it.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use tokio::sync::mpsc;
use viewstorm_protocol::{Instant, NodeId};

use super::probe::{self, Probe};
use crate::RunClock;

/// How many probes wait for the drive loop; further ones are lost.
pub(crate) const PROBES_MAX: usize = 1024;

/// A probe that has arrived, and when.
pub(crate) type ProbeArrival = (Probe, Instant);

/// A socket that probes pass beside QUIC.
#[derive(Debug)]
pub(super) struct ProbeSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    /// The same socket for probes: what the runtime believes of its readiness, which it learns at its first look,
    /// holds none of them up.
    raw: UdpSocket,
    filter: Filter,
}

/// What takes probes out of what arrives.
pub(super) struct Filter {
    pub(super) me: NodeId,
    pub(super) token: u64,
    pub(super) clock: RunClock,
    pub(super) probes: mpsc::Sender<ProbeArrival>,
}

impl ProbeSocket {
    pub(super) fn new(socket: UdpSocket, filter: Filter) -> io::Result<Self> {
        Ok(Self {
            raw: socket.try_clone()?,
            socket: TokioRuntime.wrap_udp_socket(socket)?,
            filter,
        })
    }

    /// Sends a probe. It may be lost like any datagram, and so may one that cannot be sent just now.
    pub(super) fn send_probe(&self, probe: &Probe, destination: SocketAddr) -> io::Result<()> {
        let datagram = probe::encode(probe, self.filter.token);
        match self.raw.send_to(&datagram, destination) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }
}

impl Filter {
    /// Takes the probes out of `buffer`, which holds datagrams of `stride` bytes, the last perhaps shorter.
    /// Returns how many bytes are left for QUIC, at the buffer's beginning.
    fn take_probes(&self, buffer: &mut [u8], stride: usize) -> usize {
        if !buffer.chunks(stride.max(1)).any(probe::is_probe) {
            return buffer.len();
        }
        let now = self.clock.now();
        let mut kept = 0;
        let mut start = 0;
        while start < buffer.len() {
            let end = buffer.len().min(start + stride);
            let datagram = &buffer[start..end];
            if probe::is_probe(datagram) {
                self.arrived(datagram, now);
            } else {
                buffer.copy_within(start..end, kept);
                kept += end - start;
            }
            start = end;
        }
        kept
    }

    /// Passes a probe on, if it is one of this run to this node.
    fn arrived(&self, datagram: &[u8], now: Instant) {
        match probe::decode(datagram, self.token) {
            Some(probe) if probe.to == self.me => {
                if self.probes.try_send((probe, now)).is_err() {
                    tracing::warn!(id = probe.id, "a probe found no room");
                }
            }
            _ => tracing::warn!(bytes = datagram.len(), "a probe that is not for us"),
        }
    }
}

impl AsyncUdpSocket for ProbeSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.socket.poll_recv(context, buffers, metas))?;
        for (buffer, meta) in buffers.iter_mut().zip(metas.iter_mut()).take(count) {
            // An entry without bytes is one that quinn skips.
            meta.len = self
                .filter
                .take_probes(&mut buffer[..meta.len], meta.stride);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::probe::PROBE_BYTES;

    #[test]
    fn probes_are_taken_out_of_a_train_of_datagrams() {
        let (probes, mut arrived) = mpsc::channel(PROBES_MAX);
        let me = NodeId::replica(1);
        let filter = Filter {
            me,
            token: 5,
            clock: RunClock::starting_now(),
            probes,
        };
        let probe = |id, to, token| {
            probe::encode(
                &Probe {
                    id,
                    from: NodeId::Client(0),
                    to,
                    sent: 1,
                },
                token,
            )
        };
        let quic = |byte| [byte; PROBE_BYTES];
        let mut train = [
            quic(0x41),
            probe(1, me, 5),
            quic(0x42),
            probe(2, NodeId::replica(2), 5),
            probe(3, me, 6),
            quic(0),
        ]
        .concat();
        train.truncate(train.len() - 3); // The last of a train may be shorter.
        let kept = filter.take_probes(&mut train, PROBE_BYTES);
        let expected = [quic(0x41), quic(0x42), quic(0)].concat();
        assert_eq!(train[..kept], expected[..expected.len() - 3]);
        assert_eq!(arrived.try_recv().unwrap().0.id, 1);
        assert!(arrived.try_recv().is_err(), "the others are not for us");
    }

    #[test]
    fn nothing_at_all_is_no_probe() {
        let (probes, _arrived) = mpsc::channel(1);
        let clock = RunClock::starting_now();
        let filter = Filter {
            me: NodeId::replica(1),
            token: 5,
            clock,
            probes,
        };
        assert_eq!(filter.take_probes(&mut [], 0), 0);
    }
}
