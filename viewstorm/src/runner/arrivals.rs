//! When operations are due.

use std::collections::VecDeque;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use viewstorm_history::{Seed, Timestamp};

/// The most arrivals that wait for a free session; beyond, the oldest are given up early.
const BACKLOG_MAX: usize = 100_000;

/// An open-loop arrival process: due times do not depend on how the system fares, so that a slow system
/// cannot slow its own measurement down. A Poisson process of a fixed rate.
#[derive(Debug)]
pub struct Arrivals {
    random: ChaCha8Rng,
    mean_interval: Duration,
    next: Timestamp,
    end: Timestamp,
    /// Due, and not yet taken by a session.
    backlog: VecDeque<Timestamp>,
    patience: Duration,
    /// Those that found no free session within their patience.
    not_started: u64,
    silences: Option<Silent>,
}

/// Clients that fall silent at times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silences {
    /// Operations come for at most this long.
    pub burst: Duration,
    /// Then none comes for at most this long.
    pub pause: Duration,
}

/// Where silences lie.
#[derive(Debug)]
struct Silent {
    lengths: Silences,
    random: ChaCha8Rng,
    /// When the burst under way ends.
    burst_end: Timestamp,
}

impl Silent {
    fn new(lengths: Silences, start: Timestamp, seed: Seed) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed.stream("silences").0);
        let burst_end = start + lengths.burst.mul_f64(random.random());
        Self {
            lengths,
            random,
            burst_end,
        }
    }

    /// An arrival due then comes in the next burst, if none is under way.
    fn put_off(&mut self, due: Timestamp) -> Timestamp {
        let mut due = due;
        while due >= self.burst_end {
            let pause = self.lengths.pause.mul_f64(self.random.random());
            let burst = self.lengths.burst.mul_f64(self.random.random());
            // What was to come in the silence comes after it, at its pace.
            let into = due.saturating_since(self.burst_end);
            let begin = self.burst_end + pause;
            due = begin + into;
            self.burst_end = begin + burst;
        }
        due
    }
}

impl Arrivals {
    /// Arrivals at `rate` per second from `start` on, each waiting for a session for `patience`; with silences
    /// only in the bursts between them.
    pub fn new(
        rate: f64,
        start: Timestamp,
        patience: Duration,
        silences: Option<Silences>,
        seed: Seed,
    ) -> Self {
        assert!(
            rate.is_finite() && rate > 0.0,
            "the plan holds a positive rate"
        );
        Self {
            random: ChaCha8Rng::seed_from_u64(seed.stream("arrivals").0),
            mean_interval: Duration::from_secs_f64(1.0 / rate),
            next: start,
            end: Timestamp::MAX,
            backlog: VecDeque::new(),
            patience,
            not_started: 0,
            silences: silences.map(|lengths| Silent::new(lengths, start, seed)),
        }
    }

    /// No operation is due at or after `end`.
    pub fn stop_at(&mut self, end: Timestamp) {
        self.end = self.end.min(end);
    }

    /// Moves what is due by `now` into the backlog, and gives up what has waited too long.
    pub fn advance(&mut self, now: Timestamp) {
        while self.next <= now && self.next < self.end {
            self.backlog.push_back(self.next);
            let uniform: f64 = self.random.random();
            let factor = -(1.0 - uniform).ln();
            self.next = self.next + self.mean_interval.mul_f64(factor);
            if let Some(silences) = &mut self.silences {
                self.next = silences.put_off(self.next);
            }
        }
        while let Some(oldest) = self.backlog.front()
            && (*oldest + self.patience < now || self.backlog.len() > BACKLOG_MAX)
        {
            self.backlog.pop_front();
            self.not_started += 1;
        }
    }

    /// Takes the due operation that has waited longest: its intended start.
    pub fn take(&mut self) -> Option<Timestamp> {
        self.backlog.pop_front()
    }

    /// When [`advance`](Self::advance) next has something to do, were all sessions busy.
    pub fn next_due(&self) -> Option<Timestamp> {
        let arrival = (self.next < self.end).then_some(self.next);
        let patience = self.backlog.front().map(|oldest| *oldest + self.patience);
        arrival.into_iter().chain(patience).min()
    }

    /// How many wait for a free session.
    pub fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// How many found no free session in time.
    pub fn not_started(&self) -> u64 {
        self.not_started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_rate_is_kept_whatever_the_pace_of_the_caller() {
        let mut arrivals = Arrivals::new(1000.0, Timestamp::ZERO, 20 * SECOND, None, Seed(1));
        arrivals.stop_at(Timestamp::from(10 * SECOND));
        let mut taken = Vec::new();
        for pause in [1, 9_000, 20_000] {
            arrivals.advance(Timestamp::from(Duration::from_millis(pause)));
            taken.extend(std::iter::from_fn(|| arrivals.take()));
        }
        assert!(
            (9_600..10_400).contains(&taken.len()),
            "{} arrivals",
            taken.len()
        );
        assert!(taken.is_sorted() && *taken.last().unwrap() < Timestamp::from(10 * SECOND));
        assert_eq!(arrivals.next_due(), None);
    }

    #[test]
    fn in_a_silence_nothing_is_due() {
        let silences = Silences {
            burst: SECOND,
            pause: 4 * SECOND,
        };
        let mut arrivals = Arrivals::new(
            1000.0,
            Timestamp::ZERO,
            200 * SECOND,
            Some(silences),
            Seed(3),
        );
        arrivals.advance(Timestamp::from(100 * SECOND));
        let taken: Vec<_> = std::iter::from_fn(|| arrivals.take()).collect();
        assert!(taken.is_sorted());
        let gaps = taken
            .windows(2)
            .map(|pair| pair[1].saturating_since(pair[0]));
        let silent: Duration = gaps.filter(|gap| *gap > SECOND / 10).sum();
        // Pauses are four times as long as bursts.
        assert!(
            (60..95).contains(&silent.as_secs()),
            "{silent:?} of silence"
        );
        // In the bursts the rate is what it was.
        let share = taken.len() as f64 / (100.0 - silent.as_secs_f64());
        assert!((800.0..1200.0).contains(&share), "{share} a second");
    }

    #[test]
    fn what_finds_no_session_in_time_is_counted() {
        let mut arrivals = Arrivals::new(100.0, Timestamp::ZERO, SECOND, None, Seed(2));
        arrivals.stop_at(Timestamp::from(SECOND));
        arrivals.advance(Timestamp::from(SECOND));
        let due = arrivals.waiting() as u64;
        assert!(arrivals.take().is_some());
        arrivals.advance(Timestamp::from(3 * SECOND));
        assert_eq!((arrivals.waiting(), arrivals.not_started()), (0, due - 1));
    }
}
