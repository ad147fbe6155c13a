//! Laws of links that need memory or more than one number: delays of any distribution, losses in bursts, a rate.
//!
//! A law is a value; [`LinkMemory`] is what a link remembers of its laws from one datagram to the next. Both
//! worlds use it, each with random bits of its own.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::LinkRule;

/// A delay takes at most so many times its jitter more than its base: what is later is cut off there.
const MOST_JITTERS: u32 = 20;
/// A normal delay is within so many standard deviations: the sum of twelve uniform numbers is.
const MOST_DEVIATIONS: u32 = 6;
/// How many draws the sum of a normal one has.
const DRAWS: u32 = 12;

/// How late, by a distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spread {
    /// The distribution.
    pub distribution: Distribution,
    /// The share of datagrams that take as long as the one before, 0 to 1: the correlation of one with the next.
    #[serde(default)]
    pub correlation: f64,
}

/// A distribution of delays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Distribution {
    /// The same anywhere between `base - jitter` and `base + jitter`.
    Uniform {
        /// The middle.
        #[serde(with = "crate::link::nanos")]
        base: Duration,
        /// The half width.
        #[serde(with = "crate::link::nanos")]
        jitter: Duration,
    },
    /// Around a mean: never below zero.
    Normal {
        /// The mean.
        #[serde(with = "crate::link::nanos")]
        base: Duration,
        /// The standard deviation.
        #[serde(with = "crate::link::nanos")]
        jitter: Duration,
    },
    /// A least time and a heavy tail over it (Lomax).
    Pareto {
        /// The least.
        #[serde(with = "crate::link::nanos")]
        base: Duration,
        /// The scale of the tail.
        #[serde(with = "crate::link::nanos")]
        jitter: Duration,
        /// The shape of the tail: the smaller the heavier.
        alpha: f64,
    },
    /// These, one after the other, again and again.
    Trace(Vec<u64>),
}

/// Losses in bursts: a chain with a good and a bad state (Gilbert 1960, Elliott 1963).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Burst {
    /// The chance of going from good to bad with a datagram: p.
    pub p: f64,
    /// The chance of going from bad to good: r. A burst lasts 1/r datagrams in the mean.
    pub r: f64,
    /// The share that vanishes in the bad state: 1 - h.
    pub loss_bad: f64,
    /// The share that vanishes in the good state: 1 - k.
    pub loss_good: f64,
}

/// So many bits a second, with a queue before it. What finds no room in the queue is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rate {
    /// Thousand bits a second.
    pub kilobits: u64,
    /// How many bytes may wait.
    pub queue_bytes: u64,
}

/// What a link remembers of its laws.
#[derive(Clone, Debug, Default)]
pub struct LinkMemory {
    /// Of each burst, whether it is in its bad state.
    bad: Vec<bool>,
    /// Of each spread, the delay before and the place in its trace.
    spreads: Vec<(Option<Duration>, usize)>,
    /// When the rate has dealt with all that was queued, in nanoseconds of the caller's clock.
    free_at: u64,
}

impl Distribution {
    /// The least and the most that it adds.
    pub fn bounds(&self) -> (Duration, Duration) {
        match self {
            Self::Uniform { base, jitter } => {
                (base.saturating_sub(*jitter), base.saturating_add(*jitter))
            }
            Self::Normal { base, jitter } => {
                let most = jitter.saturating_mul(MOST_DEVIATIONS);
                (base.saturating_sub(most), base.saturating_add(most))
            }
            Self::Pareto { base, jitter, .. } => {
                let most = jitter.saturating_mul(MOST_JITTERS);
                (*base, base.saturating_add(most))
            }
            Self::Trace(times) => {
                let least = times.iter().min().copied().unwrap_or_default();
                let most = times.iter().max().copied().unwrap_or_default();
                (Duration::from_nanos(least), Duration::from_nanos(most))
            }
        }
    }

    /// Nine of ten delays are at least this.
    pub fn low(&self) -> Duration {
        match self {
            Self::Uniform { base, jitter } => {
                base.saturating_sub(*jitter).saturating_add(*jitter / 5)
            }
            Self::Normal { base, jitter } => base.saturating_sub(jitter.mul_f64(1.3)),
            Self::Pareto { base, .. } => *base,
            Self::Trace(times) => {
                let mut sorted = times.clone();
                sorted.sort_unstable();
                Duration::from_nanos(sorted.get(sorted.len() / 10).copied().unwrap_or_default())
            }
        }
    }

    fn draw(&self, place: &mut usize, bits: &mut impl FnMut() -> u64) -> Duration {
        match self {
            Self::Uniform { .. } => {
                let (least, most) = self.bounds();
                least + (most - least).mul_f64(unit(bits()))
            }
            Self::Normal { base, jitter } => {
                let sum: f64 = (0..DRAWS).map(|_| unit(bits())).sum();
                let deviations = sum - f64::from(DRAWS) / 2.0;
                let off = jitter.mul_f64(deviations.abs());
                if deviations < 0.0 {
                    base.saturating_sub(off)
                } else {
                    base.saturating_add(off)
                }
            }
            Self::Pareto {
                base,
                jitter,
                alpha,
            } => {
                // Never zero: the power of it would be infinite.
                let unit = 1.0 - unit(bits());
                let jitters = unit.powf(-1.0 / alpha) - 1.0;
                base.saturating_add(jitter.mul_f64(jitters.min(f64::from(MOST_JITTERS))))
            }
            Self::Trace(times) => {
                let time = times.get(*place % times.len().max(1)).copied();
                *place = (*place + 1) % times.len().max(1);
                Duration::from_nanos(time.unwrap_or_default())
            }
        }
    }
}

impl Burst {
    /// The share that it takes in the long run.
    pub fn mean(&self) -> f64 {
        let bad = self.p / (self.p + self.r);
        bad * self.loss_bad + (1.0 - bad) * self.loss_good
    }

    /// By how much the losses of a number of datagrams vary more than independent ones.
    pub fn clumping(&self) -> f64 {
        let memory = (1.0 - self.p - self.r).clamp(0.0, 0.999);
        ((1.0 + memory) / (1.0 - memory)).sqrt()
    }
}

impl LinkMemory {
    /// The rule of the link is now this: laws that it has in the same places go on where they were.
    pub fn set(&mut self, rule: &LinkRule) {
        self.bad.resize(rule.bursts.len(), false);
        self.spreads.resize(rule.spreads.len(), (None, 0));
        if rule.rate.is_none() {
            self.free_at = 0;
        }
    }

    /// Whether a burst takes the datagram. Every chain makes a step, whatever the others do.
    pub fn burst(&mut self, rule: &LinkRule, mut bits: impl FnMut() -> u64) -> bool {
        let mut is_lost = false;
        for (burst, bad) in rule.bursts.iter().zip(&mut self.bad) {
            let turn = if *bad { burst.r } else { burst.p };
            *bad ^= chance(turn, &mut bits);
            let loss = if *bad {
                burst.loss_bad
            } else {
                burst.loss_good
            };
            is_lost |= chance(loss, &mut bits);
        }
        is_lost
    }

    /// How much later the spreads let it go on, together.
    pub fn spread(&mut self, rule: &LinkRule, mut bits: impl FnMut() -> u64) -> Duration {
        let mut sum = Duration::ZERO;
        for (spread, (before, place)) in rule.spreads.iter().zip(&mut self.spreads) {
            let again = before.filter(|_| chance(spread.correlation, &mut bits));
            let delay = again.unwrap_or_else(|| spread.distribution.draw(place, &mut bits));
            *before = Some(delay);
            sum = sum.saturating_add(delay);
        }
        sum
    }

    /// How long a datagram of so many bytes waits for the rate and is under way by it; none if the queue is full.
    /// `now` is in nanoseconds, of any clock that does not go back.
    pub fn queue(&mut self, rule: &LinkRule, now: u64, bytes: usize) -> Option<Duration> {
        let Some(rate) = rule.rate else {
            return Some(Duration::ZERO);
        };
        let nanos = |bytes: u64| {
            let nanos = u128::from(bytes) * 8_000_000 / u128::from(rate.kilobits.max(1));
            u64::try_from(nanos).unwrap_or(u64::MAX)
        };
        let starts = self.free_at.max(now);
        let waits = starts - now;
        if waits > nanos(rate.queue_bytes) {
            return None;
        }
        self.free_at = starts.saturating_add(nanos(bytes as u64));
        Some(Duration::from_nanos(self.free_at - now))
    }
}

/// 53 bits: all that a double tells apart in 0..1.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Draws nothing where there is nothing to decide.
fn chance(share: f64, bits: &mut impl FnMut() -> u64) -> bool {
    share >= 1.0 || (share > 0.0 && unit(bits()) < share)
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.distribution {
            Distribution::Uniform { base, jitter } => write!(f, "{base:?} ± {jitter:?}")?,
            Distribution::Normal { base, jitter } => {
                write!(f, "{base:?}, normal with a deviation of {jitter:?}")?;
            }
            Distribution::Pareto {
                base,
                jitter,
                alpha,
            } => {
                write!(
                    f,
                    "{base:?} and a Pareto tail of {jitter:?} and α = {alpha}"
                )?;
            }
            Distribution::Trace(times) => write!(f, "{} recorded times in turn", times.len())?,
        }
        if self.correlation > 0.0 {
            write!(f, ", correlated by {}", self.correlation)?;
        }
        Ok(())
    }
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            p,
            r,
            loss_bad,
            loss_good,
        } = self;
        write!(
            f,
            "in bursts (Gilbert-Elliott p {p}, r {r}, 1-h {loss_bad}, 1-k {loss_good})"
        )
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kilobits,
            queue_bytes,
        } = self;
        write!(
            f,
            "of {kilobits} kbit/s with a queue of {queue_bytes} bytes"
        )
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn delays(distribution: Distribution, correlation: f64, count: usize) -> Vec<f64> {
        let rule = LinkRule {
            spreads: vec![Spread {
                distribution,
                correlation,
            }],
            ..LinkRule::default()
        };
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut memory = LinkMemory::default();
        memory.set(&rule);
        let one = |_| memory.spread(&rule, || random.next_u64()).as_secs_f64() * 1e3;
        (0..count).map(one).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn correlation(values: &[f64]) -> f64 {
        let middle = mean(values);
        let off: Vec<f64> = values.iter().map(|value| value - middle).collect();
        let next: f64 = off.windows(2).map(|pair| pair[0] * pair[1]).sum();
        next / off.iter().map(|off| off * off).sum::<f64>()
    }

    #[test]
    fn distributions_come_out_as_they_say() {
        const COUNT: usize = 40_000;
        let (base, jitter) = (50 * MS, 5 * MS);
        let uniform = delays(Distribution::Uniform { base, jitter }, 0.0, COUNT);
        assert!(uniform.iter().all(|it| (45.0..=55.0).contains(it)));
        assert!((mean(&uniform) - 50.0).abs() < 0.1);
        let normal = delays(Distribution::Normal { base, jitter }, 0.0, COUNT);
        let deviation = mean(
            &normal
                .iter()
                .map(|it| (it - 50.0).powi(2))
                .collect::<Vec<_>>(),
        )
        .sqrt();
        assert!((mean(&normal) - 50.0).abs() < 0.1 && (deviation - 5.0).abs() < 0.1);
        let within = normal
            .iter()
            .filter(|it| (45.0..55.0).contains(*it))
            .count();
        assert!(
            (within as f64 / COUNT as f64 - 0.683).abs() < 0.01,
            "{within}"
        );
        let alpha = 2.0;
        let pareto = delays(
            Distribution::Pareto {
                base,
                jitter,
                alpha,
            },
            0.0,
            COUNT,
        );
        // P(tail > t) = (1 + t / jitter)^-alpha
        let beyond = pareto.iter().filter(|it| **it > 60.0).count() as f64 / COUNT as f64;
        assert!((beyond - 1.0 / 9.0).abs() < 0.01, "{beyond}");
        assert!(pareto.iter().all(|it| (50.0..=150.0).contains(it)));
        let trace = delays(Distribution::Trace(vec![1_000_000, 3_000_000]), 0.0, 5);
        assert_eq!(trace, [1.0, 3.0, 1.0, 3.0, 1.0]);
    }

    #[test]
    fn a_correlation_leaves_the_distribution_as_it_is() {
        let (base, jitter) = (50 * MS, 5 * MS);
        for rho in [0.0, 0.5, 0.8] {
            let delays = delays(Distribution::Normal { base, jitter }, rho, 60_000);
            let found = correlation(&delays);
            assert!((found - rho).abs() < 0.03, "{rho}: {found}");
            assert!((mean(&delays) - 50.0).abs() < 0.3);
        }
    }

    #[test]
    fn nine_of_ten_delays_are_above_the_low_one_and_all_within_bounds() {
        let (base, jitter) = (20 * MS, 8 * MS);
        for distribution in [
            Distribution::Uniform { base, jitter },
            Distribution::Normal { base, jitter },
            Distribution::Pareto {
                base,
                jitter,
                alpha: 1.5,
            },
            Distribution::Trace((1..=40).map(|it| it * 1_000_000).collect()),
        ] {
            let (least, most) = distribution.bounds();
            let low = distribution.low().as_secs_f64() * 1e3;
            let delays = delays(distribution.clone(), 0.0, 10_000);
            let above = delays.iter().filter(|it| **it >= low - 1e-9).count();
            assert!(
                (8_800..=10_000).contains(&above),
                "{distribution:?} {above}"
            );
            let bounds = least.as_secs_f64() * 1e3 - 1e-9..=most.as_secs_f64() * 1e3 + 1e-9;
            assert!(
                delays.iter().all(|it| bounds.contains(it)),
                "{distribution:?}"
            );
        }
    }

    #[test]
    fn bursts_take_their_share_in_clumps() {
        let burst = Burst {
            p: 0.02,
            r: 0.2,
            loss_bad: 0.9,
            loss_good: 0.01,
        };
        let rule = LinkRule {
            bursts: vec![burst],
            ..LinkRule::default()
        };
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut memory = LinkMemory::default();
        memory.set(&rule);
        let lost: Vec<f64> = (0..100_000)
            .map(|_| f64::from(u8::from(memory.burst(&rule, || random.next_u64()))))
            .collect();
        assert!((mean(&lost) - burst.mean()).abs() < 0.01, "{}", mean(&lost));
        assert!(correlation(&lost) > 0.4, "{}", correlation(&lost));
    }

    #[test]
    fn a_rate_lets_so_much_through_and_its_queue_is_bounded() {
        let rule = LinkRule {
            rate: Some(Rate {
                kilobits: 8_000,
                queue_bytes: 3_000,
            }),
            ..LinkRule::default()
        };
        let mut memory = LinkMemory::default();
        memory.set(&rule);
        // A thousand bytes a millisecond.
        let waits: Vec<Option<Duration>> = (0..6).map(|_| memory.queue(&rule, 0, 1_000)).collect();
        let expected = [
            Some(MS),
            Some(2 * MS),
            Some(3 * MS),
            Some(4 * MS),
            None,
            None,
        ];
        assert_eq!(waits, expected);
        assert_eq!(memory.queue(&rule, 4_000_000, 500), Some(MS / 2));
        memory.set(&LinkRule::default());
        assert_eq!(
            memory.queue(&LinkRule::default(), 0, 1_000),
            Some(Duration::ZERO)
        );
    }
}
