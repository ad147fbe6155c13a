//! What a rule does to a link, and when.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use viewstorm_history::Seed;

use super::super::wire::DELAY_LINE_BYTES;
use super::{BACK, Duo, MS, THERE, adds_up, cut, delayed, receive, send_batch, socket};
use crate::{Delay, LinkRule, Rate};

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

/// Sends without a pause until it is dropped.
struct Blast {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Blast {
    fn start(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let socket = socket();
            while !stopped.load(Ordering::Relaxed) {
                socket.send_to(b"blast", to).unwrap();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Blast {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn a_rule_is_in_force_when_the_call_returns() {
    let duo = Duo::new();
    let _blast = Blast::start(duo.front);
    for _ in 0..50 {
        let offered = duo.there().offered;
        duo.await_counters(THERE, |counters| counters.offered > offered);
        duo.relay.set_link(THERE, cut());
        let before = duo.there();
        let after = duo.await_counters(THERE, |counters| counters.offered > before.offered + 50);
        assert_eq!(after.forwarded, before.forwarded);
        assert!(adds_up(after, 0));
        duo.relay.set_link(THERE, LinkRule::default());
        let cut = duo.there().cut;
        duo.await_counters(THERE, |counters| counters.forwarded > after.forwarded);
        assert_eq!(duo.there().cut, cut);
    }
}

#[test]
fn many_that_are_due_together_all_leave_in_order() {
    let duo = Duo::new();
    duo.relay.set_link(THERE, delayed(50 * MS, Duration::ZERO));
    for number in 0..300u16 {
        duo.send_there(&number.to_le_bytes());
    }
    for number in 0..300u16 {
        assert_eq!(receive(&duo.acceptor).0, number.to_le_bytes());
    }
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
        // Longer than a busy machine takes for the rest of this.
        reorder_by: 1_000 * MS,
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
    let mut places = BTreeSet::new();
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
        ..LinkRule::default()
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
    let most = (DELAY_LINE_BYTES / contents.len()) as u64;
    for sent in 1..=most + 5 {
        duo.send_there(&contents);
        duo.await_offered(THERE, sent);
    }
    let counters = duo.there();
    assert_eq!((counters.overflowed, counters.forwarded), (5, 0));
    assert!(adds_up(counters, most));
}

#[test]
fn what_is_held_leaves_in_order_when_the_hold_is_lifted_and_not_before() {
    let duo = Duo::new();
    let hold = LinkRule {
        hold: true,
        ..LinkRule::default()
    };
    duo.relay.set_link(THERE, hold);
    for name in 0..20 {
        duo.send_there(&[name]);
    }
    let counters = duo.await_offered(THERE, 20);
    assert_eq!((counters.held, counters.forwarded), (20, 0));
    duo.send_back(b"the other way");
    assert_eq!(receive(&duo.dialler).0, b"the other way");
    duo.relay.set_link(THERE, LinkRule::default());
    let arrived: Vec<u8> = (0..20).map(|_| receive(&duo.acceptor).0[0]).collect();
    assert_eq!(arrived, (0..20).collect::<Vec<u8>>());
}

#[test]
fn a_rate_spreads_a_burst_over_time_and_drops_what_its_queue_does_not_take() {
    let duo = Duo::new();
    // A thousand bytes take ten milliseconds; three of them wait.
    let rule = LinkRule {
        rate: Some(Rate {
            kilobits: 800,
            queue_bytes: 3_000,
        }),
        ..LinkRule::default()
    };
    duo.relay.set_link(THERE, rule);
    let start = Instant::now();
    for name in 0..20 {
        duo.send_there(&[name; 1_000]);
    }
    let counters = duo.await_offered(THERE, 20);
    assert!(counters.overflowed > 0, "{counters:?}");
    let passed = counters.limited;
    assert_eq!(passed + counters.overflowed, 20);
    for _ in 0..passed {
        assert_eq!(receive(&duo.acceptor).0.len(), 1_000);
    }
    let least = 10 * MS * u32::try_from(passed).unwrap();
    assert!(start.elapsed() >= least, "never faster than the rate");
}
