//! The clock seam: what a core is told of the time, which need not be the truth.
//!
//! ```text
//!   told                    .´          bent = at + since · rate
//!    |             ______.´             told = the greatest bent so far: it never goes back
//!    |          .´
//!    |       .´    jump back
//!    +------------------------- true
//! ```
//!
//! The core does not know it. Both drivers, the replica process and the simulator, ask it what to tell the core
//! and when the core's next timeout is due in true time.

use serde::{Deserialize, Serialize};

use crate::Instant;

const PPM: i128 = 1_000_000;

/// A machine's clock. It survives the processes on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockShim {
    bent: Option<BentClock>,
    /// The latest time told.
    told: u64,
}

/// How a clock runs that once was touched: a line through a point. All times are true times of the run, so that
/// whoever is told later than it was bent tells the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BentClock {
    /// The true time of the point.
    pub true_origin: u64,
    /// What the clock shows then.
    pub bent_origin: i64,
    /// What it gains from then on, in millionths of true time; -1,000,000 stands.
    pub drift_ppm: i32,
}

impl BentClock {
    fn at(self, now: u64) -> i128 {
        // Negative for whoever asks of a time before the bend.
        let since = i128::from(now) - i128::from(self.true_origin);
        i128::from(self.bent_origin) + since * (PPM + i128::from(self.drift_ppm)) / PPM
    }
}

impl ClockShim {
    /// A clock that shows the truth, or what `bent` says.
    pub const fn new(bent: Option<BentClock>) -> Self {
        Self { bent, told: 0 }
    }

    /// How it runs, if it does not show the truth.
    pub const fn bent(&self) -> Option<BentClock> {
        self.bent
    }

    /// From now on it runs so.
    pub const fn set(&mut self, bent: Option<BentClock>) {
        self.bent = bent;
    }

    /// From true time `now` on it shows `nanos` more, or less, and keeps the distance.
    pub fn jump(&mut self, now: u64, nanos: i64) {
        let drift_ppm = self.bent.map_or(0, |bent| bent.drift_ppm);
        self.bend(now, nanos, drift_ppm);
    }

    /// From true time `now` on it gains so many millionths. A clock that runs backwards is not one: at worst it
    /// stands.
    pub fn drift(&mut self, now: u64, ppm: i32) {
        self.bend(now, 0, ppm.max(-1_000_000));
    }

    fn bend(&mut self, now: u64, leap: i64, drift_ppm: i32) {
        let shows = match self.bent {
            Some(bent) => bent.at(now),
            None => i128::from(now),
        };
        let bent_origin = shows + i128::from(leap);
        let end = i128::from(i64::MAX);
        self.bent = Some(BentClock {
            true_origin: now,
            bent_origin: i64::try_from(bent_origin.clamp(-end, end)).expect("clamped to it"),
            drift_ppm,
        });
    }

    /// What the core is told at true time `now`.
    pub fn tell(&mut self, now: u64) -> Instant {
        let reading = match self.bent {
            None => now.max(self.told),
            Some(bent) => {
                let latest = bent.at(now).clamp(0, i128::from(u64::MAX));
                u64::try_from(latest).expect("clamped to it").max(self.told)
            }
        };
        self.told = reading;
        Instant::from_nanos(reading)
    }

    /// The true time, at or after `now`, at which the clock will have reached `deadline`; none if it never
    /// does as it runs now.
    pub fn when(&self, now: u64, deadline: Instant) -> Option<u64> {
        let deadline = deadline.as_nanos();
        if deadline <= self.told {
            return Some(now);
        }
        let Some(bent) = self.bent else {
            return Some(deadline.max(now));
        };
        let missing = i128::from(deadline) - bent.at(now);
        let rate = PPM + i128::from(bent.drift_ppm);
        if missing > 0 && rate <= 0 {
            return None;
        }
        // Rounded up, and one more: the reading rounds down from the origin of the bend.
        let wait = if missing <= 0 {
            0
        } else {
            (missing * PPM + rate - 1) / rate + 1
        };
        Some(u64::try_from(i128::from(now) + wait).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untouched_clock_tells_the_truth() {
        let mut clock = ClockShim::default();
        assert_eq!(clock.tell(5), Instant::from_nanos(5));
        assert_eq!(clock.when(5, Instant::from_nanos(9)), Some(9));
        assert_eq!(clock.when(5, Instant::from_nanos(2)), Some(5));
    }

    #[test]
    fn a_clock_that_jumps_back_stands_until_it_has_caught_up() {
        let mut clock = ClockShim::default();
        clock.tell(1_000);
        clock.jump(1_000, -400);
        assert_eq!(clock.tell(1_100), Instant::from_nanos(1_000));
        assert_eq!(clock.tell(1_500), Instant::from_nanos(1_100));
        clock.jump(1_500, 10_000);
        assert_eq!(clock.tell(1_500), Instant::from_nanos(11_100));
    }

    #[test]
    fn a_deadline_is_met_when_the_bent_clock_says_so_and_not_before() {
        for ppm in [-500_000, -3, 7, 250_000] {
            let mut clock = ClockShim::default();
            clock.drift(100, ppm);
            let deadline = Instant::from_nanos(987_654);
            let at = clock.when(100, deadline).unwrap();
            assert!({ clock }.tell(at - 3) < deadline, "{ppm}");
            assert!(clock.tell(at) >= deadline, "{ppm}");
        }
        let mut frozen = ClockShim::default();
        frozen.drift(100, -2_000_000);
        assert_eq!(frozen.when(100, Instant::from_nanos(200)), None);
        assert_eq!(frozen.tell(5_000), Instant::from_nanos(100));
    }

    #[test]
    fn who_is_told_late_how_a_clock_runs_tells_the_same() {
        let mut owner = ClockShim::default();
        owner.drift(1_000, 250_000);
        owner.jump(2_000, -300);
        let mut late = ClockShim::default();
        late.tell(2_100);
        late.set(owner.bent());
        assert_eq!(late.tell(9_000), owner.tell(9_000));
        let mut successor = ClockShim::new(owner.bent());
        assert_eq!(successor.tell(9_000), owner.tell(9_000));
    }
}
