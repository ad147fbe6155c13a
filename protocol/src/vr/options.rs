//! What a group chooses among: how a dead primary is told from a slow one, and where reads are answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a group chooses. All its replicas choose the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VrOptions {
    /// How a backup tells a dead primary from a slow one.
    pub failure_detector: FailureDetector,
    /// Where reads are answered.
    pub reads: Reads,
}

/// How a backup tells a dead primary from a slow one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub enum FailureDetector {
    /// It has said nothing for [`VrTimeouts::suspicion`](super::VrTimeouts::suspicion).
    #[default]
    Fixed,
    /// It is later than it used to be. `suspicion` is what a replica begins with.
    Adaptive {
        /// The least patience, however regular the primary was.
        floor: Duration,
        /// The most, however irregular.
        cap: Duration,
    },
}

/// Where reads are answered: operations that [`Service::is_read`](crate::Service::is_read) names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub enum Reads {
    /// Through the log, as everything else.
    #[default]
    Log,
    /// By the primary alone, as long as it holds leases (VRR §6.3).
    Lease(LeaseTerms),
    /// By any replica: perhaps stale, and never earlier than what the client has seen (VRR §6.3).
    Backup,
}

/// How long a lease is, and what is assumed of the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LeaseTerms {
    /// How long the holder relies on a lease, on its own clock, from when it asked.
    pub length: Duration,
    /// How far the rate of any clock is from that of true time at most, in millionths. What a clock shows does
    /// not matter, how fast it goes does.
    pub drift_ppm: u32,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self {
            length: Duration::from_millis(100),
            drift_ppm: 1000,
        }
    }
}

impl LeaseTerms {
    /// How long a granter waits, on its own clock, from when it granted: with its clock as fast and the holder's
    /// as slow as the assumption lets them be, that is `length` on the holder's clock.
    pub fn wait(&self) -> Duration {
        let million = 1_000_000_u128;
        let drift = u128::from(self.drift_ppm).min(million / 2);
        let nanos = self.length.as_nanos() * (million + drift);
        let nanos = nanos.div_ceil(million - drift);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_granter_waits_out_the_holder_at_the_worst_rates() {
        for drift_ppm in [0, 1, 1000, 200_000] {
            let terms = LeaseTerms {
                drift_ppm,
                ..LeaseTerms::default()
            };
            let rate = f64::from(drift_ppm) / 1e6;
            let held = terms.length.as_secs_f64() / (1.0 - rate);
            let waited = terms.wait().as_secs_f64() / (1.0 + rate);
            assert!(waited >= held - 1e-9, "{drift_ppm}: {waited} {held}");
            assert!(waited <= held + 1e-6, "{drift_ppm}: {waited} {held}");
        }
    }
}
