//! What the harness holds of the relay.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use viewstorm_history::Seed;
use viewstorm_protocol::NodeId;

use super::event_loop::{EventLoop, Stop};
use super::pair::{Pair, Side};
use crate::{Link, LinkCounters, LinkRule};

/// How many pairs one relay serves.
const MAX_PAIRS: usize = 1024;

/// Two nodes that talk. The dialler sends first, to the relay's front socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairSpec {
    /// Who sends first. Where it is, its latest datagram tells.
    pub dialler: NodeId,
    /// Who answers.
    pub acceptor: NodeId,
    /// Where the acceptor is, if that is known already.
    pub acceptor_address: Option<SocketAddr>,
}

/// Why a relay could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// It would carry datagrams of other machines.
    #[error("the relay may only listen on a loopback address, not on {ip}")]
    NotLoopback {
        /// What was asked for.
        ip: IpAddr,
    },
    /// One relay serves a limited number.
    #[error("{pairs} pairs of nodes are too many for one relay, which serves {MAX_PAIRS}")]
    TooManyPairs {
        /// How many were asked for.
        pairs: usize,
    },
    /// The same two nodes were named twice, in this or in the other order.
    #[error("the pair of {dialler} and {acceptor} was given twice")]
    PairTwice {
        /// Who sends first.
        dialler: NodeId,
        /// Who answers.
        acceptor: NodeId,
    },
    /// A pair's sockets.
    #[error("no sockets on {ip} for the pair of {dialler} and {acceptor}: {source}")]
    Socket {
        /// Where they were to be.
        ip: IpAddr,
        /// Who sends first.
        dialler: NodeId,
        /// Who answers.
        acceptor: NodeId,
        /// What the system said.
        source: io::Error,
    },
    /// The thread and what it waits on.
    #[error("the relay's thread could not be started: {source}")]
    Thread {
        /// What the system said.
        #[from]
        source: io::Error,
    },
}

/// A running relay. Dropping it ends its thread and closes its sockets.
///
/// Every change is in force when the call returns: no later datagram is treated by the old rule.
#[derive(Debug)]
pub struct Relay {
    pairs: Arc<[Pair]>,
    /// Where each link runs.
    wires: BTreeMap<Link, (usize, Side)>,
    failure: Arc<Mutex<Option<String>>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Binds two sockets for each pair and starts to carry datagrams, untouched at first. The seed fixes what
    /// each directed link draws, datagram by datagram.
    pub fn start(pairs: Vec<PairSpec>, seed: Seed, ip: IpAddr) -> Result<Self, RelayError> {
        if !ip.is_loopback() {
            return Err(RelayError::NotLoopback { ip });
        }
        if pairs.len() > MAX_PAIRS {
            return Err(RelayError::TooManyPairs { pairs: pairs.len() });
        }
        let wires = wires(&pairs)?;
        let bind = |spec: PairSpec| {
            let PairSpec {
                dialler,
                acceptor,
                acceptor_address,
            } = spec;
            let link = Link {
                from: dialler,
                to: acceptor,
            };
            Pair::bind(link, acceptor_address, seed, ip).map_err(|source| RelayError::Socket {
                ip,
                dialler,
                acceptor,
                source,
            })
        };
        let pairs: Arc<[Pair]> = pairs.into_iter().map(bind).collect::<Result<_, _>>()?;
        let stop = Stop::new()?;
        let event_loop = EventLoop::new(Arc::clone(&pairs), &stop)?;
        let failure = Arc::default();
        let thread = spawn(move || event_loop.run(), Arc::clone(&failure))?;
        Ok(Self {
            pairs,
            wires,
            failure,
            stop,
            thread: Some(thread),
        })
    }

    /// Where the dialler sends to, if there is such a pair.
    pub fn front(&self, dialler: NodeId, acceptor: NodeId) -> Option<SocketAddr> {
        self.pair(dialler, acceptor).map(|pair| pair.front.address)
    }

    /// Where the acceptor sees the dialler, if there is such a pair.
    pub fn back(&self, dialler: NodeId, acceptor: NodeId) -> Option<SocketAddr> {
        self.pair(dialler, acceptor).map(|pair| pair.back.address)
    }

    /// Tells where a node now is, for all pairs in which it answers. What comes from where it was before is
    /// dropped.
    pub fn set_acceptor_address(&self, acceptor: NodeId, address: SocketAddr) {
        for pair in self.pairs.iter().filter(|pair| pair.link.to == acceptor) {
            pair.set_acceptor(address);
        }
    }

    /// Replaces what happens on the link. Datagrams that wait there keep their time, but for a cut: it takes
    /// them. Those that only a hold kept leave at once, in the order in which they came.
    ///
    /// # Panics
    ///
    /// If there is no such link: a fault must not be lost silently.
    pub fn set_link(&self, link: Link, rule: LinkRule) {
        let (index, side) = self.wire(link);
        self.pairs[index].set_rule(side, rule);
    }

    /// What the link has done so far. A datagram from a stranger is not counted as offered.
    ///
    /// # Panics
    ///
    /// If there is no such link.
    pub fn counters(&self, link: Link) -> LinkCounters {
        let (index, side) = self.wire(link);
        self.pairs[index].counters(side)
    }

    /// Why the relay carries nothing any more, if so.
    pub fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The smallest send or receive buffer that one of its sockets got. 4 MiB were asked for; the kernel
    /// silently gives less where its limits say so, and then drops more of what comes in bursts.
    pub fn granted_buffer(&self) -> Option<usize> {
        let ports = self.pairs.iter().flat_map(|pair| [&pair.front, &pair.back]);
        ports.map(|port| port.granted_buffer).min()
    }

    fn pair(&self, dialler: NodeId, acceptor: NodeId) -> Option<&Pair> {
        match self.wires.get(&Link {
            from: dialler,
            to: acceptor,
        })? {
            (index, Side::Front) => Some(&self.pairs[*index]),
            (_, Side::Back) => None,
        }
    }

    fn wire(&self, link: Link) -> (usize, Side) {
        *self
            .wires
            .get(&link)
            .unwrap_or_else(|| panic!("no pair of the relay has a link {link}"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let asked = self.stop.ask();
        if let (Ok(()), Some(thread)) = (asked, self.thread.take()) {
            // It catches its panics, and reports them as the relay's failure.
            drop(thread.join());
        }
    }
}

fn wires(pairs: &[PairSpec]) -> Result<BTreeMap<Link, (usize, Side)>, RelayError> {
    let mut wires = BTreeMap::new();
    for (
        index,
        &PairSpec {
            dialler, acceptor, ..
        },
    ) in pairs.iter().enumerate()
    {
        let link = Link {
            from: dialler,
            to: acceptor,
        };
        for (link, side) in [(link, Side::Front), (link.reverse(), Side::Back)] {
            if wires.insert(link, (index, side)).is_some() {
                return Err(RelayError::PairTwice { dialler, acceptor });
            }
        }
    }
    Ok(wires)
}

fn spawn(
    serve: impl FnOnce() -> Result<(), String> + Send + 'static,
    failure: Arc<Mutex<Option<String>>>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("relay".to_owned())
        .spawn(move || {
            // What a panic left behind is only read from now on.
            let outcome = catch_unwind(AssertUnwindSafe(serve));
            let outcome = outcome.unwrap_or_else(|_| Err("the relay's thread panicked".to_owned()));
            if let Err(reason) = outcome {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
            }
        })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn failure_of(serve: impl FnOnce() -> Result<(), String> + Send + 'static) -> String {
        let failure = Arc::default();
        let thread = spawn(serve, Arc::clone(&failure)).unwrap();
        let (pairs, wires, stop) = (Arc::new([]), BTreeMap::new(), Stop::new().unwrap());
        let relay = Relay {
            pairs,
            wires,
            failure,
            stop,
            thread: Some(thread),
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match relay.failure() {
                Some(failure) => return failure,
                None => assert!(Instant::now() < deadline, "the failure was never reported"),
            }
        }
    }

    #[test]
    fn a_thread_that_ends_early_is_a_failure() {
        assert_eq!(failure_of(|| Err("no memory".to_owned())), "no memory");
        assert_eq!(
            failure_of(|| panic!("as intended")),
            "the relay's thread panicked"
        );
    }

    #[test]
    fn a_running_relay_has_none() {
        let relay = Relay::start(Vec::new(), Seed(1), [127, 0, 0, 1].into()).unwrap();
        assert_eq!((relay.failure(), relay.granted_buffer()), (None, None));
    }
}
