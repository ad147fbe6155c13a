//! Who is who: nodes have certificates and links, sessions live on client nodes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The identity of a replica node, which it proves with its certificate. It is not the replica's index in a
/// configuration (members come and go) nor its signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(pub u16);

/// One client session. A fresh one for every incarnation of a client: request numbers are never reused.
/// Many sessions share one client node (an endpoint with its own certificate and faultable links).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId {
    /// The client node that the session lives on.
    pub endpoint: u16,
    /// The session, unique in the run.
    pub session: u64,
}

/// Anything with a certificate of its own and links that the nemesis can cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeId {
    /// A replica process.
    Replica(ReplicaId),
    /// An endpoint that client sessions share.
    Client(u16),
}

/// Where a message goes to or comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Address {
    /// A replica.
    Replica(ReplicaId),
    /// A client session.
    Client(ClientId),
}

impl Address {
    /// The node that holds this address.
    pub const fn node(self) -> NodeId {
        match self {
            Self::Replica(id) => NodeId::Replica(id),
            Self::Client(id) => NodeId::Client(id.endpoint),
        }
    }
}

impl NodeId {
    /// The replica `index`.
    pub const fn replica(index: u16) -> Self {
        Self::Replica(ReplicaId(index))
    }

    /// The replica that this node is, if it is one.
    pub const fn as_replica(self) -> Option<ReplicaId> {
        match self {
            Self::Replica(id) => Some(id),
            Self::Client(_) => None,
        }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{}", self.endpoint, self.session)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(id) => id.fmt(f),
            Self::Client(endpoint) => write!(f, "c{endpoint}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(id) => id.fmt(f),
            Self::Client(id) => id.fmt(f),
        }
    }
}

/// A text that names no node. Nodes are written `r0`, `r1`, ... (replicas) and `c0`, `c1`, ... (client
/// endpoints).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseNodeIdError(String);

impl fmt::Display for ParseNodeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is not a node: write r0, r1, ... or c0, c1, ...",
            self.0
        )
    }
}

impl std::error::Error for ParseNodeIdError {}

impl FromStr for NodeId {
    type Err = ParseNodeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseNodeIdError(text.to_owned());
        let index = |digits: &str| match digits.parse() {
            Ok(index) if !digits.starts_with('+') => Ok(index),
            _ => Err(error()),
        };
        match (text.strip_prefix('r'), text.strip_prefix('c')) {
            (Some(digits), _) => Ok(Self::replica(index(digits)?)),
            (_, Some(digits)) => Ok(Self::Client(index(digits)?)),
            _ => Err(error()),
        }
    }
}

impl Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_back_as_it_is_written() {
        for node in [
            NodeId::replica(0),
            NodeId::replica(65_535),
            NodeId::Client(7),
        ] {
            assert_eq!(node.to_string().parse(), Ok(node));
        }
    }

    #[test]
    fn what_is_not_a_node_is_refused_by_name() {
        for text in ["", "r", "x1", "r-1", "r+1", "r65536", "R0", "c1.2"] {
            let error = text.parse::<NodeId>().unwrap_err();
            assert!(
                error.to_string().contains(&format!("\"{text}\"")),
                "{error}"
            );
        }
    }
}
