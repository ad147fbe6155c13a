//! What passes untouched stays what it was.

use std::io;
use std::time::Duration;

use quinn_udp::{EcnCodepoint, RecvMeta, UdpSocketState};

use super::{BACK, Duo, MS, THERE, delayed, receive, send_batch};
use crate::LinkCounters;

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
fn congestion_marks_pass_each_with_its_datagram() {
    let duo = Duo::new();
    let state = UdpSocketState::new((&duo.acceptor).into()).unwrap();
    // While they wait they gather, so that they leave in one go.
    duo.relay.set_link(THERE, delayed(20 * MS, Duration::ZERO));
    let marks = [
        Some(EcnCodepoint::Ect0),
        None,
        None,
        Some(EcnCodepoint::Ect0),
    ];
    for mark in marks {
        match mark {
            Some(_) => send_batch(&duo.dialler, duo.front, b"mark", 4),
            None => duo.send_there(b"none"),
        }
    }
    duo.await_counters(THERE, |counters| counters.forwarded == 4);
    let mut arrived = Vec::new();
    while arrived.len() < marks.len() {
        let (mut buffer, mut metas) = ([0; 2048], [RecvMeta::default()]);
        let mut slices = [io::IoSliceMut::new(&mut buffer)];
        // Sent means that it is there: loopback has no way between.
        let count = state
            .recv((&duo.acceptor).into(), &mut slices, &mut metas)
            .unwrap();
        assert_eq!(count, 1);
        arrived.extend(buffer[..metas[0].len].chunks(4).map(|_| metas[0].ecn));
    }
    assert_eq!(arrived, marks);
}
