//! The relay with real sockets.

mod addresses;
mod faults;
mod life;
mod passage;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use quinn_udp::{EcnCodepoint, Transmit, UdpSocketState};
use socket2::SockRef;
use viewstorm_history::Seed;
use viewstorm_protocol::NodeId;

use super::{PairSpec, Relay};
use crate::{Delay, Link, LinkCounters, LinkRule};

const DIALLER: NodeId = NodeId::Client(0);
const ACCEPTOR: NodeId = NodeId::replica(0);
const THERE: Link = Link {
    from: DIALLER,
    to: ACCEPTOR,
};
const BACK: Link = THERE.reverse();
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);

/// A node's socket. Receiving has a deadline.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // Some hundred small datagrams, even where the system grants no more than its default.
    SockRef::from(&socket)
        .set_recv_buffer_size(4 << 20)
        .unwrap();
    socket
}

/// The next datagram and where it came from.
fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (length, from) = socket
        .recv_from(&mut buffer)
        .expect("a datagram before the deadline");
    buffer.truncate(length);
    (buffer, from)
}

/// Two nodes and the relay between them.
struct Duo {
    relay: Relay,
    dialler: UdpSocket,
    acceptor: UdpSocket,
    front: SocketAddr,
    back: SocketAddr,
}

impl Duo {
    fn with_seed(seed: Seed) -> Self {
        let (dialler, acceptor) = (socket(), socket());
        let acceptor_address = Some(acceptor.local_addr().unwrap());
        let pair = PairSpec {
            dialler: DIALLER,
            acceptor: ACCEPTOR,
            acceptor_address,
        };
        let relay = Relay::start(vec![pair], seed, LOCALHOST).unwrap();
        let front = relay.front(DIALLER, ACCEPTOR).unwrap();
        let back = relay.back(DIALLER, ACCEPTOR).unwrap();
        Self {
            relay,
            dialler,
            acceptor,
            front,
            back,
        }
    }

    fn new() -> Self {
        Self::with_seed(Seed(1))
    }

    fn send_there(&self, contents: &[u8]) {
        self.dialler.send_to(contents, self.front).unwrap();
    }

    fn send_back(&self, contents: &[u8]) {
        self.acceptor.send_to(contents, self.back).unwrap();
    }

    fn there(&self) -> LinkCounters {
        self.relay.counters(THERE)
    }

    /// Waits until the relay has dealt with so many, delays apart.
    fn await_offered(&self, link: Link, offered: u64) -> LinkCounters {
        self.await_counters(link, |counters| counters.offered == offered)
    }

    fn await_counters(&self, link: Link, done: impl Fn(LinkCounters) -> bool) -> LinkCounters {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counters = self.relay.counters(link);
            if done(counters) {
                return counters;
            }
            assert!(Instant::now() < deadline, "the relay stays at {counters:?}");
            assert_eq!(self.relay.failure(), None);
            std::thread::yield_now();
        }
    }

    /// Sends one at a time and tells which of them arrive.
    fn passed(&self, count: u8) -> Vec<u8> {
        let before = self.there();
        for name in 0..count {
            self.send_there(&[name]);
            self.await_offered(THERE, before.offered + u64::from(name) + 1);
        }
        let forwarded = self.there().forwarded - before.forwarded;
        (0..forwarded)
            .map(|_| receive(&self.acceptor).0[0])
            .collect()
    }
}

/// Whether nothing is unaccounted for but what waits.
fn adds_up(counters: LinkCounters, waiting: u64) -> bool {
    let LinkCounters {
        offered,
        duplicated,
        forwarded,
        cut,
        lost,
        overflowed,
        ..
    } = counters;
    offered + duplicated == forwarded + cut + lost + overflowed + waiting
}

fn cut() -> LinkRule {
    LinkRule {
        cut: true,
        ..LinkRule::default()
    }
}

fn delayed(base: Duration, jitter: Duration) -> LinkRule {
    LinkRule {
        delay: Some(Delay { base, jitter }),
        ..LinkRule::default()
    }
}

/// Sends equally long datagrams (the last may be shorter) in one system call.
fn send_batch(from: &UdpSocket, to: SocketAddr, contents: &[u8], segment: usize) {
    let from = from.try_clone().unwrap();
    let state = UdpSocketState::new((&from).into()).unwrap();
    assert!(
        contents.len() <= segment * state.max_gso_segments(),
        "the system sends no batches"
    );
    let transmit = Transmit {
        destination: to,
        ecn: Some(EcnCodepoint::Ect0),
        contents,
        segment_size: Some(segment),
        src_ip: None,
    };
    state.try_send((&from).into(), &transmit).unwrap();
    // It set this for both of the clones.
    from.set_nonblocking(false).unwrap();
}
