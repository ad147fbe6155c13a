//! The relay with real sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use quinn_udp::{EcnCodepoint, Transmit, UdpSocketState};
use viewstorm_history::Seed;
use viewstorm_protocol::NodeId;

use super::port::Port;
use super::{PairSpec, Relay, RelayError};
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

#[test]
fn datagrams_pass_both_ways_and_come_from_stable_addresses() {
    let duo = Duo::new();
    for round in 0..10u8 {
        duo.send_there(&[round, 1]);
        assert_eq!(receive(&duo.acceptor), (vec![round, 1], duo.back));
        duo.send_back(&[round, 2]);
        assert_eq!(receive(&duo.dialler), (vec![round, 2], duo.front));
    }
    for link in [THERE, BACK] {
        let expected = LinkCounters {
            offered: 10,
            forwarded: 10,
            ..LinkCounters::default()
        };
        assert_eq!(duo.relay.counters(link), expected);
    }
}

#[test]
fn every_length_keeps_its_boundaries() {
    let duo = Duo::new();
    for length in [0, 1, 2, 1_200, 1_472, 9_000, 40_000, 65_507] {
        let contents: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        duo.send_there(&contents);
        duo.send_there(b"between");
        assert_eq!(receive(&duo.acceptor).0, contents);
        assert_eq!(receive(&duo.acceptor).0, b"between");
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

#[test]
fn a_batch_stays_the_same_datagrams() {
    let duo = Duo::new();
    let contents: Vec<u8> = (0..30 * 1_200 + 37)
        .map(|index| (index / 1_200) as u8)
        .collect();
    for _ in 0..3 {
        send_batch(&duo.dialler, duo.front, &contents, 1_200);
    }
    for _ in 0..3 {
        for datagram in contents.chunks(1_200) {
            assert_eq!(receive(&duo.acceptor).0, datagram);
        }
    }
    let counters = duo.there();
    assert_eq!((counters.offered, counters.forwarded), (93, 93));
}

#[test]
fn a_batch_is_faulted_datagram_by_datagram() {
    let duo = Duo::new();
    let rule = LinkRule {
        loss: 0.5,
        duplicate: 0.5,
        ..LinkRule::default()
    };
    duo.relay.set_link(THERE, rule);
    let contents: Vec<u8> = (0..40u8).flat_map(|name| [name; 100]).collect();
    send_batch(&duo.dialler, duo.front, &contents, 100);
    let counters = duo.await_offered(THERE, 40);
    assert!(
        counters.lost > 0 && counters.duplicated > 0 && adds_up(counters, 0),
        "{counters:?}"
    );
    let arrived: Vec<_> = (0..counters.forwarded)
        .map(|_| receive(&duo.acceptor).0)
        .collect();
    assert!(
        arrived
            .iter()
            .all(|datagram| *datagram == [datagram[0]; 100])
    );
    assert!(arrived.is_sorted());
    let mut distinct = arrived;
    distinct.dedup();
    assert_eq!(distinct.len() as u64, 40 - counters.lost);
}

#[test]
fn mixed_lengths_in_one_read_keep_their_order_and_boundaries() {
    let duo = Duo::new();
    // While they wait they gather, so that they leave in one go.
    duo.relay.set_link(THERE, delayed(20 * MS, Duration::ZERO));
    let lengths = [
        5, 5, 5, 3, 5, 0, 0, 7, 7, 65_507, 7, 1, 1_472, 1_472, 1_471, 1_472,
    ];
    for length in lengths {
        duo.send_there(&vec![9; length]);
    }
    for length in lengths {
        assert_eq!(receive(&duo.acceptor).0.len(), length);
    }
}

#[test]
fn the_congestion_mark_passes() {
    let duo = Duo::new();
    let state = UdpSocketState::new((&duo.acceptor).into()).unwrap();
    send_batch(&duo.dialler, duo.front, b"marked", 6);
    duo.await_counters(THERE, |counters| counters.forwarded == 1);
    let (mut buffer, mut metas) = ([0; 2048], [quinn_udp::RecvMeta::default()]);
    let mut slices = [io::IoSliceMut::new(&mut buffer)];
    // Sent means that it is there: loopback has no way between.
    assert_eq!(
        state
            .recv((&duo.acceptor).into(), &mut slices, &mut metas)
            .unwrap(),
        1
    );
    assert_eq!((metas[0].len, metas[0].ecn), (6, Some(EcnCodepoint::Ect0)));
}

#[test]
fn a_cut_takes_one_direction_only_and_heals() {
    let duo = Duo::new();
    duo.send_there(b"before");
    assert_eq!(receive(&duo.acceptor).0, b"before");
    duo.relay.set_link(THERE, cut());
    for _ in 0..5 {
        duo.send_there(b"during");
    }
    duo.send_back(b"during");
    assert_eq!(receive(&duo.dialler).0, b"during");
    let counters = duo.await_offered(THERE, 6);
    assert_eq!((counters.cut, counters.forwarded), (5, 1));
    duo.relay.set_link(THERE, LinkRule::default());
    duo.send_there(b"after");
    assert_eq!(receive(&duo.acceptor).0, b"after");
    assert_eq!(duo.relay.counters(BACK).cut, 0);
}

#[test]
fn the_same_seed_loses_the_same_datagrams() {
    let lossy = LinkRule {
        loss: 0.3,
        ..LinkRule::default()
    };
    let passed = |seed| {
        let duo = Duo::with_seed(seed);
        duo.relay.set_link(THERE, lossy.clone());
        let passed = duo.passed(100);
        assert_eq!(duo.there().lost as usize, 100 - passed.len());
        passed
    };
    let first = passed(Seed(5));
    assert!((50..90).contains(&first.len()), "{}", first.len());
    assert_eq!(first, passed(Seed(5)));
    assert_ne!(first, passed(Seed(6)));
}

#[test]
fn nothing_arrives_before_its_delay() {
    let duo = Duo::new();
    duo.relay.set_link(THERE, delayed(30 * MS, 10 * MS));
    for round in 0..10u8 {
        let sent = Instant::now();
        duo.send_there(&[round]);
        assert_eq!(receive(&duo.acceptor).0, [round]);
        assert!(sent.elapsed() >= 20 * MS, "after {:?}", sent.elapsed());
    }
    let counters = duo.there();
    assert_eq!((counters.delayed, counters.forwarded), (10, 10));
}

#[test]
fn one_that_is_held_back_is_overtaken() {
    let duo = Duo::new();
    let rule = LinkRule {
        reorder: 1.0,
        reorder_by: 20 * MS,
        ..LinkRule::default()
    };
    duo.relay.set_link(THERE, rule);
    duo.send_there(b"first");
    duo.await_offered(THERE, 1);
    duo.relay.set_link(THERE, LinkRule::default());
    duo.send_there(b"second");
    assert_eq!(receive(&duo.acceptor).0, b"second");
    assert_eq!(receive(&duo.acceptor).0, b"first");
    assert_eq!(duo.there().reordered, 1);
}

#[test]
fn duplicates_arrive_twice() {
    let duo = Duo::new();
    duo.relay.set_link(
        THERE,
        LinkRule {
            duplicate: 1.0,
            ..LinkRule::default()
        },
    );
    assert_eq!(duo.passed(3), [0, 0, 1, 1, 2, 2]);
    let counters = duo.there();
    assert_eq!(
        (counters.offered, counters.duplicated, counters.forwarded),
        (3, 3, 6)
    );
}

#[test]
fn corruption_flips_exactly_one_bit() {
    let duo = Duo::new();
    duo.relay.set_link(
        THERE,
        LinkRule {
            corrupt: 1.0,
            ..LinkRule::default()
        },
    );
    let contents = [0b1010_0101; 200];
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..20 {
        duo.send_there(&contents);
        let (received, _) = receive(&duo.acceptor);
        let flipped = received
            .iter()
            .zip(contents)
            .map(|(now, was)| (now ^ was).count_ones());
        assert_eq!((received.len(), flipped.sum::<u32>()), (200, 1));
        places.extend(
            received
                .iter()
                .zip(contents)
                .position(|(now, was)| *now != was),
        );
    }
    assert!(places.len() > 5, "{places:?}");
    assert_eq!(duo.there().corrupted, 20);
}

#[test]
fn counters_add_up_under_every_fault_at_once() {
    let duo = Duo::new();
    let rule = LinkRule {
        cut: false,
        delay: Some(Delay {
            base: MS,
            jitter: MS,
        }),
        loss: 0.2,
        duplicate: 0.3,
        reorder: 0.2,
        reorder_by: 2 * MS,
        corrupt: 0.2,
    };
    duo.relay.set_link(THERE, rule);
    for _ in 0..200 {
        duo.send_there(&[0; 64]);
    }
    let counters = duo.await_counters(THERE, |counters| {
        counters.offered == 200 && adds_up(counters, 0)
    });
    assert_eq!((counters.cut, counters.overflowed), (0, 0));
    for _ in 0..counters.forwarded {
        assert_eq!(receive(&duo.acceptor).0.len(), 64);
    }
}

#[test]
fn a_cut_takes_those_that_wait_and_another_rule_does_not() {
    let duo = Duo::new();
    duo.relay
        .set_link(THERE, delayed(3_600_000 * MS, Duration::ZERO));
    duo.send_there(b"far");
    duo.await_offered(THERE, 1);
    duo.relay.set_link(THERE, delayed(50 * MS, Duration::ZERO));
    duo.send_there(b"near");
    duo.await_offered(THERE, 2);
    duo.relay.set_link(THERE, LinkRule::default());
    assert!(adds_up(duo.there(), 2));
    duo.send_there(b"now");
    assert_eq!(receive(&duo.acceptor).0, b"now");
    assert_eq!(receive(&duo.acceptor).0, b"near");
    duo.relay.set_link(THERE, cut());
    let counters = duo.there();
    assert_eq!((counters.cut, counters.forwarded), (1, 2));
    assert!(adds_up(counters, 0));
}

#[test]
fn a_delay_line_that_is_full_overflows() {
    let duo = Duo::new();
    duo.relay
        .set_link(THERE, delayed(3_600_000 * MS, Duration::ZERO));
    let contents = vec![0; 60_000];
    let most = (super::wire::DELAY_LINE_BYTES / contents.len()) as u64;
    for sent in 1..=most + 5 {
        duo.send_there(&contents);
        duo.await_offered(THERE, sent);
    }
    let counters = duo.there();
    assert_eq!((counters.overflowed, counters.forwarded), (5, 0));
    assert!(adds_up(counters, most));
}

#[test]
fn a_new_acceptor_address_moves_the_traffic() {
    let duo = Duo::new();
    let moved = socket();
    duo.send_there(b"old");
    assert_eq!(receive(&duo.acceptor).0, b"old");
    duo.relay
        .set_acceptor_address(ACCEPTOR, moved.local_addr().unwrap());
    duo.send_there(b"new");
    assert_eq!(receive(&moved), (b"new".to_vec(), duo.back));
    // From where the acceptor is no more.
    duo.send_back(b"stale");
    moved.send_to(b"answer", duo.back).unwrap();
    assert_eq!(receive(&duo.dialler), (b"answer".to_vec(), duo.front));
    assert_eq!(duo.relay.counters(BACK).offered, 1);
}

#[test]
fn the_latest_dialler_gets_the_answers() {
    let duo = Duo::new();
    duo.send_there(b"first");
    receive(&duo.acceptor);
    let restarted = socket();
    restarted.send_to(b"second", duo.front).unwrap();
    assert_eq!(receive(&duo.acceptor), (b"second".to_vec(), duo.back));
    duo.send_back(b"answer");
    assert_eq!(receive(&restarted).0, b"answer");
}

#[test]
fn without_an_address_datagrams_overflow_and_the_relay_goes_on() {
    let pair = PairSpec {
        dialler: DIALLER,
        acceptor: ACCEPTOR,
        acceptor_address: None,
    };
    let relay = Relay::start(vec![pair], Seed(1), LOCALHOST).unwrap();
    let (dialler, acceptor) = (socket(), socket());
    let (front, back) = (
        relay.front(DIALLER, ACCEPTOR).unwrap(),
        relay.back(DIALLER, ACCEPTOR).unwrap(),
    );
    let duo = Duo {
        relay,
        dialler,
        acceptor,
        front,
        back,
    };
    duo.send_there(b"nowhere");
    duo.await_counters(THERE, |counters| counters.overflowed == 1);
    duo.relay
        .set_acceptor_address(ACCEPTOR, duo.acceptor.local_addr().unwrap());
    duo.send_there(b"somewhere");
    assert_eq!(receive(&duo.acceptor).0, b"somewhere");
}

#[test]
fn an_answer_to_nobody_overflows() {
    let duo = Duo::new();
    duo.send_back(b"anybody?");
    let counters = duo.await_offered(BACK, 1);
    assert_eq!((counters.overflowed, counters.forwarded), (1, 0));
}

#[test]
fn an_acceptor_that_is_down_harms_nobody() {
    let duo = Duo::new();
    let gone = socket().local_addr().unwrap();
    duo.relay.set_acceptor_address(ACCEPTOR, gone);
    for sent in 1..=20 {
        duo.send_there(b"hello?");
        duo.await_offered(THERE, sent);
    }
    assert!(adds_up(duo.there(), 0));
    duo.relay
        .set_acceptor_address(ACCEPTOR, duo.acceptor.local_addr().unwrap());
    duo.send_there(b"hello");
    assert_eq!(receive(&duo.acceptor).0, b"hello");
}

#[test]
fn pairs_do_not_mix() {
    let acceptors: Vec<UdpSocket> = (0..3).map(|_| socket()).collect();
    let pairs = acceptors.iter().zip(0..).map(|(acceptor, id)| PairSpec {
        dialler: DIALLER,
        acceptor: NodeId::replica(id),
        acceptor_address: Some(acceptor.local_addr().unwrap()),
    });
    let relay = Relay::start(pairs.collect(), Seed(1), LOCALHOST).unwrap();
    let dialler = socket();
    relay.set_link(
        Link {
            from: DIALLER,
            to: NodeId::replica(1),
        },
        cut(),
    );
    for id in 0..3 {
        let front = relay.front(DIALLER, NodeId::replica(id)).unwrap();
        dialler.send_to(&[id as u8], front).unwrap();
    }
    for id in [0, 2] {
        let back = relay.back(DIALLER, NodeId::replica(id)).unwrap();
        assert_eq!(receive(&acceptors[usize::from(id)]), (vec![id as u8], back));
    }
    assert_eq!(relay.front(DIALLER, NodeId::replica(3)), None);
    assert_eq!(relay.back(DIALLER, NodeId::replica(3)), None);
    assert_eq!(
        relay.front(NodeId::replica(0), DIALLER),
        None,
        "that is the other way"
    );
}

#[test]
#[should_panic(expected = "no pair of the relay has a link")]
fn a_fault_on_a_link_that_is_not_there_is_a_bug() {
    Duo::new().relay.set_link(
        Link {
            from: DIALLER,
            to: NodeId::replica(9),
        },
        cut(),
    );
}

#[test]
fn what_cannot_be_served_is_refused() {
    let spec = |dialler, acceptor| PairSpec {
        dialler,
        acceptor,
        acceptor_address: None,
    };
    let start = |pairs, ip| Relay::start(pairs, Seed(1), ip).map(drop);
    let twice = vec![spec(DIALLER, ACCEPTOR), spec(ACCEPTOR, DIALLER)];
    assert!(matches!(
        start(twice, LOCALHOST),
        Err(RelayError::PairTwice { .. })
    ));
    let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    assert!(matches!(
        start(vec![], anywhere),
        Err(RelayError::NotLoopback { .. })
    ));
    let many = (0..1025)
        .map(|id| spec(NodeId::Client(id), ACCEPTOR))
        .collect();
    assert!(matches!(
        start(many, LOCALHOST),
        Err(RelayError::TooManyPairs { pairs: 1025 })
    ));
}

#[test]
fn dropping_ends_the_thread_and_closes_the_sockets() {
    let duo = Duo::new();
    duo.send_there(b"it runs");
    receive(&duo.acceptor);
    let (front, back) = (duo.front, duo.back);
    assert_eq!(
        UdpSocket::bind(front).unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
    drop(duo);
    // Bound again: the thread, which shares the sockets, is gone too.
    UdpSocket::bind(front).unwrap();
    UdpSocket::bind(back).unwrap();
}

#[test]
fn other_loopback_addresses_serve_too() {
    let Ok(dialler) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        // This machine has no IPv6.
        return;
    };
    let acceptor = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    acceptor.set_read_timeout(Some(PATIENCE)).unwrap();
    let acceptor_address = Some(acceptor.local_addr().unwrap());
    let pair = PairSpec {
        dialler: DIALLER,
        acceptor: ACCEPTOR,
        acceptor_address,
    };
    let relay = Relay::start(vec![pair], Seed(1), Ipv6Addr::LOCALHOST.into()).unwrap();
    dialler
        .send_to(&[6; 60_000], relay.front(DIALLER, ACCEPTOR).unwrap())
        .unwrap();
    let (contents, from) = receive(&acceptor);
    assert_eq!(
        (contents.len(), Some(from)),
        (60_000, relay.back(DIALLER, ACCEPTOR))
    );
}

#[test]
fn the_granted_buffer_is_read_back() {
    let granted = Port::bind(LOCALHOST).unwrap().granted_buffer;
    assert!(granted > 0);
    assert_eq!(Duo::new().relay.granted_buffer(), Some(granted));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_bytes_break_the_relay(
        datagrams in prop::collection::vec(
            (0..4u8, prop::collection::vec(any::<u8>(), 0..2_000)), 0..40),
        rule in any_rule(),
        seed: u64,
    ) {
        let duo = Duo::with_seed(Seed(seed));
        let stranger = socket();
        duo.relay.set_link(THERE, rule.clone());
        duo.relay.set_link(BACK, rule);
        let mut offered = [0; 2];
        for (way, contents) in &datagrams {
            match way {
                0 => duo.send_there(contents),
                1 => duo.send_back(contents),
                2 => drop(stranger.send_to(contents, duo.front).unwrap()),
                _ => drop(stranger.send_to(contents, duo.back).unwrap()),
            }
            offered[0] += u64::from(*way == 0 || *way == 2);
            offered[1] += u64::from(*way == 1);
        }
        for (link, offered) in [THERE, BACK].into_iter().zip(offered) {
            let done = |counters: LinkCounters| counters.offered == offered && adds_up(counters, 0);
            duo.await_counters(link, done);
            duo.relay.set_link(link, LinkRule::default());
        }
        let before = duo.there().forwarded;
        duo.send_there(b"still there");
        for _ in 0..before {
            receive(&duo.acceptor);
        }
        prop_assert_eq!(receive(&duo.acceptor).0, b"still there");
        prop_assert_eq!(duo.relay.failure(), None);
    }
}

/// Delays short enough to wait for.
fn any_rule() -> impl Strategy<Value = LinkRule> {
    let share = || prop_oneof![Just(0.0), 0.0..=1.0];
    let delay = prop::option::of((0..3_000u64, 0..3_000u64));
    (any::<bool>(), delay, [share(), share(), share(), share()]).prop_map(|(cut, delay, shares)| {
        let [loss, duplicate, reorder, corrupt] = shares;
        let micros = Duration::from_micros;
        let delay = delay.map(|(base, jitter)| Delay {
            base: micros(base),
            jitter: micros(jitter),
        });
        LinkRule {
            cut,
            delay,
            loss,
            duplicate,
            reorder,
            reorder_by: MS,
            corrupt,
        }
    })
}
