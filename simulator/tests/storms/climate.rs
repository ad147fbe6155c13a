//! A seed's climate: how large the world is and which faults it knows. Most climates know few faults, so that
//! each gets its chance to do harm by itself.

use viewstorm_history::Seed;
use viewstorm_nemesis::Topology;
use viewstorm_simulator::{Between, SimulationConfig};

use crate::random::Random;

/// What may happen to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Partition,
    Rough,
    Tap,
    Kill,
    PowerLoss,
    CrashInStep,
    CrashAll,
    Pause,
    Clock,
    SlowDisk,
    FailSync,
    ClientCrash,
}

impl FaultKind {
    const ALL: [Self; 12] = [
        Self::Partition,
        Self::Rough,
        Self::Tap,
        Self::Kill,
        Self::PowerLoss,
        Self::CrashInStep,
        Self::CrashAll,
        Self::Pause,
        Self::Clock,
        Self::SlowDisk,
        Self::FailSync,
        Self::ClientCrash,
    ];
}

/// What a seed's world is like.
#[derive(Clone, Debug)]
pub(crate) struct Climate {
    pub(crate) simulation: SimulationConfig,
    pub(crate) sessions: usize,
    /// The longest that a client thinks between two operations, in milliseconds.
    pub(crate) think: u64,
    /// How long the storm lasts, in milliseconds.
    pub(crate) length: u64,
    /// The longest time between two faults, in milliseconds.
    pub(crate) lull: u64,
    /// The longest that a fault lasts, in milliseconds.
    pub(crate) spell: u64,
    /// The faults, each as often as it is likely.
    pub(crate) faults: Vec<FaultKind>,
}

impl Climate {
    pub(crate) fn draw(seed: u64, sizes: &[u16]) -> Self {
        let seed = Seed(seed);
        let mut random = Random::new(seed, "climate");
        let topology = Topology {
            replicas: random.pick(sizes),
            clients: 2,
        };
        let mut simulation = SimulationConfig::new(seed, topology);
        simulation.network_delay = random.pick(&[
            Between::micros(50, 500),
            Between::micros(200, 300),
            Between::micros(20, 8_000),
        ]);
        simulation.sync_latency = random.pick(&[
            Between::micros(100, 1_000),
            Between::micros(10, 50),
            Between::micros(500, 20_000),
        ]);
        simulation.cut_in_flight = random.chance(50);
        simulation.fence_incarnations = random.chance(50);
        let busy = random.chance(10);
        let mut faults = Vec::new();
        while faults.is_empty() {
            for kind in FaultKind::ALL {
                let weight = random.pick(&[0, 0, 1, 2, 5]);
                faults.extend(std::iter::repeat_n(kind, weight));
            }
        }
        Self {
            simulation,
            sessions: if busy { 300 } else { random.pick(&[2, 4, 6]) },
            think: if busy {
                100
            } else {
                random.pick(&[2, 10, 200])
            },
            length: random.pick(&[500, 1_000, 2_000, 4_000]),
            lull: random.pick(&[20, 100, 300]),
            spell: random.pick(&[50, 300, 1_500]),
            faults,
        }
    }
}
