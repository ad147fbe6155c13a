//! A small relay of datagrams: one pair of sockets for each link, all of which can be cut at once.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use viewstorm_protocol::NodeId;

/// How long a relay's thread takes to notice that it is to end.
const TICK: Duration = Duration::from_millis(20);
/// The longest datagram.
const DATAGRAM_MAX: usize = 2048;

pub(crate) struct Relay {
    fronts: BTreeMap<(NodeId, NodeId), SocketAddr>,
    backs: BTreeMap<(NodeId, NodeId), SocketAddr>,
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    over: AtomicBool,
}

impl Relay {
    /// Relays between diallers and acceptors, whose addresses are given.
    pub(crate) fn start(pairs: impl IntoIterator<Item = (NodeId, NodeId, SocketAddr)>) -> Self {
        let mut relay = Self {
            fronts: BTreeMap::new(),
            backs: BTreeMap::new(),
            state: Arc::default(),
            threads: Vec::new(),
        };
        for (dialler, acceptor, address) in pairs {
            let [front, back] = [0; 2].map(|_| Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap()));
            relay
                .fronts
                .insert((dialler, acceptor), front.local_addr().unwrap());
            relay
                .backs
                .insert((dialler, acceptor), back.local_addr().unwrap());
            let dialler = Arc::new(Mutex::new(None));
            let acceptor = Arc::new(Mutex::new(Some(address)));
            for (from, to, sender, receiver) in [
                (&front, &back, &dialler, &acceptor),
                (&back, &front, &acceptor, &dialler),
            ] {
                let (from, to) = (Arc::clone(from), Arc::clone(to));
                let (sender, receiver) = (Arc::clone(sender), Arc::clone(receiver));
                let state = Arc::clone(&relay.state);
                let forward = move || forward(&from, &to, &sender, &receiver, &state);
                relay.threads.push(std::thread::spawn(forward));
            }
        }
        relay
    }

    /// Where the dialler of a pair sends.
    pub(crate) fn front(&self, dialler: NodeId, acceptor: NodeId) -> SocketAddr {
        self.fronts[&(dialler, acceptor)]
    }

    /// Where the acceptor of a pair answers.
    pub(crate) fn back(&self, dialler: NodeId, acceptor: NodeId) -> SocketAddr {
        self.backs[&(dialler, acceptor)]
    }

    /// Cuts all links, or heals them.
    pub(crate) fn cut(&self, cut: bool) {
        self.state.cut.store(cut, Ordering::SeqCst);
    }
}

fn forward(
    from: &UdpSocket,
    to: &UdpSocket,
    sender: &Mutex<Option<SocketAddr>>,
    receiver: &Mutex<Option<SocketAddr>>,
    state: &State,
) {
    from.set_read_timeout(Some(TICK)).unwrap();
    let mut datagram = [0; DATAGRAM_MAX];
    while !state.over.load(Ordering::SeqCst) {
        let Ok((length, address)) = from.recv_from(&mut datagram) else {
            continue;
        };
        *sender.lock().unwrap() = Some(address);
        if state.cut.load(Ordering::SeqCst) {
            continue;
        }
        if let Some(receiver) = *receiver.lock().unwrap() {
            let _ = to.send_to(&datagram[..length], receiver);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
