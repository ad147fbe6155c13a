//! What a simulated world is like when no fault hits it.

use std::time::Duration;

use viewstorm_history::Seed;
use viewstorm_nemesis::Topology;

/// A duration drawn uniformly from a closed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// At least this long.
    pub least: Duration,
    /// At most this long.
    pub most: Duration,
}

impl Between {
    /// The range from `least` to `most` microseconds.
    pub const fn micros(least: u64, most: u64) -> Self {
        assert!(least <= most, "a range has its least value first");
        Self {
            least: Duration::from_micros(least),
            most: Duration::from_micros(most),
        }
    }
}

/// A simulated world. All of it is fixed when the simulation begins.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationConfig {
    /// Fixes every random stream of the run.
    pub seed: Seed,
    /// Who there is.
    pub topology: Topology,
    /// How long a message travels on an untouched link. Each draws anew, so that messages overtake one
    /// another.
    pub network_delay: Between,
    /// Whether cutting a link also loses what is on its way; else only what is sent from then on.
    pub cut_in_flight: bool,
    /// Whether a receiver drops messages of a sender's earlier incarnation than the newest it has met. It
    /// forgets whom it met when it restarts itself.
    pub fence_incarnations: bool,
    /// How long a disk takes for a sync, whatever it covers.
    pub sync_latency: Between,
    /// How long a replica takes from the start of its process to its first event.
    pub start_delay: Between,
    /// The most messages that wait at a paused replica; beyond, they are lost.
    pub pause_buffer: usize,
    /// The most messages that a tap holds; beyond, they are lost.
    pub hold_buffer: usize,
    /// Whether the theorems are checked after every event.
    pub invariants: bool,
}

impl SimulationConfig {
    /// A local cluster's network and disks, fenced and checked.
    pub fn new(seed: Seed, topology: Topology) -> Self {
        Self {
            seed,
            topology,
            network_delay: Between::micros(50, 500),
            cut_in_flight: true,
            fence_incarnations: true,
            sync_latency: Between::micros(100, 1_000),
            start_delay: Between::micros(1_000, 20_000),
            pause_buffer: 10_000,
            hold_buffer: 10_000,
            invariants: true,
        }
    }
}
