//! The endpoints: each a node with its own certificate, socket, tap and logical clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::sync::mpsc;
use viewstorm_protocol::{Incarnation, LamportClock, Message, NodeId};

use super::work::Order;
use crate::fence::Fence;
use crate::gate::Gate;
use crate::passenger::Passenger;
use crate::transport::{
    ARRIVALS_MAX, Arrival, PROBES_MAX, ProbeArrival, Transport, TransportConfig, TransportError,
};
use crate::{ClientHostConfig, ClientHostError, TapControl};

/// All endpoints.
pub(super) struct Endpoints<M>(BTreeMap<u16, Endpoint<M>>);

/// One endpoint.
pub(super) struct Endpoint<M> {
    pub(super) transport: Transport<M>,
    pub(super) gate: Gate<Passenger<M>>,
    pub(super) fence: Fence,
    pub(super) lamport: LamportClock,
}

/// Where everything comes from.
pub(super) struct Inbox<M> {
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) arrivals: mpsc::Receiver<Arrival<M>>,
    pub(super) probes: mpsc::Receiver<ProbeArrival>,
}

impl<M> Inbox<M> {
    /// An inbox, and what puts into it.
    pub(super) fn new(
        orders: mpsc::Receiver<Order>,
    ) -> (Self, mpsc::Sender<Arrival<M>>, mpsc::Sender<ProbeArrival>) {
        let (arrivals_sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let (probes_sender, probes) = mpsc::channel(PROBES_MAX);
        (
            Self {
                orders,
                arrivals,
                probes,
            },
            arrivals_sender,
            probes_sender,
        )
    }
}

impl<M: Message + Send + 'static> Endpoints<M> {
    /// Binds all sockets and begins to dial.
    pub(super) fn start(
        config: &ClientHostConfig,
        tap: &dyn Fn(u16) -> Box<dyn TapControl>,
        arrivals: &mpsc::Sender<Arrival<M>>,
        probes: &mpsc::Sender<ProbeArrival>,
    ) -> Result<Self, ClientHostError> {
        let mut endpoints = BTreeMap::new();
        for endpoint in &config.endpoints {
            let dial = endpoint
                .dial
                .iter()
                .map(|(id, address)| (NodeId::Replica(*id), *address));
            let transport = TransportConfig {
                me: NodeId::Client(endpoint.endpoint),
                // The endpoints live as long as the run.
                incarnation: Incarnation(0),
                listen: endpoint.listen,
                credentials: &endpoint.credentials,
                replicas: config.replicas.clone(),
                dial: dial.collect(),
                answer: BTreeMap::new(),
                fence: config.fence_incarnations,
                probe_token: config.probe_token,
                clock: config.clock,
                seed: config.seed ^ (u64::from(endpoint.endpoint) << 16),
            };
            let transport = Transport::start(transport, arrivals.clone(), probes.clone())?;
            let number = endpoint.endpoint;
            let endpoint = Endpoint {
                transport,
                gate: Gate::new(tap(number), config.tap_buffer),
                fence: Fence::new(config.fence_incarnations),
                lamport: LamportClock::default(),
            };
            endpoints.insert(number, endpoint);
        }
        Ok(Self(endpoints))
    }

    /// Where each endpoint's socket is bound.
    pub(super) fn addresses(&self) -> BTreeMap<u16, SocketAddr> {
        self.0
            .iter()
            .map(|(id, endpoint)| (*id, endpoint.transport.address()))
            .collect()
    }

    pub(super) fn get_mut(&mut self, endpoint: u16) -> Option<&mut Endpoint<M>> {
        self.0.get_mut(&endpoint)
    }

    /// The first of them.
    pub(super) fn first(&self) -> Option<u16> {
        self.0.keys().next().copied()
    }

    /// Of a node that may be one of the endpoints.
    pub(super) fn of_node(&mut self, node: NodeId) -> Option<(u16, &mut Endpoint<M>)> {
        match node {
            NodeId::Client(endpoint) => Some((endpoint, self.0.get_mut(&endpoint)?)),
            NodeId::Replica(_) => None,
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut Endpoint<M>)> {
        self.0.iter_mut().map(|(id, endpoint)| (*id, endpoint))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Endpoint<M>> {
        self.0.values()
    }

    /// Closes all connections and tells the replicas.
    pub(super) async fn close(self) {
        for (id, endpoint) in self.0 {
            let (lost, counters) = (endpoint.gate.lost(), endpoint.transport.counters());
            tracing::info!(endpoint = id, tap_lost = lost, transport = %counters, "stopped");
            endpoint.transport.close().await;
        }
    }
}

impl From<TransportError> for ClientHostError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Identity { node, source } => Self::Identity {
                endpoint: node,
                source,
            },
            TransportError::Socket {
                node,
                address,
                source,
            } => Self::System {
                what: format!("the address {address} of {node}"),
                source,
            },
        }
    }
}
