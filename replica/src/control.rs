//! The control channel: commands on standard input, reports on standard output, one JSON object a line. No
//! fault touches it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use viewstorm_protocol::{Incarnation, NodeId, Status, ViewNumber};

/// What a replica is told. The end of standard input tells it to stop at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// From now on these are all the rules of the replica's tap. Answered by [`Report::TapSet`].
    SetTap {
        /// As the tap that was plugged in reads them.
        rules: serde_json::Value,
    },
    /// Send a probe to a node that the configuration names an address of.
    Probe {
        /// Its name.
        id: u64,
        /// Where to.
        to: NodeId,
    },
    /// Finish what is being written and stop. Answered by [`Report::Stopped`].
    Stop,
}

/// What a replica tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Report {
    /// It listens, and has recovered what its storage holds.
    Hello {
        /// Which start of it this is.
        incarnation: Incarnation,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Its role is now this.
    Role {
        /// What it does.
        status: Status,
        /// In which view.
        view: ViewNumber,
        /// Whether it is that view's primary.
        primary: bool,
    },
    /// A probe arrived.
    ProbeArrived {
        /// Its name.
        id: u64,
        /// Whose.
        from: NodeId,
        /// When it was sent, in nanoseconds on the run's clock.
        sent: u64,
        /// When it arrived, on the same clock.
        received: u64,
    },
    /// Its tap has the rules of the latest [`Command::SetTap`].
    TapSet,
    /// Everything is durable and all connections are closed: its last word.
    Stopped,
    /// It cannot go on: its last word.
    Fatal {
        /// Why, naming the thing.
        reason: String,
    },
}
