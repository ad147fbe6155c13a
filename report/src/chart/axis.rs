//! Axes: from values to places between 0 and 1, with ticks at round values.

use viewstorm_history::Timestamp;

use crate::units;

/// About as many ticks does an axis of values get.
const VALUE_TICKS: f64 = 5.0;
/// About as many an axis of time.
const TIME_TICKS: f64 = 9.0;

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    /// Where, from 0 to 1.
    pub(crate) at: f64,
    /// What it says.
    pub(crate) label: String,
}

/// A logarithmic axis of nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogAxis {
    low: f64,
    high: f64,
}

impl LogAxis {
    /// The axis between the round values around these.
    pub(crate) fn new(least: u64, most: u64) -> Self {
        let low = round_values(least.max(1) as f64).0;
        let high = round_values(most.max(1) as f64).1;
        Self {
            low,
            high: if high > low { high } else { low * 10.0 },
        }
    }

    /// Where a value lies.
    pub(crate) fn place(&self, nanos: u64) -> f64 {
        self.place_of(nanos.max(1) as f64).clamp(0.0, 1.0)
    }

    /// A tick at every power of ten, and at 2 and 5 if those are few.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        let decades = (self.high / self.low).log10();
        let factors: &[f64] = if decades <= 2.5 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let values = (first..=last).flat_map(|decade| {
            factors
                .iter()
                .map(move |factor| factor * 10_f64.powi(decade))
        });
        // The ends are round values too, but not exactly so.
        let in_range =
            values.filter(|value| self.low * 0.999 <= *value && *value <= self.high * 1.001);
        in_range
            .map(|value| Tick {
                at: self.place_of(value).clamp(0.0, 1.0),
                label: units::duration(value.round() as u64),
            })
            .collect()
    }

    fn place_of(&self, value: f64) -> f64 {
        (value / self.low).ln() / (self.high / self.low).ln()
    }
}

/// A linear axis from zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinearAxis {
    high: f64,
    step: f64,
}

impl LinearAxis {
    /// The axis up to the round value above this.
    pub(crate) fn new(most: f64) -> Self {
        let most = if most.is_finite() && most > 0.0 {
            most
        } else {
            1.0
        };
        let step = round_values(most / VALUE_TICKS).1;
        Self {
            high: (most / step).ceil() * step,
            step,
        }
    }

    /// Where a value lies.
    pub(crate) fn place(&self, value: f64) -> f64 {
        (value / self.high).clamp(0.0, 1.0)
    }

    /// A tick at every step.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        let number = (self.high / self.step).round() as u32;
        let tick = |index: u32| {
            let value = self.step * f64::from(index);
            let label = match self.step >= 1.0 {
                true => units::count(value.round() as u64),
                false => format!("{value:.1}"),
            };
            Tick {
                at: value / self.high,
                label,
            }
        };
        (0..=number).map(tick).collect()
    }
}

/// Ticks at round times between `from` and `to`, counted from `origin`.
pub(crate) fn time_ticks(from: Timestamp, to: Timestamp, origin: Timestamp) -> Vec<Tick> {
    let start = (from.0 as f64 - origin.0 as f64) / 1e9;
    let span = to.0.saturating_sub(from.0).max(1) as f64 / 1e9;
    let step = round_values(span / TIME_TICKS).1;
    // A span that is small against its distance from the origin has no digits left to tell ticks
    // apart.
    if start + step == start {
        return Vec::new();
    }
    let first = (start / step - 1e-9).ceil();
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let tick = |index: u32| {
        let value = (first + f64::from(index)) * step;
        let label = if value < 0.0 {
            format!("−{:.decimals$} s", -value)
        } else {
            format!("{value:.decimals$} s")
        };
        Tick {
            at: (value - start) / span,
            label,
        }
    };
    (0..2 * TIME_TICKS as u32)
        .map(tick)
        .take_while(|tick| tick.at <= 1.0 + 1e-9)
        .collect()
}

/// The nearest of 1, 2, 5, 10, 20, 50, ... that is not above a positive value, and that not below
/// it.
fn round_values(value: f64) -> (f64, f64) {
    let decade = 10_f64.powf(value.log10().floor());
    let candidates = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0].map(|factor| factor * decade);
    let slack = 1e-9;
    let below = candidates
        .iter()
        .rev()
        .find(|candidate| **candidate <= value * (1.0 + slack));
    let above = candidates
        .iter()
        .find(|candidate| **candidate >= value * (1.0 - slack));
    (
        below.copied().unwrap_or(value),
        above.copied().unwrap_or(value),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = LogAxis::new(700_000, 2_300_000_000);
        assert_eq!(labels(&axis.ticks()), ["1 ms", "10 ms", "100 ms", "1 s"]);
        let axis = LogAxis::new(1_100_000, 4_000_000);
        assert_eq!(labels(&axis.ticks()), ["1 ms", "2 ms", "5 ms"]);
        let axis = LinearAxis::new(1043.0);
        assert_eq!(labels(&axis.ticks()), ["0", "500", "1,000", "1,500"]);
        let second = 1_000_000_000;
        let ticks = time_ticks(Timestamp(second), Timestamp(31 * second), Timestamp(second));
        assert_eq!(
            labels(&ticks),
            ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s", "30 s"]
        );
        let ticks = time_ticks(Timestamp(0), Timestamp(500_000_000), Timestamp(second));
        assert_eq!(labels(&ticks)[0], "−1.0 s");
    }

    proptest! {
        #[test]
        fn every_axis_has_ticks_within_it(a in any::<u64>(), b in any::<u64>()) {
            let (least, most) = (a.min(b), a.max(b));
            let log = LogAxis::new(least, most);
            let linear = LinearAxis::new(most as f64);
            for ticks in [log.ticks(), linear.ticks()] {
                prop_assert!((2..=22).contains(&ticks.len()), "{:?}", ticks);
                prop_assert!(ticks.iter().all(|tick| (0.0..=1.0).contains(&tick.at)));
            }
            let ticks = time_ticks(Timestamp(least), Timestamp(most), Timestamp::ZERO);
            prop_assert!(ticks.iter().all(|tick| (-0.001..=1.001).contains(&tick.at)));
            prop_assert!((0.0..=1.0).contains(&log.place(least)));
            prop_assert!(log.place(least) <= log.place(most));
        }
    }
}
