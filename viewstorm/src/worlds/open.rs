//! The one place where a plan's world is picked.

use viewstorm_history::Seed;
use viewstorm_nemesis::Capability;

use super::trace_files::TraceFiles;
use super::{ProcessWorld, ProcessWorldOptions, SimulatedWorld, SimulatedWorldOptions};
use crate::judge::TRACE_FOLDER;
use crate::plan::{Plan, WorldKind};
use crate::run::topology;
use crate::run_folder::RunFolder;
use crate::world::{World, WorldError};

/// What the nemesis can ask of a world of this kind, beyond what it can ask of every world.
pub const fn capabilities(kind: WorldKind) -> &'static [Capability] {
    match kind {
        WorldKind::Processes => ProcessWorld::CAPABILITIES,
        WorldKind::Simulated => SimulatedWorld::CAPABILITIES,
    }
}

/// Makes the world that `plan` asks for.
pub fn open(plan: &Plan, seed: Seed, folder: &RunFolder) -> Result<Box<dyn World>, WorldError> {
    match plan.world.kind {
        WorldKind::Processes => {
            let executable = std::env::current_exe().map_err(|error| WorldError::Harness {
                part: "replica binary",
                reason: error.to_string(),
            })?;
            let options = ProcessWorldOptions {
                cluster: plan.cluster.clone(),
                topology: topology(plan),
                seed,
                folder: folder.path().to_owned(),
                executable,
                power_loss: needs(plan, seed, Capability::PowerLoss),
            };
            Ok(Box::new(ProcessWorld::start(&options)?))
        }
        WorldKind::Simulated => {
            let (cluster, topology) = (plan.cluster.clone(), topology(plan));
            let options = SimulatedWorldOptions {
                cluster,
                topology,
                seed,
            };
            let mut world = SimulatedWorld::new(&options);
            let traces = TraceFiles::create(folder.path(), topology);
            let traces = traces.map_err(|source| WorldError::File {
                path: folder.file(TRACE_FOLDER),
                source,
            })?;
            world.set_trace_sink(Box::new(traces));
            Ok(Box::new(world))
        }
    }
}

/// Whether a fault of the run wants this of its world.
fn needs(plan: &Plan, seed: Seed, capability: Capability) -> bool {
    let timeline = plan.timeline(seed);
    let mut faults = timeline.declarations().into_iter();
    faults.any(|declared| declared.fault.capability() == Some(capability))
}
