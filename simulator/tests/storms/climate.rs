//! A seed's climate: how large the world is and which faults it knows. Most climates know few faults, so that
//! each gets its chance to do harm by itself.

use viewstorm_history::Seed;
use viewstorm_nemesis::Topology;
use viewstorm_protocol::vr::DurabilityMode;
use viewstorm_simulator::{Between, SimulationConfig};

use crate::random::Random;

/// What may happen to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Partition,
    Rough,
    Tap,
    Kill,
    Dethrone,
    PowerLoss,
    CrashInStep,
    CrashAll,
    Pause,
    Clock,
    SlowDisk,
    FailSync,
    ClientCrash,
    Wipe,
}

impl FaultKind {
    const ALL: [Self; 13] = [
        Self::Partition,
        Self::Rough,
        Self::Tap,
        Self::Kill,
        Self::Dethrone,
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
    /// Every how many ops a checkpoint is taken: so few that logs seldom reach back to where somebody was cut off.
    pub(crate) checkpoint_interval: u64,
    /// The longest that a client thinks between two operations, in milliseconds.
    pub(crate) think: u64,
    /// How long the storm lasts, in milliseconds.
    pub(crate) length: u64,
    /// The longest time between two faults, in milliseconds.
    pub(crate) lull: u64,
    /// The longest that a fault lasts, in milliseconds.
    pub(crate) spell: u64,
    /// How long messages and syncs take at most while the storm lasts, in milliseconds: where that is as
    /// long as the replicas' patience, everything overtakes everything.
    pub(crate) turbulence: u64,
    /// How often, in a hundred, a change of roles brings a fault or ends one.
    pub(crate) jumpy: usize,
    /// The faults, each as often as it is likely.
    pub(crate) faults: Vec<FaultKind>,
    pub(crate) durability: DurabilityMode,
    /// Whether at most f replicas may be without their state at once.
    pub(crate) budget: bool,
}

/// What the cluster mostly has to cope with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Season {
    Mixed,
    /// Many clients at once: batches and full pipelines.
    Rush,
    /// Little is done and primaries change all the time: what is late is late by whole rounds of them.
    Carousel,
}

impl Season {
    fn draw(random: &mut Random) -> Self {
        match random.below(20) {
            0..2 => Self::Rush,
            2..5 => Self::Carousel,
            _ => Self::Mixed,
        }
    }

    /// The faults, each as often as it is likely.
    fn faults(self, random: &mut Random) -> Vec<FaultKind> {
        let mut faults = Vec::new();
        if self == Self::Carousel {
            faults.extend([FaultKind::Dethrone; 6]);
            // Clients die, too: else the operation that was lost is the one that is asked for again.
            faults.extend([FaultKind::ClientCrash; 4]);
            faults.extend([FaultKind::Partition; 3]);
            faults.push(FaultKind::Tap);
        }
        while faults.is_empty() {
            for kind in FaultKind::ALL {
                let weight = random.pick(&[0, 0, 1, 2, 5]);
                faults.extend(std::iter::repeat_n(kind, weight));
            }
        }
        faults
    }

    /// How many clients there are, and how long they think.
    fn clients(self, random: &mut Random) -> (usize, u64) {
        match self {
            Self::Mixed => (random.pick(&[2, 4, 6]), random.pick(&[2, 10, 200])),
            Self::Rush => (300, 100),
            Self::Carousel => (4, 200),
        }
    }
}

impl Climate {
    pub(crate) fn draw(seed: u64, sizes: &[u16]) -> Self {
        let seed = Seed(seed);
        let mut random = Random::new(seed, "climate");
        let season = Season::draw(&mut random);
        let (sessions, think) = season.clients(&mut random);
        let (lulls, turbulences): (&[u64], &[u64]) = match season {
            Season::Carousel => (&[20, 60], &[5, 20, 40]),
            Season::Mixed | Season::Rush => (&[20, 100, 300], &[0, 0, 40, 150]),
        };
        let turbulence = random.pick(turbulences);
        // Where everything is slow, less happens in the same time.
        let slowdown = if turbulence > 0 { 3 } else { 1 };
        Self {
            simulation: simulation(seed, random.pick(sizes), &mut random),
            sessions,
            checkpoint_interval: Random::new(seed, "checkpoints").pick(&[2, 3, 5, 8, 16, 1_024]),
            think,
            length: slowdown * random.pick(&[500, 1_000, 2_000, 4_000]),
            lull: random.pick(lulls),
            spell: random.pick(&[50, 300, 1_500]),
            turbulence,
            jumpy: random.pick(&[0, 10, 40]),
            faults: season.faults(&mut random),
            durability: DurabilityMode::Wal,
            budget: false,
        }
    }

    /// The views survive a crash, the logs do not.
    pub(crate) fn view_durable(seed: u64, sizes: &[u16]) -> Self {
        Self::losing(seed, sizes, DurabilityMode::ViewDurable, |kind| {
            // These end a process at a time of their own.
            !matches!(
                kind,
                FaultKind::CrashInStep | FaultKind::FailSync | FaultKind::CrashAll
            )
        })
    }

    /// Nothing survives a crash: then nothing that a dead process said may come late.
    pub(crate) fn diskless(seed: u64, sizes: &[u16]) -> Self {
        let prompt = Self::losing(seed, sizes, DurabilityMode::Diskless, |kind| {
            matches!(
                kind,
                FaultKind::Partition
                    | FaultKind::Kill
                    | FaultKind::Dethrone
                    | FaultKind::Clock
                    | FaultKind::ClientCrash
            )
        });
        Self {
            turbulence: 0,
            ..prompt
        }
    }

    /// Disks are lost, and with them the views: the same holds for those.
    pub(crate) fn wiping(seed: u64, sizes: &[u16]) -> Self {
        let mut wiping = Self::losing(seed, sizes, DurabilityMode::Wal, |kind| {
            !matches!(
                kind,
                FaultKind::Rough | FaultKind::Tap | FaultKind::Pause | FaultKind::Dethrone
            )
        });
        wiping.faults.extend([FaultKind::Wipe; 3]);
        wiping.turbulence = 0;
        wiping
    }

    /// Whether messages may come when nobody expects them any more.
    pub(crate) fn may_be_late(&self) -> bool {
        !self.budget || self.durability == DurabilityMode::ViewDurable
    }

    fn losing(
        seed: u64,
        sizes: &[u16],
        durability: DurabilityMode,
        may_strike: impl Fn(FaultKind) -> bool,
    ) -> Self {
        let mut climate = Self::draw(seed, sizes);
        climate.faults.retain(|kind| may_strike(*kind));
        climate
            .faults
            .extend([FaultKind::Kill, FaultKind::Partition]);
        Self {
            durability,
            budget: true,
            ..climate
        }
    }
}

/// The world before the storm.
fn simulation(seed: Seed, replicas: u16, random: &mut Random) -> SimulationConfig {
    let topology = Topology {
        replicas,
        clients: 2,
    };
    SimulationConfig {
        network_delay: random.pick(&[
            Between::micros(50, 500),
            Between::micros(200, 300),
            Between::micros(20, 8_000),
        ]),
        sync_latency: random.pick(&[
            Between::micros(100, 1_000),
            Between::micros(10, 50),
            Between::micros(500, 20_000),
        ]),
        cut_in_flight: random.chance(50),
        fence_incarnations: random.chance(50),
        ..SimulationConfig::new(seed, topology)
    }
}
