//! From start to drop, whatever arrives.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use proptest::prelude::*;
use viewstorm_history::Seed;
use viewstorm_protocol::NodeId;

use super::super::port::Port;
use super::{
    ACCEPTOR, BACK, DIALLER, Duo, LOCALHOST, MS, PATIENCE, THERE, adds_up, receive, socket,
};
use crate::inject::{PairSpec, Relay, RelayError};
use crate::{Delay, LinkCounters, LinkRule};

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
            ..LinkRule::default()
        }
    })
}
