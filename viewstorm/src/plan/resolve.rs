//! What follows from a plan and a seed.

use viewstorm_history::Seed;
use viewstorm_nemesis::Timeline;

use super::model::ReadModel;
use super::nemesis::{self, Around, Faults};
use super::plan::Plan;
use super::run::WorldKind;
use super::workload::Pauses;

impl Plan {
    /// The faults of a run with this seed, each with its time.
    pub fn timeline(&self, seed: Seed) -> Timeline {
        let around = Around {
            replicas: Some(self.cluster.all()),
            endpoints: Some(self.workload.endpoints),
            duration: Some((self.run.duration, None)),
            model: &ReadModel::of(self.model),
            world: Some((self.world.kind, None)),
        };
        let mut faults = self.nemesis.settled.clone();
        faults.extend(nemesis::draw(&self.nemesis, seed, &around));
        Timeline::expand(&faults, seed, self.run.duration)
    }

    /// The plan of one run: with its seed, and every fault with its time and its own random stream. It means
    /// the same run whatever a later version draws from the seed.
    pub fn resolved(&self, seed: Seed) -> Self {
        let mut plan = self.clone();
        let settled = self.timeline(seed).declarations();
        plan.nemesis = Faults {
            settled,
            open: Vec::new(),
        };
        plan.workload.pauses = self.pauses(seed);
        plan.run.seed = Some(seed);
        plan
    }

    /// When the clients of a run with this seed fall silent, if they do.
    pub fn pauses(&self, seed: Seed) -> Option<Pauses> {
        let pauses = self
            .workload
            .pauses
            .filter(|pauses| pauses.are_drawn(seed))?;
        Some(Pauses {
            chance: 1.0,
            ..pauses
        })
    }

    /// Whether a group that makes no progress after the heal breaks its promise. In virtual time it does; on processes
    /// a machine that is busy may be the reason.
    pub fn liveness_is_judged(&self) -> bool {
        self.world.kind == WorldKind::Simulated
    }

    /// Whether a missed timing bound fails a run: in virtual time it does, on processes the machine has a say in
    /// it, and it does only where the plan says so.
    pub fn bounds_are_judged(&self) -> bool {
        self.check.strict_bounds || self.world.kind == WorldKind::Simulated
    }
}
