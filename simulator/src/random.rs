//! Random streams: small, quick, and each of its own seed.

use std::time::Duration;

use viewstorm_history::Seed;

use crate::Between;

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): one addition and one mix a draw, and two words of
/// state, so that every link and disk can have a stream of its own.
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The run's stream called `name`.
    pub fn new(seed: Seed, name: &str) -> Self {
        Self(seed.stream(name).0)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `most`, both included.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        let product = u128::from(self.next_u64()) * (u128::from(most) + 1);
        u64::try_from(product >> 64).expect("the high word of a product")
    }

    /// A duration in nanoseconds from the range.
    pub(crate) fn nanos(&mut self, range: Between) -> u64 {
        let (least, most) = (nanos(range.least), nanos(range.most));
        least + self.up_to(most.saturating_sub(least))
    }

    /// True with probability `share`. Draws nothing where there is nothing to decide.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        // 53 bits: all that a double tells apart in 0..1.
        share > 0.0 && ((self.next_u64() >> 11) as f64) < share * (1u64 << 53) as f64
    }
}

/// The duration in whole nanoseconds; the end of time if it is longer than some 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_range_and_reach_its_ends() {
        let mut stream = Stream::new(Seed(1), "test");
        let drawn: Vec<u64> = (0..200).map(|_| stream.up_to(3)).collect();
        assert!((0..=3).all(|value| drawn.contains(&value)) && drawn.iter().all(|d| *d <= 3));
        assert!((0..100).all(|_| stream.nanos(Between::micros(5, 5)) == 5_000));
        let heads = (0..10_000).filter(|_| stream.chance(0.25)).count();
        assert!((2_200..2_800).contains(&heads), "{heads}");
        assert!(!stream.chance(0.0) && stream.chance(1.0));
    }
}
