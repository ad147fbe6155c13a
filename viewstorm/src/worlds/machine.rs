//! What a replica's machine is like, over all starts of its process.

use std::path::Path;
use std::time::Duration;

use viewstorm_history::{Seed, Timestamp};
use viewstorm_nemesis::{
    ClockBend, CrashPoint, DiskReading, DiskRule, PowerLossReading, SyncReading, TapRule, TapWatch,
    WriteError,
};
use viewstorm_protocol::ClockShim;
use viewstorm_replica::storage::{DiskFaults, SyncReport, WriteFailure, lose_power};

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
    /// What is wrong with its disk.
    pub(super) disk: DiskRule,
    /// What its disk was like when it was last looked at.
    pub(super) reading: DiskReading,
    /// The power goes as soon as the process is gone.
    pub(super) loses_power: bool,
    /// How often it lost its power.
    losses: u64,
}

/// What is wrong with a disk, in the replica's words.
pub(super) fn disk_faults(rule: DiskRule) -> DiskFaults {
    DiskFaults {
        sync_delay: u64::try_from(rule.sync_delay.as_nanos()).unwrap_or(u64::MAX),
        syncs_fail: rule.syncs_fail,
        syncs_lie: rule.syncs_lie,
        writes_fail: rule.writes_fail.map(|error| match error {
            WriteError::Device => WriteFailure::Device,
            WriteError::NoSpace => WriteFailure::NoSpace,
        }),
        reads_fail: false,
    }
}

impl Machine {
    /// Bends the clock from true time `now` on.
    pub(super) fn bend(&mut self, now: u64, bend: ClockBend) {
        match bend {
            ClockBend::Jump(nanos) => self.clock.jump(now, nanos),
            ClockBend::Drift(ppm) => self.clock.drift(now, ppm),
        }
    }

    /// Takes note of what its process says of its disk.
    pub(super) fn read(&mut self, last_sync: Option<SyncReport>, has_refused: bool) {
        self.reading.has_refused |= has_refused;
        if let Some(sync) = last_sync {
            self.reading.last_sync = Some(SyncReading {
                began: Timestamp(sync.began),
                took: Duration::from_nanos(sync.took),
                failed: sync.failed,
                lied: sync.lied,
            });
        }
    }

    /// It loses its power, its process being gone: of what is not synced in `directory` a part is lost.
    pub(super) fn lose_power(
        &mut self,
        directory: &Path,
        seed: Seed,
        at: Timestamp,
    ) -> std::io::Result<()> {
        self.loses_power = false;
        self.losses += 1;
        let seed = seed.stream(&format!("power loss {}", self.losses));
        let loss = lose_power(directory, seed.0)?;
        self.reading.last_power_loss = Some(PowerLossReading {
            at,
            unsynced: loss.unsynced,
            lost: loss.lost,
        });
        Ok(())
    }
}
