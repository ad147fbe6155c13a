//! The system model that an experiment claims to stay in, in the words of distributed-systems theory.

use serde::Serialize;

use super::choice::choice;
use super::keys;
use super::section::Section;
use super::source::Span;

/// What may go wrong in an experiment: a fault outside it is an error of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// What links do to messages. Default: fair-loss.
    pub network: Network,
    /// How nodes fail. Default: crash-recovery.
    pub nodes: Nodes,
    /// What is known of delays. Default: partially-synchronous.
    pub timing: Timing,
}

choice! {
    /// What links do to messages, from the least to the most.
    pub enum Network {
        /// Every message arrives, once and unchanged.
        Reliable = "reliable",
        /// Messages may be lost, but one that is sent for ever arrives: partitions heal.
        FairLoss = "fair-loss",
        /// Messages may be lost, changed and made up.
        Arbitrary = "arbitrary",
    }
}

choice! {
    /// How nodes fail, from the least to the most.
    pub enum Nodes {
        /// A node that stops stays down.
        CrashStop = "crash-stop",
        /// A node that stops may come back with what it had stored.
        CrashRecovery = "crash-recovery",
        /// A node may do anything.
        Byzantine = "byzantine",
    }
}

choice! {
    /// What is known of delays, from the most to the least.
    pub enum Timing {
        /// Messages and steps take a bounded and known time.
        Synchronous = "synchronous",
        /// The bounds hold in the end.
        PartiallySynchronous = "partially-synchronous",
        /// There are no bounds.
        Asynchronous = "asynchronous",
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            network: Network::FairLoss,
            nodes: Nodes::CrashRecovery,
            timing: Timing::PartiallySynchronous,
        }
    }
}

/// A model with the places of its three parts; what was wrong is none and judges no fault.
#[derive(Clone, Debug)]
pub(super) struct ReadModel {
    pub(super) network: Option<(Network, Option<Span>)>,
    pub(super) nodes: Option<(Nodes, Option<Span>)>,
    pub(super) timing: Option<(Timing, Option<Span>)>,
}

impl ReadModel {
    /// Reads `[model]`.
    pub(super) fn read(plan: &mut Section<'_, '_>) -> Self {
        let default = Model::default();
        let mut section = plan.section("model", keys::MODEL);
        let model = Self {
            network: section.choice("network").known(default.network),
            nodes: section.choice("nodes").known(default.nodes),
            timing: section.choice("timing").known(default.timing),
        };
        section.finish();
        model
    }

    /// A model that was read before, without its places.
    pub(super) const fn of(model: Model) -> Self {
        let Model {
            network,
            nodes,
            timing,
        } = model;
        Self {
            network: Some((network, None)),
            nodes: Some((nodes, None)),
            timing: Some((timing, None)),
        }
    }

    /// The model itself.
    pub(super) fn value(&self) -> Model {
        let default = Model::default();
        Model {
            network: self
                .network
                .as_ref()
                .map_or(default.network, |(network, _)| *network),
            nodes: self
                .nodes
                .as_ref()
                .map_or(default.nodes, |(nodes, _)| *nodes),
            timing: self
                .timing
                .as_ref()
                .map_or(default.timing, |(timing, _)| *timing),
        }
    }
}
