//! Where the nodes are, and where they are not.

use std::net::UdpSocket;

use viewstorm_history::Seed;
use viewstorm_protocol::NodeId;

use super::{ACCEPTOR, BACK, DIALLER, Duo, LOCALHOST, THERE, adds_up, cut, receive, socket};
use crate::Link;
use crate::inject::{PairSpec, Relay};

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
