//! A node's one socket and all that lives on it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Endpoint, Incoming, ServerConfig, TokioRuntime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use viewstorm_protocol::{Incarnation, Message, NodeId, ReplicaId};

use super::connection::{CloseCode, serve};
use super::counters::Counters;
use super::dial::{Dial, Jitter};
use super::link::{Arrival, Shared};
use super::probe::Probe;
use super::settings;
use super::socket::{Filter, ProbeArrival, ProbeSocket};
use super::tls::Tls;
use crate::passenger::Parcel;
use crate::{Credentials, IdentityError, RunClock};

/// How many connections an endpoint has at most, with those that have not said hello.
const CONNECTIONS_MAX: usize = 1024;
/// How long a handshake that a peer has begun may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the peers of a stopping node have to learn it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// What a node's transport is told at its start.
pub(crate) struct TransportConfig<'a> {
    pub(crate) me: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) listen: SocketAddr,
    pub(crate) credentials: &'a Credentials,
    pub(crate) replicas: Vec<ReplicaId>,
    /// Whom it dials, and where.
    pub(crate) dial: BTreeMap<NodeId, SocketAddr>,
    /// Where probes go to those who dial it.
    pub(crate) answer: BTreeMap<NodeId, SocketAddr>,
    pub(crate) fence: bool,
    pub(crate) probe_token: u64,
    pub(crate) clock: RunClock,
    pub(crate) seed: u64,
}

/// Why a node has no transport.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("the credentials of {node}: {source}")]
    Identity { node: NodeId, source: IdentityError },
    #[error("the address {address} of {node}: {source}")]
    Socket {
        node: NodeId,
        address: SocketAddr,
        source: io::Error,
    },
}

/// A node's transport. Its tasks end with it.
#[derive(Debug)]
pub(crate) struct Transport<M> {
    shared: Arc<Shared<M>>,
    endpoint: Endpoint,
    socket: Arc<ProbeSocket>,
    address: SocketAddr,
    routes: BTreeMap<NodeId, SocketAddr>,
    tasks: JoinSet<()>,
}

impl<M: Message + Send + 'static> Transport<M> {
    /// Listens and begins to dial. Must be called within a runtime.
    pub(crate) fn start(
        config: TransportConfig<'_>,
        arrivals: mpsc::Sender<Arrival<M>>,
        probes: mpsc::Sender<ProbeArrival>,
    ) -> Result<Self, TransportError> {
        let TransportConfig {
            me,
            incarnation,
            listen,
            ..
        } = config;
        let tls = Tls::new(me, config.credentials)
            .map_err(|source| TransportError::Identity { node: me, source })?;
        let failed = |source| TransportError::Socket {
            node: me,
            address: listen,
            source,
        };
        let filter = Filter {
            me,
            token: config.probe_token,
            clock: config.clock,
            probes,
        };
        let socket = settings::bind(listen).map_err(failed)?;
        let socket = Arc::new(ProbeSocket::new(socket, filter).map_err(failed)?);
        let (endpoint, client) = open(me, tls, &socket).map_err(failed)?;
        let address = endpoint.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared::new(
            me,
            incarnation,
            config.replicas,
            config.fence,
            arrivals,
        ));
        let mut tasks = JoinSet::new();
        if matches!(me, NodeId::Replica(_)) {
            tasks.spawn(accept(endpoint.clone(), Arc::clone(&shared)));
        }
        for (index, (&peer, &address)) in config.dial.iter().enumerate() {
            let jitter = Jitter::new(config.seed ^ (incarnation.0 << 32) ^ (index as u64));
            let (endpoint, client) = (endpoint.clone(), client.clone());
            let dial = Dial {
                endpoint,
                config: client,
                peer,
                address,
                jitter,
            };
            tasks.spawn(dial.keep(Arc::clone(&shared)));
        }
        let mut routes = config.answer;
        routes.extend(config.dial);
        Ok(Self {
            shared,
            endpoint,
            socket,
            address,
            routes,
            tasks,
        })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues a message. It leaves when the caller lets the runtime go on.
    pub(crate) fn send(&self, parcel: &Parcel<M>) {
        self.shared.send(parcel);
    }

    /// Whether probes can be sent to `node`: the configuration names an address of it.
    pub(crate) fn has_route(&self, node: NodeId) -> bool {
        self.routes.contains_key(&node)
    }

    /// Sends a probe, if there is a route.
    pub(crate) fn send_probe(&self, probe: &Probe) -> io::Result<()> {
        match self.routes.get(&probe.to) {
            Some(address) => self.socket.send_probe(probe, *address),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// What it lost or refused.
    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Closes all connections and tells the peers.
    pub(crate) async fn close(mut self) {
        self.tasks.abort_all();
        self.endpoint.close(CloseCode::Stopped.into(), b"stopped");
        let _ = timeout(CLOSE_TIMEOUT, self.endpoint.wait_idle()).await;
    }
}

/// The QUIC endpoint on a socket, and what it dials with. Clients accept nobody.
fn open(me: NodeId, tls: Tls, socket: &Arc<ProbeSocket>) -> io::Result<(Endpoint, ClientConfig)> {
    let transport = Arc::new(settings::transport_config());
    let mut client = ClientConfig::new(Arc::new(tls.client));
    client.transport_config(Arc::clone(&transport));
    let server = matches!(me, NodeId::Replica(_)).then(|| {
        let mut server = ServerConfig::with_crypto(Arc::new(tls.server));
        server
            .transport_config(transport)
            .migration(false)
            .max_incoming(CONNECTIONS_MAX);
        server
    });
    let endpoint = Endpoint::new_with_abstract_socket(
        settings::endpoint_config(&tls.secret),
        server,
        Arc::clone(socket) as _,
        Arc::new(TokioRuntime),
    )?;
    Ok((endpoint, client))
}

async fn accept<M: Message + Send + 'static>(endpoint: Endpoint, shared: Arc<Shared<M>>) {
    let mut connections = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            shared.counters.refused.add_one();
            incoming.refuse();
        } else {
            connections.spawn(handshake(incoming, Arc::clone(&shared)));
        }
    }
}

async fn handshake<M: Message + Send + 'static>(incoming: Incoming, shared: Arc<Shared<M>>) {
    let remote = incoming.remote_address();
    match timeout(HANDSHAKE_TIMEOUT, incoming).await {
        Ok(Ok(connection)) => serve(shared, connection, None).await,
        Ok(Err(error)) => {
            shared.counters.refused.add_one();
            tracing::warn!(%remote, %error, "a handshake failed");
        }
        Err(_) => tracing::debug!(%remote, "a handshake was not finished"),
    }
}
