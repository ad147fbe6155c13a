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
}

impl Arrivals {
    /// Arrivals at `rate` per second from `start` on, each waiting for a session for `patience`.
    pub fn new(rate: f64, start: Timestamp, patience: Duration, seed: Seed) -> Self {
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
        }
    }

    /// No operation is due at or after `end`.
    pub fn stop_at(&mut self, end: Timestamp) {
        self.end = end;
    }

    /// Moves what is due by `now` into the backlog, and gives up what has waited too long.
    pub fn advance(&mut self, now: Timestamp) {
        while self.next <= now && self.next < self.end {
            self.backlog.push_back(self.next);
            let uniform: f64 = self.random.random();
            let factor = -(1.0 - uniform).ln();
            self.next = self.next + self.mean_interval.mul_f64(factor);
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
        let mut arrivals = Arrivals::new(1000.0, Timestamp::ZERO, 20 * SECOND, Seed(1));
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
    fn what_finds_no_session_in_time_is_counted() {
        let mut arrivals = Arrivals::new(100.0, Timestamp::ZERO, SECOND, Seed(2));
        arrivals.stop_at(Timestamp::from(SECOND));
        arrivals.advance(Timestamp::from(SECOND));
        let due = arrivals.waiting() as u64;
        assert!(arrivals.take().is_some());
        arrivals.advance(Timestamp::from(3 * SECOND));
        assert_eq!((arrivals.waiting(), arrivals.not_started()), (0, due - 1));
    }
}
