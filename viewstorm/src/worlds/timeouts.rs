//! The plan's timeouts and choices in the protocols' terms: the same for every world.

use std::time::Duration;

use viewstorm_protocol::vr::{
    FailureDetector, LeaseTerms, Reads, VrClientTimeouts, VrOptions, VrTimeouts,
};

use crate::plan::{self, Cluster, Timeouts};

/// VR's. Those that the plan does not name hang on those that it does: a primary that hears nobody falls silent
/// a little before its backups would suspect it, and a gap is asked for well before anything is said again.
pub(super) fn vr(plan: &Timeouts) -> VrTimeouts {
    const LEAST: Duration = Duration::from_millis(1);
    VrTimeouts {
        heartbeat: plan.heartbeat,
        suspicion: plan.suspicion,
        abdication: (plan.suspicion * 4 / 5).max(LEAST),
        resend: plan.resend,
        repair: (plan.resend / 4).max(LEAST),
    }
}

/// A VR client's.
pub(super) fn vr_client(plan: &Timeouts) -> VrClientTimeouts {
    VrClientTimeouts {
        resend: plan.resend,
    }
}

/// What a VR group chooses.
pub(super) fn vr_options(plan: &Cluster) -> VrOptions {
    let timeouts = &plan.timeouts;
    VrOptions {
        failure_detector: match plan.failure_detector {
            plan::FailureDetector::Fixed => FailureDetector::Fixed,
            plan::FailureDetector::Adaptive => FailureDetector::Adaptive {
                floor: timeouts.suspicion_floor,
                cap: timeouts.suspicion_cap,
            },
        },
        reads: match plan.reads {
            plan::Reads::Log => Reads::Log,
            plan::Reads::Lease => Reads::Lease(LeaseTerms {
                length: timeouts.lease,
                drift_ppm: plan.max_drift_ppm,
            }),
            plan::Reads::Backup => Reads::Backup,
        },
    }
}
