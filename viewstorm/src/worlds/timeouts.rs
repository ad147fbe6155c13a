//! The plan's timeouts in the protocols' terms: the same for every world.

use std::time::Duration;

use viewstorm_protocol::vr::{VrClientTimeouts, VrTimeouts};

use crate::plan::Timeouts;

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
