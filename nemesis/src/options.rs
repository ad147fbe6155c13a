//! How patient the nemesis is.

use std::time::Duration;

/// How the nemesis looks for evidence and how long. The defaults fit faults of half a second and more on a
/// loaded machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NemesisOptions {
    /// How many times each link is probed for a confirmation.
    pub probe_rounds: u32,
    /// How long from one round of probes to the next.
    pub probe_interval: Duration,
    /// How long after its last round, over what the links are known to delay, a probe is waited for.
    pub grace: Duration,
    /// How long from one look to the next where something is waited for: a process state, a healed link.
    pub look_interval: Duration,
    /// How much later than its rule says a delayed probe may come, for a machine that is busy.
    pub slack: Duration,
    /// By when, after its injection, a fault must be shown to have taken effect.
    pub confirm_within: Duration,
    /// By when, after its heal, a fault must be shown to be gone.
    pub heal_within: Duration,
    /// How long a fault waits for a primary to hit.
    pub target_within: Duration,
}

impl NemesisOptions {
    /// How long a confirmation by probes takes at the least.
    pub(crate) fn shortest(&self) -> Duration {
        self.probe_interval * self.probe_rounds + self.grace
    }
}

impl Default for NemesisOptions {
    fn default() -> Self {
        Self {
            probe_rounds: 5,
            probe_interval: Duration::from_millis(40),
            grace: Duration::from_millis(100),
            look_interval: Duration::from_millis(20),
            slack: Duration::from_millis(50),
            confirm_within: Duration::from_secs(2),
            heal_within: Duration::from_secs(5),
            target_within: Duration::from_secs(2),
        }
    }
}
