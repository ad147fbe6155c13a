//! Two nodes that talk: two sockets, two wires, and where the nodes are.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use viewstorm_history::Seed;

use super::inbox::{Inbox, Message};
use super::outbox::{Outbox, Route};
use super::port::Port;
use super::wire::Wire;
use crate::{Link, LinkCounters, LinkRule};

/// How many that have waited are sent before others have their turn.
const RELEASED_AT_ONCE: usize = 256;

/// What follows so soon after the last is one of many: they are read many at a time.
const BUSY: Duration = Duration::from_micros(10);

/// Which of a pair's sockets a datagram arrives at, and so which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// From the dialler.
    Front,
    /// From the acceptor.
    Back,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Front, Self::Back];
}

/// A pair of nodes.
#[derive(Debug)]
pub(super) struct Pair {
    /// From the dialler to the acceptor.
    pub(super) link: Link,
    pub(super) front: Port,
    pub(super) back: Port,
    /// Held from the reading of a datagram to its sending, so that a rule that was set is a rule in force.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dialler: Option<SocketAddr>,
    acceptor: Option<SocketAddr>,
    there: Wire,
    back: Wire,
    /// When each side was last read.
    last_read: [Option<Instant>; 2],
}

impl State {
    fn wire(&mut self, side: Side) -> &mut Wire {
        match side {
            Side::Front => &mut self.there,
            Side::Back => &mut self.back,
        }
    }
}

impl Pair {
    pub(super) fn bind(
        link: Link,
        acceptor: Option<SocketAddr>,
        seed: Seed,
        ip: IpAddr,
    ) -> io::Result<Self> {
        let (there, back) = (Wire::new(link, seed), Wire::new(link.reverse(), seed));
        let state = Mutex::new(State {
            dialler: None,
            acceptor,
            there,
            back,
            last_read: [None; 2],
        });
        Ok(Self {
            link,
            front: Port::bind(ip)?,
            back: Port::bind(ip)?,
            state,
        })
    }

    pub(super) const fn port(&self, side: Side) -> &Port {
        match side {
            Side::Front => &self.front,
            Side::Back => &self.back,
        }
    }

    pub(super) fn set_acceptor(&self, address: SocketAddr) {
        self.state().acceptor = Some(address);
    }

    pub(super) fn set_rule(&self, side: Side, rule: LinkRule) {
        let mut state = self.state();
        let route = self.route(side, &state);
        let wire = state.wire(side);
        let released = wire.set(rule);
        if released.is_empty() {
            return;
        }
        let mut outbox = Outbox::new();
        for waiting in released {
            outbox.push(&waiting.contents, waiting.ecn, route, &mut wire.counters);
        }
        outbox.flush(route, &mut wire.counters);
    }

    pub(super) fn counters(&self, side: Side) -> LinkCounters {
        self.state().wire(side).counters
    }

    /// Reads what arrived at one side and passes it on as the wire's rule says. Returns when the wire wants
    /// to be looked at.
    pub(super) fn carry(
        &self,
        side: Side,
        inbox: &mut Inbox,
        outbox: &mut Outbox,
    ) -> io::Result<Option<Instant>> {
        let mut state = self.state();
        let last = &mut state.last_read[usize::from(side == Side::Back)];
        let is_single = last.is_none_or(|last| last.elapsed() > BUSY);
        let messages = inbox.read(self.port(side), is_single)?;
        // After the reading: no datagram leaves before its delay is over.
        let now = Instant::now();
        *last = Some(now);
        for message in messages {
            match side {
                Side::Front => state.dialler = Some(message.from),
                // A stranger, or the acceptor that was there before.
                Side::Back if state.acceptor != Some(message.from) => continue,
                Side::Back => {}
            }
            let route = self.route(side, &state);
            put(message, now, state.wire(side), route, outbox);
        }
        let route = self.route(side, &state);
        let wire = state.wire(side);
        outbox.flush(route, &mut wire.counters);
        Ok(wire.next_due())
    }

    /// Sends what has waited long enough. Returns when the wire wants to be looked at again.
    pub(super) fn release(&self, side: Side, now: Instant, outbox: &mut Outbox) -> Option<Instant> {
        let mut state = self.state();
        let route = self.route(side, &state);
        let wire = state.wire(side);
        for _ in 0..RELEASED_AT_ONCE {
            let Some(waiting) = wire.take_due(now) else {
                break;
            };
            outbox.push(&waiting.contents, waiting.ecn, route, &mut wire.counters);
        }
        outbox.flush(route, &mut wire.counters);
        wire.next_due()
    }

    fn route(&self, side: Side, state: &State) -> Route<'_> {
        match side {
            Side::Front => Route {
                port: &self.back,
                to: state.acceptor,
            },
            Side::Back => Route {
                port: &self.front,
                to: state.dialler,
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of the thread is reported as the relay's failure; what it leaves can be read.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts each datagram of the message on the wire.
fn put(message: Message<'_>, now: Instant, wire: &mut Wire, route: Route<'_>, outbox: &mut Outbox) {
    let Message {
        bytes, stride, ecn, ..
    } = message;
    if bytes.is_empty() {
        return put_one(&mut [], ecn, now, wire, route, outbox);
    }
    for datagram in bytes.chunks_mut(stride.max(1)) {
        put_one(datagram, ecn, now, wire, route, outbox);
    }
}

fn put_one(
    datagram: &mut [u8],
    ecn: Option<quinn_udp::EcnCodepoint>,
    now: Instant,
    wire: &mut Wire,
    route: Route<'_>,
    outbox: &mut Outbox,
) {
    let crossing = wire.cross(datagram.len(), now);
    if crossing.is_held {
        return wire.keep(now, datagram, ecn);
    }
    if let Some(bit) = crossing.flipped_bit {
        datagram[bit / 8] ^= 1 << (bit % 8);
    }
    for later in crossing.copies() {
        match now.checked_add(later) {
            Some(due) if due > now => wire.hold(due, datagram, ecn),
            Some(_) => outbox.push(datagram, ecn, route, &mut wire.counters),
            // Later than the clock can tell.
            None => wire.counters.overflowed += 1,
        }
    }
}
