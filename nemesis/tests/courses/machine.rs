//! A replica's machine in the small world: a disk and a clock.

use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_nemesis::{
    ClockBend, CrashPoint, DiskReading, DiskRule, PowerLossReading, SyncReading,
};

use crate::world::ms;

/// A disk and a clock, which outlive processes.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) rule: DiskRule,
    pub(crate) fuse: Option<CrashPoint>,
    records: u64,
    corrupt: Vec<String>,
    failed: Option<SyncReading>,
    power_loss: Option<PowerLossReading>,
    bent_at: Timestamp,
    bent_to: i64,
    drift: i64,
    told: i64,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            rule: DiskRule::default(),
            fuse: None,
            records: 7,
            corrupt: Vec::new(),
            failed: None,
            power_loss: None,
            bent_at: Timestamp::ZERO,
            bent_to: 0,
            drift: 0,
            told: 0,
        }
    }

    pub(crate) fn lose_power(&mut self, now: Timestamp) {
        self.power_loss = Some(PowerLossReading {
            at: now,
            unsynced: 3,
            lost: 2,
        });
    }

    pub(crate) fn wipe(&mut self) {
        self.records = 0;
        self.corrupt.clear();
    }

    pub(crate) fn flip(&mut self, place: &str) {
        self.corrupt = vec![format!("the {place}")];
    }

    /// The process that starts on it finds this to be wrong.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.corrupt
            .first()
            .map(|record| format!("exit code 1: {record} is corrupt"))
    }

    pub(crate) fn fail_sync(&mut self, now: Timestamp) {
        self.failed = Some(SyncReading {
            began: now,
            took: Duration::ZERO,
            failed: true,
            lied: false,
        });
    }

    /// A sync has always just ended.
    pub(crate) fn read(&self, now: Timestamp) -> DiskReading {
        let took = ms(1) + self.rule.sync_delay;
        let began = Timestamp::from(now.saturating_since(Timestamp::from(took)));
        DiskReading {
            records: self.records,
            corrupt: self.corrupt.clone(),
            last_sync: self.failed.or(Some(SyncReading {
                began,
                took,
                failed: false,
                lied: false,
            })),
            last_power_loss: self.power_loss,
            has_refused: false,
        }
    }

    pub(crate) fn bend(&mut self, now: Timestamp, bend: ClockBend) {
        (self.bent_to, self.bent_at) = (self.bent(now), now);
        match bend {
            ClockBend::Jump(by) => self.bent_to += by,
            ClockBend::Drift(ppm) => self.drift = i64::from(ppm),
        }
    }

    pub(crate) fn tell(&mut self, now: Timestamp) -> Timestamp {
        self.told = self.told.max(self.bent(now));
        Timestamp(self.told.unsigned_abs())
    }

    fn bent(&self, now: Timestamp) -> i64 {
        let since = i64::try_from(now.saturating_since(self.bent_at).as_nanos()).unwrap();
        self.bent_to + since + since / 1_000 * self.drift / 1_000
    }
}
