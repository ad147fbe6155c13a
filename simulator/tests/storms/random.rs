//! The storm's choices: `SplitMix64`, as in the simulator, from a stream of the seed's own.

use std::time::Duration;

use viewstorm_history::Seed;

/// A random stream.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: Seed, name: &str) -> Self {
        Self(seed.stream(name).0)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
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
