//! What the client host is told at its start.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use viewstorm_protocol::vr::VrClientTimeouts;
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::{Credentials, IdentityError, ProtocolKind, RunClock};

/// All client endpoints of a run.
#[derive(Clone, Debug)]
pub struct ClientHostConfig {
    /// Which protocol the sessions speak.
    pub protocol: ProtocolKind,
    /// The group that begins, ascending.
    pub replicas: Vec<ReplicaId>,
    /// The replicas beside it, ascending.
    pub spares: Vec<ReplicaId>,
    /// The endpoints.
    pub endpoints: Vec<ClientEndpoint>,
    /// How patient the sessions are.
    pub timeouts: ClientTimeouts,
    /// Whether the sessions read at any replica, and settle for the past.
    pub backup_reads: bool,
    /// The run's clock.
    pub clock: RunClock,
    /// Drives the jitter of the dial loops and nothing else.
    pub seed: u64,
    /// What probes of this run carry: others are none.
    pub probe_token: u64,
    /// Whether messages of a replica's earlier incarnation are refused.
    pub fence_incarnations: bool,
    /// How many messages the tap of an endpoint holds or delays at most; what comes on top is lost.
    pub tap_buffer: usize,
}

/// One client endpoint: a node with its own certificate and links, which many sessions share.
#[derive(Clone, Debug)]
pub struct ClientEndpoint {
    /// Which one: [`NodeId::Client`].
    pub endpoint: u16,
    /// Where its socket is bound; port 0 for any free one.
    pub listen: SocketAddr,
    /// What it proves its identity with.
    pub credentials: Credentials,
    /// Where it dials each replica.
    pub dial: BTreeMap<ReplicaId, SocketAddr>,
}

/// How patient the sessions of each protocol are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// [`ProtocolKind::Vr`].
    pub vr: VrClientTimeouts,
}

impl ClientHostConfig {
    /// Whether every endpoint is there once and knows where every replica is.
    pub(super) fn check(&self) -> Result<(), ClientHostError> {
        let mut seen = BTreeSet::new();
        for endpoint in &self.endpoints {
            let node = NodeId::Client(endpoint.endpoint);
            if !seen.insert(node) {
                return Err(ClientHostError::Duplicate(node));
            }
            let missing = self
                .replicas
                .iter()
                .chain(&self.spares)
                .find(|id| !endpoint.dial.contains_key(id));
            if let Some(&replica) = missing {
                return Err(ClientHostError::NoRoute {
                    endpoint: node,
                    replica,
                });
            }
        }
        Ok(())
    }
}

/// Why the client host could not start.
#[derive(Debug, thiserror::Error)]
pub enum ClientHostError {
    /// An endpoint is there twice.
    #[error("{0} is there twice")]
    Duplicate(NodeId),
    /// An endpoint does not know where a replica is.
    #[error("{endpoint} is not told where to dial {replica}")]
    NoRoute {
        /// Which endpoint.
        endpoint: NodeId,
        /// Which replica.
        replica: ReplicaId,
    },
    /// An endpoint's credentials cannot be used.
    #[error("the credentials of {endpoint}: {source}")]
    Identity {
        /// Whose.
        endpoint: NodeId,
        /// What is wrong with them.
        source: IdentityError,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was wanted.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The host's thread ended before it was ready; its last event says why.
    #[error("the client host ended while it started")]
    Died,
}
