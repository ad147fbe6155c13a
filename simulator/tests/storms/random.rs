//! The storm's choices, from a stream of the seed's own.

use std::time::Duration;

use viewstorm_history::Seed;
use viewstorm_simulator::Stream;

/// A random stream.
#[derive(Clone, Debug)]
pub(crate) struct Random(Stream);

impl Random {
    pub(crate) fn new(seed: Seed, name: &str) -> Self {
        Self(Stream::new(seed, name))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// One of the choices.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True so many times in a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A duration between the two, in milliseconds; short ones more often than long ones.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        let span = (most - least) * 1000;
        let draw = (self.next() % (span + 1)).min(self.next() % (span + 1));
        Duration::from_micros(least * 1000 + draw)
    }
}
