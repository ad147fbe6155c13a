//! A replica's own clock: what the core is told, which need not be the truth.
//!
//! ```text
//!   told                    .´          bent = at + since · rate
//!    |             ______.´             told = the greatest bent so far: it never goes back
//!    |          .´
//!    |       .´    jump back
//!    +------------------------- true
//! ```

use viewstorm_nemesis::ClockBend;
use viewstorm_protocol::Instant;

const PPM: i128 = 1_000_000;

/// A replica's clock. It survives the replica's process: it is the machine's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    bent: Option<Bent>,
    /// The latest time told.
    told: u64,
}

/// A clock that once was touched.
#[derive(Clone, Copy, Debug)]
struct Bent {
    true_origin: u64,
    bent_origin: i128,
    drift_ppm: i32,
}

impl Bent {
    fn at(self, now: u64) -> i128 {
        let since = i128::from(now - self.true_origin);
        self.bent_origin + since * (PPM + i128::from(self.drift_ppm)) / PPM
    }
}

impl Clock {
    /// Bends the clock from true time `now` on.
    pub(crate) fn bend(&mut self, now: u64, bend: ClockBend) {
        let current = self.bent.unwrap_or(Bent {
            true_origin: now,
            bent_origin: i128::from(now),
            drift_ppm: 0,
        });
        let (leap, drift_ppm) = match bend {
            ClockBend::Jump(nanos) => (i128::from(nanos), current.drift_ppm),
            // A clock that runs backwards is not one: at worst it stands.
            ClockBend::Drift(ppm) => (0, ppm.max(-1_000_000)),
        };
        let bent_origin = current.at(now) + leap;
        self.bent = Some(Bent {
            true_origin: now,
            bent_origin,
            drift_ppm,
        });
    }

    /// What the core is told at true time `now`.
    pub(crate) fn tell(&mut self, now: u64) -> Instant {
        let reading = match self.bent {
            None => now,
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
    pub(crate) fn when(&self, now: u64, deadline: Instant) -> Option<u64> {
        let deadline = deadline.as_nanos();
        let Some(bent) = self.bent else {
            return Some(deadline.max(now));
        };
        if deadline <= self.told {
            return Some(now);
        }
        let missing = i128::from(deadline) - bent.at(now);
        let rate = PPM + i128::from(bent.drift_ppm);
        if missing > 0 && rate == 0 {
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
        let mut clock = Clock::default();
        assert_eq!(clock.tell(5), Instant::from_nanos(5));
        assert_eq!(clock.when(5, Instant::from_nanos(9)), Some(9));
        assert_eq!(clock.when(5, Instant::from_nanos(2)), Some(5));
    }

    #[test]
    fn a_clock_that_jumps_back_stands_until_it_has_caught_up() {
        let mut clock = Clock::default();
        clock.tell(1_000);
        clock.bend(1_000, ClockBend::Jump(-400));
        assert_eq!(clock.tell(1_100), Instant::from_nanos(1_000));
        assert_eq!(clock.tell(1_500), Instant::from_nanos(1_100));
        clock.bend(1_500, ClockBend::Jump(10_000));
        assert_eq!(clock.tell(1_500), Instant::from_nanos(11_100));
    }

    #[test]
    fn a_deadline_is_met_when_the_bent_clock_says_so_and_not_before() {
        for ppm in [-500_000, -3, 7, 250_000] {
            let mut clock = Clock::default();
            clock.bend(100, ClockBend::Drift(ppm));
            let deadline = Instant::from_nanos(987_654);
            let at = clock.when(100, deadline).unwrap();
            assert!(clock.clone().tell(at - 3) < deadline, "{ppm}");
            assert!(clock.tell(at) >= deadline, "{ppm}");
        }
        let mut frozen = Clock::default();
        frozen.bend(100, ClockBend::Drift(-2_000_000));
        assert_eq!(frozen.when(100, Instant::from_nanos(200)), None);
        assert_eq!(frozen.tell(5_000), Instant::from_nanos(100));
    }
}
