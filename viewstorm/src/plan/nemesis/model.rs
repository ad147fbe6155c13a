//! Whether a fault stays inside the declared system model.

use std::time::Duration;

use viewstorm_nemesis::{DiskEffect, Fault, LinkEffect, TapAct};

use crate::plan::error::PlanError;
use crate::plan::model::{Network, Nodes, ReadModel, Timing};
use crate::plan::section::Section;
use crate::plan::source::Span;

/// What a fault takes for granted that the model allows.
struct Need {
    /// Completes: this fault ...
    does: &'static str,
    what: Bound,
}

enum Bound {
    Network(Network),
    Nodes(Nodes),
    /// No bound on delays that holds from the start.
    Timing,
}

/// Notes an error where the fault goes beyond the model. `ends` says whether the fault has an end of its own.
pub(super) fn check(section: &Section<'_, '_>, fault: &Fault, ends: bool, model: &ReadModel) {
    let Need { does, what } = need(fault, ends);
    let (key, declared, least, span): (_, String, _, &Option<Span>) = match what {
        Bound::Network(least) => match &model.network {
            Some((network, span)) if *network < least => {
                ("network", network.to_string(), least.to_string(), span)
            }
            _ => return,
        },
        Bound::Nodes(least) => match &model.nodes {
            Some((nodes, span)) if *nodes < least => {
                ("nodes", nodes.to_string(), least.to_string(), span)
            }
            _ => return,
        },
        Bound::Timing => match &model.timing {
            Some((timing @ Timing::Synchronous, span)) => {
                let least = Timing::PartiallySynchronous.to_string();
                ("timing", timing.to_string(), least, span)
            }
            _ => return,
        },
    };
    let title = format!("this fault {does}, which the model does not allow");
    let label = format!("needs `model.{key} = \"{least}\"` or more");
    let error = PlanError::at(section.span(), title, label);
    section.note(match span {
        Some(span) => error.and(Some(span), "the model"),
        None => error.help(format!("`model.{key}` is \"{declared}\"")),
    });
}

/// Corruption counts as a loss: below QUIC the AEAD, and in the simulator the message checksum, turns every
/// flipped bit into a datagram that never was. Nothing arbitrary reaches a replica. A flipped bit on a disk is
/// a stop for the same reason: the record's checksum tells, and the replica does not start. A disk that was wiped
/// tells nothing: the replica comes back and votes again as if it never had, which is more than a crash.
fn need(fault: &Fault, ends: bool) -> Need {
    let network = |does| Need {
        does,
        what: Bound::Network(Network::FairLoss),
    };
    let timing = |does| Need {
        does,
        what: Bound::Timing,
    };
    match fault {
        Fault::Partition(_) => network("loses messages"),
        Fault::Links(fault) => match fault.effect {
            LinkEffect::Loss(_)
            | LinkEffect::Corrupt(_)
            | LinkEffect::Burst(_)
            | LinkEffect::Rate(_) => network("loses messages"),
            LinkEffect::Duplicate(_) => network("duplicates messages"),
            LinkEffect::Delay(_)
            | LinkEffect::Spread(_)
            | LinkEffect::Hold
            | LinkEffect::Reorder { .. } => timing("delays messages"),
        },
        Fault::Messages(fault) => match fault.act {
            TapAct::Drop => network("loses messages"),
            TapAct::Duplicate(_) | TapAct::Replay => network("duplicates messages"),
            TapAct::Delay(_) | TapAct::Reorder(_) | TapAct::Hold => timing("delays messages"),
        },
        Fault::Kill(_) | Fault::PowerLoss(_) | Fault::Crash(_) if !ends => Need {
            does: "stops replicas",
            what: Bound::Nodes(Nodes::CrashStop),
        },
        Fault::Kill(_) | Fault::Restart(_) | Fault::PowerLoss(_) | Fault::Crash(_) => {
            let what = Bound::Nodes(Nodes::CrashRecovery);
            Need {
                does: "brings replicas back",
                what,
            }
        }
        Fault::Wan(_) => timing("delays messages"),
        Fault::Pause(_) | Fault::Slow(_) => timing("makes replicas slow"),
        Fault::Disk(fault) => match fault.effect {
            DiskEffect::SlowSync(_) => timing("makes replicas slow"),
            DiskEffect::FailingSync | DiskEffect::FailingWrite(_) if ends => Need {
                does: "brings replicas back",
                what: Bound::Nodes(Nodes::CrashRecovery),
            },
            DiskEffect::LyingSync => Need {
                does: "makes replicas forget what they promised",
                what: Bound::Nodes(Nodes::Byzantine),
            },
            DiskEffect::FailingSync | DiskEffect::FailingWrite(_) | DiskEffect::BitFlip { .. } => {
                Need {
                    does: "stops replicas",
                    what: Bound::Nodes(Nodes::CrashStop),
                }
            }
            DiskEffect::Wipe { .. } => {
                let does = "makes replicas forget what they promised";
                Need {
                    does,
                    what: Bound::Nodes(Nodes::Byzantine),
                }
            }
        },
        Fault::Clock(_) => timing("bends clocks"),
        Fault::Reconfigure(_) => Need {
            does: "changes the group",
            what: Bound::Nodes(Nodes::CrashStop),
        },
    }
}

/// How long a cut that comes and goes must be cut, and whole, at least for probes to tell.
pub(super) const LEAST_FLAPPING: Duration = Duration::from_millis(100);
