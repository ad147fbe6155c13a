//! What each protocol promises in which system model, and the experiment that shows it.

use std::fmt::Write;

use super::choice::Choice;
use super::cluster::Protocol;
use super::model::{Model, Network, Nodes, Timing};

/// What a protocol promises in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Nothing wrong is ever said, and everything is answered in the end.
    SafeAndLive,
    /// Nothing wrong is ever said; that anything is answered nobody can promise (Fischer, Lynch and Paterson 1985).
    SafeOnly,
    /// Nothing: the model is beyond what it was made for.
    Nothing,
}

impl Promise {
    /// What the protocol promises in the model.
    pub const fn of(protocol: Protocol, model: Model) -> Self {
        match (protocol, model.nodes, model.timing) {
            // VRR §2: nodes fail by crashing. What they forget or make up, it does not mask.
            (Protocol::Vr, Nodes::Byzantine, _) => Self::Nothing,
            // An arbitrary network is a lossy one below mutual TLS: what was changed or made up never arrives.
            (Protocol::Vr, _, Timing::Asynchronous) => Self::SafeOnly,
            (Protocol::Vr, _, _) => Self::SafeAndLive,
        }
    }

    /// In a table.
    pub const fn words(self) -> &'static str {
        match self {
            Self::SafeAndLive => "safe and live",
            Self::SafeOnly => "safe only",
            Self::Nothing => "nothing",
        }
    }
}

/// All models.
pub fn models() -> impl Iterator<Item = Model> {
    let timings = |network, nodes| {
        let model = move |timing| Model {
            network,
            nodes,
            timing,
        };
        Timing::ALL.iter().map(move |(_, timing)| model(*timing))
    };
    let nodes = move |network| {
        Nodes::ALL
            .iter()
            .flat_map(move |(_, it)| timings(network, *it))
    };
    Network::ALL.iter().flat_map(move |(_, it)| nodes(*it))
}

/// The experiment that shows what the protocol does in the model, from the root of the tree.
pub fn experiment(protocol: Protocol, model: Model) -> String {
    let Model {
        network,
        nodes,
        timing,
    } = model;
    format!("experiments/theory/{protocol}-{network}-{nodes}-{timing}.toml")
}

/// The matrix as a page of Markdown.
pub fn matrix() -> String {
    let mut page = String::from(
        "# What is promised in which system model\n\n\
         Written by `viewstorm model`. `[model]` in a plan says which one an experiment claims: a fault beyond it is an \
         error of the plan. Each cell is shown by an experiment, `viewstorm simulate FILE --seeds 1..100`: a safe and \
         live one answers most operations while the faults last, a safe one is valid though it answers nothing for as \
         long as the network delays for ever, and where nothing is promised the experiment expects a violation.\n",
    );
    for (name, protocol) in Protocol::ALL {
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {name}\n\n| network | nodes |");
        let line = |cells: &mut dyn Iterator<Item = String>| -> String {
            cells.map(|cell| format!(" {cell} |")).collect()
        };
        page += &line(&mut Timing::ALL.iter().map(|(timing, _)| (*timing).to_owned()));
        page += "\n|---|---|---|---|---|\n";
        for (network_name, network) in Network::ALL {
            for (nodes_name, nodes) in Nodes::ALL {
                let cell = |timing: &Timing| {
                    let model = Model {
                        network: *network,
                        nodes: *nodes,
                        timing: *timing,
                    };
                    let promise = Promise::of(*protocol, model).words();
                    format!("[{promise}](../{})", experiment(*protocol, model))
                };
                let _ = write!(page, "| {network_name} | {nodes_name} |");
                page += &line(&mut Timing::ALL.iter().map(|(_, timing)| cell(timing)));
                page.push('\n');
            }
        }
    }
    page
}
