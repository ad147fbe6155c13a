//! One direction between two nodes: what its rule makes of each datagram, and those that wait.
//!
//! It touches no socket and no clock. The decisions and their order are the simulator's.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use quinn_udp::EcnCodepoint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use viewstorm_history::Seed;

use crate::{Delay, Link, LinkCounters, LinkMemory, LinkRule};

/// How many datagrams may wait on one wire: three seconds of 20,000 a second.
pub(super) const DELAY_LINE_DATAGRAMS: usize = 65_536;
/// How many bytes may.
pub(super) const DELAY_LINE_BYTES: usize = 64 << 20;

/// A datagram that waits for its time.
#[derive(Debug)]
pub(super) struct Waiting {
    due: Instant,
    /// Those that are due together leave as they came.
    order: u64,
    /// What it carries.
    pub(super) contents: Box<[u8]>,
    /// Its congestion mark.
    pub(super) ecn: Option<EcnCodepoint>,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

/// What becomes of a datagram: which bit is flipped, and how much later its copies leave. No copy at all if
/// it vanished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Crossing {
    pub(super) flipped_bit: Option<usize>,
    pub(super) first: Option<Duration>,
    pub(super) second: Option<Duration>,
    /// It waits for the end of a hold.
    pub(super) is_held: bool,
}

impl Crossing {
    const UNTOUCHED: Self = Self {
        flipped_bit: None,
        first: Some(Duration::ZERO),
        second: None,
        is_held: false,
    };

    pub(super) fn copies(self) -> impl Iterator<Item = Duration> {
        self.first.into_iter().chain(self.second)
    }
}

/// One directed link.
///
/// Its counters always add up: what was offered and what was duplicated has been forwarded, cut, lost or
/// overflowed, or waits.
#[derive(Debug)]
pub(super) struct Wire {
    rule: LinkRule,
    open: bool,
    memory: LinkMemory,
    /// What the rate's queue counts from.
    origin: Instant,
    random: ChaCha8Rng,
    pub(super) counters: LinkCounters,
    line: BinaryHeap<Reverse<Waiting>>,
    /// What waits for the end of a hold, as it came.
    held: VecDeque<Waiting>,
    line_bytes: usize,
    next_order: u64,
}

impl Wire {
    /// An untouched link.
    pub(super) fn new(link: Link, seed: Seed) -> Self {
        Self {
            rule: LinkRule::default(),
            open: true,
            memory: LinkMemory::default(),
            origin: Instant::now(),
            random: ChaCha8Rng::seed_from_u64(seed.stream(&format!("relay/{link}")).0),
            counters: LinkCounters::default(),
            line: BinaryHeap::new(),
            held: VecDeque::new(),
            line_bytes: 0,
            next_order: 0,
        }
    }

    /// Replaces what happens on the link. What already waits keeps its time, but for a cut, which takes it. Hands
    /// out what only a hold that is over kept, as it came.
    #[must_use = "what was held goes on"]
    pub(super) fn set(&mut self, rule: LinkRule) -> VecDeque<Waiting> {
        if rule.cut {
            self.counters.cut += (self.line.len() + self.held.len()) as u64;
            self.line.clear();
            self.held.clear();
            self.line_bytes = 0;
        }
        let released = match rule.hold {
            true => VecDeque::new(),
            false => std::mem::take(&mut self.held),
        };
        self.line_bytes -= released.iter().map(|it| it.contents.len()).sum::<usize>();
        self.memory.set(&rule);
        self.open = rule.is_open();
        self.rule = rule;
        released
    }

    /// Decides what becomes of a datagram of `length` bytes that came at `now`.
    pub(super) fn cross(&mut self, length: usize, now: Instant) -> Crossing {
        self.counters.offered += 1;
        if self.open {
            Crossing::UNTOUCHED
        } else {
            self.cross_faulty(length, now)
        }
    }

    /// The order of the decisions is part of what a seed means: cut, hold, loss, bursts, corruption and which bit,
    /// the rate's queue, delay, spreads, reordering, duplication and the second copy's delays. Where there is nothing to decide, nothing is drawn.
    fn cross_faulty(&mut self, length: usize, now: Instant) -> Crossing {
        let (rule, counters, random) = (&self.rule, &mut self.counters, &mut self.random);
        let memory = &mut self.memory;
        if rule.cut {
            counters.cut += 1;
            return Crossing::default();
        }
        if rule.hold {
            counters.held += 1;
            return Crossing {
                is_held: true,
                ..Crossing::default()
            };
        }
        if chance(random, rule.loss) | memory.burst(rule, || random.next_u64()) {
            counters.lost += 1;
            return Crossing::default();
        }
        let mut crossing = Crossing::UNTOUCHED;
        if chance(random, rule.corrupt) && length > 0 {
            counters.corrupted += 1;
            let last_bit = (length * 8 - 1) as u64;
            crossing.flipped_bit = usize::try_from(up_to(random, last_bit)).ok();
        }
        let since = now.saturating_duration_since(self.origin).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        let Some(mut first) = memory.queue(rule, since, length) else {
            counters.overflowed += 1;
            return Crossing::default();
        };
        counters.limited += u64::from(rule.rate.is_some());
        if let Some(delay) = rule.delay {
            first = first.saturating_add(later(random, delay));
        }
        counters.delayed += u64::from(rule.delay.is_some() || !rule.spreads.is_empty());
        first = first.saturating_add(memory.spread(rule, || random.next_u64()));
        if chance(random, rule.reorder) {
            counters.reordered += 1;
            first = first.saturating_add(rule.reorder_by);
        }
        crossing.first = Some(first);
        if chance(random, rule.duplicate) {
            counters.duplicated += 1;
            let second = rule
                .delay
                .map_or(Duration::ZERO, |delay| later(random, delay));
            let spread = memory.spread(rule, || random.next_u64());
            crossing.second = Some(second.saturating_add(spread));
        }
        crossing
    }

    /// Keeps a datagram until the hold is over, if there is room.
    pub(super) fn keep(&mut self, now: Instant, contents: &[u8], ecn: Option<EcnCodepoint>) {
        let bytes = self.line_bytes + contents.len();
        if self.held.len() >= DELAY_LINE_DATAGRAMS || bytes > DELAY_LINE_BYTES {
            self.counters.overflowed += 1;
            return;
        }
        self.line_bytes = bytes;
        self.held.push_back(Waiting {
            due: now,
            order: 0,
            contents: contents.into(),
            ecn,
        });
    }

    /// Keeps a datagram until `due`, if there is room.
    pub(super) fn hold(&mut self, due: Instant, contents: &[u8], ecn: Option<EcnCodepoint>) {
        let bytes = self.line_bytes + contents.len();
        if self.line.len() >= DELAY_LINE_DATAGRAMS || bytes > DELAY_LINE_BYTES {
            self.counters.overflowed += 1;
            return;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.line_bytes = bytes;
        self.line.push(Reverse(Waiting {
            due,
            order,
            contents: contents.into(),
            ecn,
        }));
    }

    /// The next datagram whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Waiting> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse(waiting) = self.line.pop()?;
        self.line_bytes -= waiting.contents.len();
        Some(waiting)
    }

    /// When the first of those that wait is to leave.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.line.peek().map(|Reverse(waiting)| waiting.due)
    }
}

/// True with probability `share`.
fn chance(random: &mut ChaCha8Rng, share: f64) -> bool {
    // 53 bits: all that a double tells apart in 0..1.
    share > 0.0 && ((random.next_u64() >> 11) as f64) < share * (1u64 << 53) as f64
}

/// A number from 0 to `most`, both included.
fn up_to(random: &mut ChaCha8Rng, most: u64) -> u64 {
    let product = u128::from(random.next_u64()) * (u128::from(most) + 1);
    u64::try_from(product >> 64).expect("the high word of a product")
}

fn later(random: &mut ChaCha8Rng, delay: Delay) -> Duration {
    let least = delay.base.saturating_sub(delay.jitter);
    let width = delay.base.saturating_add(delay.jitter) - least;
    let nanos = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX);
    least.saturating_add(Duration::from_nanos(up_to(random, nanos)))
}

#[cfg(test)]
mod tests {
    use viewstorm_protocol::NodeId;

    use super::*;

    const LINK: Link = Link {
        from: NodeId::Client(0),
        to: NodeId::replica(0),
    };
    const MS: Duration = Duration::from_millis(1);

    fn wire(rule: LinkRule) -> Wire {
        let mut wire = Wire::new(LINK, Seed(7));
        assert!(wire.set(rule).is_empty());
        wire
    }

    fn everything() -> LinkRule {
        LinkRule {
            cut: false,
            delay: Some(Delay {
                base: 3 * MS,
                jitter: 2 * MS,
            }),
            loss: 0.2,
            duplicate: 0.3,
            reorder: 0.25,
            reorder_by: 50 * MS,
            corrupt: 0.1,
            ..LinkRule::default()
        }
    }

    #[test]
    fn the_same_seed_decides_the_same_and_each_link_has_a_stream_of_its_own() {
        let crossings = |seed, link| {
            let mut wire = Wire::new(link, seed);
            assert!(wire.set(everything()).is_empty());
            (0..200)
                .map(|_| wire.cross(100, Instant::now()))
                .collect::<Vec<_>>()
        };
        assert_eq!(crossings(Seed(7), LINK), crossings(Seed(7), LINK));
        assert_ne!(crossings(Seed(7), LINK), crossings(Seed(8), LINK));
        assert_ne!(crossings(Seed(7), LINK), crossings(Seed(7), LINK.reverse()));
    }

    #[test]
    fn shares_come_out_as_the_rule_says_and_each_is_counted() {
        let mut wire = wire(everything());
        let crossings: Vec<Crossing> = (0..10_000)
            .map(|_| wire.cross(100, Instant::now()))
            .collect();
        let count = |of: &dyn Fn(&Crossing) -> bool| {
            crossings.iter().filter(|crossing| of(crossing)).count() as u64
        };
        let counters = wire.counters;
        assert_eq!(counters.offered, 10_000);
        assert_eq!(counters.lost, count(&|c| c.first.is_none()));
        assert_eq!(counters.corrupted, count(&|c| c.flipped_bit.is_some()));
        assert_eq!(counters.duplicated, count(&|c| c.second.is_some()));
        assert_eq!(counters.reordered, count(&|c| c.first >= Some(50 * MS)));
        assert_eq!(counters.delayed, 10_000 - counters.lost);
        for (share, counted) in [
            (2_000, counters.lost),
            (800, counters.corrupted),
            (2_400, counters.duplicated),
            (2_000, counters.reordered),
        ] {
            assert!(
                counted.abs_diff(share) < share / 5,
                "{counted} instead of {share}"
            );
        }
        let later = |c: &Crossing| {
            let first = c.first.map(|first| {
                if first >= 50 * MS {
                    first - 50 * MS
                } else {
                    first
                }
            });
            [first, c.second]
                .into_iter()
                .flatten()
                .all(|later| later >= MS && later <= 5 * MS)
        };
        assert!(crossings.iter().all(later));
        assert!(
            crossings
                .iter()
                .filter_map(|c| c.flipped_bit)
                .all(|bit| bit < 800)
        );
    }

    #[test]
    fn an_open_wire_draws_nothing() {
        let mut wire = wire(LinkRule::default());
        let before = wire.random.clone();
        assert!((0..100).all(|_| wire.cross(10, Instant::now()) == Crossing::UNTOUCHED));
        assert_eq!(wire.random, before);
    }

    #[test]
    fn an_empty_datagram_has_no_bit_to_flip() {
        let mut wire = wire(LinkRule {
            corrupt: 1.0,
            ..LinkRule::default()
        });
        assert_eq!(wire.cross(0, Instant::now()), Crossing::UNTOUCHED);
        assert_eq!(wire.counters.corrupted, 0);
        assert!(
            wire.cross(1, Instant::now())
                .flipped_bit
                .is_some_and(|bit| bit < 8)
        );
    }

    #[test]
    fn those_that_wait_leave_by_their_time_and_then_as_they_came() {
        let mut wire = wire(LinkRule::default());
        let start = Instant::now();
        for (later, name) in [(3, 0), (1, 1), (3, 2), (2, 3)] {
            wire.hold(start + later * MS, &[name], None);
        }
        assert_eq!(wire.next_due(), Some(start + MS));
        assert!(wire.take_due(start).is_none());
        let order: Vec<u8> = std::iter::from_fn(|| wire.take_due(start + 3 * MS))
            .map(|w| w.contents[0])
            .collect();
        assert_eq!(order, [1, 3, 0, 2]);
        assert_eq!((wire.next_due(), wire.line_bytes), (None, 0));
    }

    #[test]
    fn a_full_line_overflows_by_number_and_by_bytes() {
        let mut wire = wire(LinkRule::default());
        let due = Instant::now();
        for _ in 0..DELAY_LINE_DATAGRAMS + 3 {
            wire.hold(due, &[], None);
        }
        assert_eq!(
            (wire.line.len(), wire.counters.overflowed),
            (DELAY_LINE_DATAGRAMS, 3)
        );
        let taken = wire.set(LinkRule {
            cut: true,
            ..LinkRule::default()
        });
        assert!(taken.is_empty());
        assert_eq!(wire.counters.cut, DELAY_LINE_DATAGRAMS as u64);
        let large = vec![0; DELAY_LINE_BYTES / 4];
        for _ in 0..5 {
            wire.hold(due, &large, None);
        }
        assert_eq!((wire.line.len(), wire.counters.overflowed), (4, 4));
    }

    #[test]
    fn a_new_rule_leaves_those_that_wait_their_time() {
        let mut wire = wire(LinkRule::default());
        let due = Instant::now() + 3 * MS;
        wire.hold(due, &[1], None);
        assert!(wire.set(everything()).is_empty());
        assert!(wire.set(LinkRule::default()).is_empty());
        assert_eq!((wire.next_due(), wire.counters.cut), (Some(due), 0));
    }

    #[test]
    fn what_is_held_comes_out_in_order_when_the_hold_is_over_and_a_cut_takes_it() {
        let hold = || LinkRule {
            hold: true,
            ..LinkRule::default()
        };
        let mut wire = wire(hold());
        for name in 0..3 {
            assert!(wire.cross(1, Instant::now()).is_held);
            wire.keep(Instant::now(), &[name], None);
        }
        assert!(wire.set(hold()).is_empty(), "it goes on being held");
        let names = |held: VecDeque<Waiting>| held.iter().map(|it| it.contents[0]).collect();
        let released: Vec<u8> = names(wire.set(LinkRule::default()));
        assert_eq!((released, wire.line_bytes), (vec![0, 1, 2], 0));
        assert!(wire.set(hold()).is_empty());
        wire.keep(Instant::now(), &[9], None);
        let cut = LinkRule {
            cut: true,
            ..LinkRule::default()
        };
        assert!(wire.set(cut).is_empty());
        assert_eq!((wire.counters.cut, wire.counters.held), (1, 3));
    }
}
