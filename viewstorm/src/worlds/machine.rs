//! What a replica's machine is like, over all starts of its process.

use viewstorm_nemesis::{ClockBend, CrashPoint, TapRule, TapWatch};
use viewstorm_protocol::ClockShim;

/// A replica's machine, as the nemesis has it.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// What its tap is to have, now and when it starts again.
    pub(super) rules: Vec<TapRule>,
    /// What its tap watches for.
    pub(super) watches: Vec<TapWatch>,
    /// How its clock runs.
    pub(super) clock: ClockShim,
    /// Where its process ends by itself; goes with the process.
    pub(super) fuse: Option<CrashPoint>,
}

impl Machine {
    /// Bends the clock from true time `now` on.
    pub(super) fn bend(&mut self, now: u64, bend: ClockBend) {
        match bend {
            ClockBend::Jump(nanos) => self.clock.jump(now, nanos),
            ClockBend::Drift(ppm) => self.clock.drift(now, ppm),
        }
    }
}
