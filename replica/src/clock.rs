//! The run's clock: `CLOCK_MONOTONIC`, which all processes of a machine share, less the run's origin.

use rustix::time::{ClockId, clock_gettime};
use viewstorm_protocol::Instant;

/// Tells the time of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunClock {
    origin_nanos: u64,
}

impl RunClock {
    /// The clock of the run that began when `CLOCK_MONOTONIC` showed `origin_nanos`.
    pub const fn since(origin_nanos: u64) -> Self {
        Self { origin_nanos }
    }

    /// The clock of a run that begins now.
    pub fn starting_now() -> Self {
        Self::since(monotonic_nanos())
    }

    /// What `CLOCK_MONOTONIC` showed when the run began.
    pub const fn origin_nanos(self) -> u64 {
        self.origin_nanos
    }

    /// Now. A time before the origin is the origin.
    pub fn now(self) -> Instant {
        Instant::from_nanos(monotonic_nanos().saturating_sub(self.origin_nanos))
    }
}

fn monotonic_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + nanos
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_of_one_origin_agree_and_never_go_back() {
        let one = RunClock::starting_now();
        let other = RunClock::since(one.origin_nanos());
        let times = [one.now(), other.now(), one.now(), other.now()];
        assert!(times.is_sorted(), "{times:?}");
    }
}
