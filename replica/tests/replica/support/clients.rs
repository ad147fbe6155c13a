//! Clients that write and read registers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use viewstorm_protocol::{ClientId, Completion, NodeId, ReplicaId};
use viewstorm_replica::{
    ClientEndpoint, ClientEvent, ClientHost, ClientHostConfig, ClientTimeouts, ProtocolKind,
    TAP_BUFFER_DEFAULT,
};

use super::cluster::{Cluster, TOKEN};
use super::rules::ByKind;
use super::wait_for;

pub(crate) struct Clients {
    pub(crate) host: ClientHost,
    pub(crate) events: Receiver<ClientEvent>,
}

/// As the register service reads it: see `viewstorm_workloads`.
pub(crate) fn write(key: &str, value: u64) -> Bytes {
    let (key, padding): (&[u8], &[u8]) = (key.as_bytes(), &[]);
    postcard::to_allocvec(&(1_u8, key, value, padding))
        .unwrap()
        .into()
}

/// A write that carries so many bytes besides its value.
pub(crate) fn large_write(key: &str, value: u64, padding: usize) -> Bytes {
    let (key, padding): (&[u8], &[u8]) = (key.as_bytes(), &vec![7; padding]);
    postcard::to_allocvec(&(1_u8, key, value, padding))
        .unwrap()
        .into()
}

pub(crate) fn read(key: &str) -> Bytes {
    postcard::to_allocvec(&(0_u8, key.as_bytes()))
        .unwrap()
        .into()
}

/// The answer to a read.
pub(crate) fn value(completion: &Completion) -> Option<u64> {
    let (variant, value): (u8, Option<u64>) = postcard::from_bytes(&completion.result).unwrap();
    assert_eq!(variant, 0, "not the answer to a read");
    value
}

impl Clients {
    /// So many endpoints that know where the cluster's replicas listen.
    pub(crate) fn start(cluster: &Cluster, endpoints: u16) -> Self {
        Self::start_via(cluster, endpoints, |id| {
            cluster.address(NodeId::Replica(id))
        })
    }

    /// So many endpoints that are told where to dial each replica.
    pub(crate) fn start_via(
        cluster: &Cluster,
        endpoints: u16,
        route: impl Fn(ReplicaId) -> SocketAddr,
    ) -> Self {
        let ids = cluster.ids().into_iter();
        let dial: BTreeMap<ReplicaId, _> = ids.map(|id| (id, route(id))).collect();
        let endpoint = |endpoint| ClientEndpoint {
            endpoint,
            listen: cluster.address(NodeId::Client(endpoint)),
            credentials: cluster.authority.issue(NodeId::Client(endpoint)).unwrap(),
            dial: dial.clone(),
        };
        let config = ClientHostConfig {
            protocol: ProtocolKind::Vr,
            replicas: cluster.ids(),
            spares: Vec::new(),
            endpoints: (0..endpoints).map(endpoint).collect(),
            timeouts: ClientTimeouts::default(),
            backup_reads: false,
            clock: cluster.clock,
            seed: 1,
            probe_token: TOKEN,
            fence_incarnations: cluster.fence,
            tap_buffer: TAP_BUFFER_DEFAULT,
        };
        let (sender, events) = mpsc::channel();
        let report = move |event| {
            let _ = sender.send(event);
        };
        let host = ClientHost::start(config, |_| Box::new(ByKind::default()), report).unwrap();
        Self { host, events }
    }

    /// Does an operation in a session, and waits for its result.
    pub(crate) fn perform(&self, client: ClientId, operation: Bytes) -> Completion {
        self.host.invoke(client, operation);
        self.wait_for_completion(client)
    }

    /// Waits for the result of a session's operation.
    pub(crate) fn wait_for_completion(&self, client: ClientId) -> Completion {
        wait_for(&self.events, "a completion", |event| match event {
            ClientEvent::Completed {
                client: of,
                completion,
                ..
            } if *of == client => Some(completion.clone()),
            ClientEvent::Failed { reason } => panic!("{reason}"),
            _ => None,
        })
    }
}

pub(crate) fn session(session: u64) -> ClientId {
    ClientId {
        endpoint: 0,
        session,
    }
}
