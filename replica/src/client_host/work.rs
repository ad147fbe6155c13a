//! The host's thread: orders, messages and timers in, messages and events out.

use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::{
    Address, Client, ClientEffects, ClientId, Envelope, Incarnation, Instant, NodeId, ReplicaId,
};

use super::endpoint::{Endpoints, Inbox};
use super::host::ClientEvent;
use super::session::{SESSIONS_MAX, Sessions};
use crate::RunClock;
use crate::passenger::{Parcel, Passenger};
use crate::transport::{Arrival, PROBES_MAX, Probe, ProbeArrival};

/// The most orders and the most messages of one turn.
const TURN_MAX: usize = 256;
/// The first session of an administrator: beyond all that clients have.
const ADMINISTRATORS: u64 = 1 << 41;

/// What the host is to do.
#[derive(Debug)]
pub(super) enum Order {
    Invoke(ClientId, Bytes),
    Reconfigure(u64, Vec<ReplicaId>),
    Retire(ClientId),
    SetTap(u16, serde_json::Value),
    SetWatches(u16, serde_json::Value),
    Probe {
        endpoint: u16,
        id: u64,
        to: ReplicaId,
    },
}

/// Why the host cannot go on: whoever gave it orders did wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("there is no client endpoint {0}")]
    NoEndpoint(u16),
    #[error("{0} has an operation outstanding already")]
    Outstanding(ClientId),
    #[error("more than {SESSIONS_MAX} sessions")]
    TooMany,
    #[error("the tap of {endpoint}: {reason}")]
    Rules { endpoint: NodeId, reason: String },
}

/// The sessions and their endpoints.
pub(super) struct Host<'a, C: Client> {
    clock: RunClock,
    now: Instant,
    endpoints: Endpoints<C::Message>,
    sessions: Sessions<C>,
    events: &'a mut dyn FnMut(ClientEvent),
}

/// Works until nobody can give orders any more, or an order makes no sense.
pub(super) async fn work<C>(mut host: Host<'_, C>, mut inbox: Inbox<C::Message>)
where
    C: Client,
    C::Message: Send + 'static,
{
    let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
    let (mut orders, mut arrivals) = (Vec::new(), Vec::new());
    loop {
        let deadline = host.next_deadline();
        if let Some(deadline) = deadline {
            let wait = deadline.saturating_since(host.clock.now());
            timer.as_mut().reset(tokio::time::Instant::now() + wait);
        }
        tokio::select! {
            biased;
            count = inbox.orders.recv_many(&mut orders, TURN_MAX) => if count == 0 {
                break;
            },
            _ = inbox.arrivals.recv_many(&mut arrivals, TURN_MAX) => {}
            Some(probe) = inbox.probes.recv() => host.on_probe(probe),
            () = timer.as_mut(), if deadline.is_some() => {}
        }
        if let Err(error) = host.turn(&mut orders, &mut arrivals, &mut inbox) {
            (host.events)(ClientEvent::Failed {
                reason: error.to_string(),
            });
            break;
        }
    }
    host.endpoints.close().await;
}

impl<'a, C> Host<'a, C>
where
    C: Client,
    C::Message: Send + 'static,
{
    pub(super) fn new(
        clock: RunClock,
        endpoints: Endpoints<C::Message>,
        factory: Box<dyn Fn(ClientId) -> C>,
        events: &'a mut dyn FnMut(ClientEvent),
    ) -> Self {
        let sessions = Sessions::new(factory);
        Self {
            clock,
            now: Instant::ORIGIN,
            endpoints,
            sessions,
            events,
        }
    }

    /// One turn: everything that is ready, from every side, so that no side keeps another waiting.
    fn turn(
        &mut self,
        orders: &mut Vec<Order>,
        arrivals: &mut Vec<Arrival<C::Message>>,
        inbox: &mut Inbox<C::Message>,
    ) -> Result<(), OrderError> {
        self.now = self.now.max(self.clock.now());
        self.release_delayed();
        while arrivals.len() < TURN_MAX
            && let Ok(arrival) = inbox.arrivals.try_recv()
        {
            arrivals.push(arrival);
        }
        for arrival in arrivals.drain(..) {
            self.on_arrival(arrival);
        }
        for order in orders.drain(..) {
            self.on_order(order)?;
        }
        for _ in 0..PROBES_MAX {
            match inbox.probes.try_recv() {
                Ok(probe) => self.on_probe(probe),
                Err(_) => break,
            }
        }
        while let Some(id) = self.sessions.take_due(self.now) {
            self.step(id, |core, now, effects| core.timeout(now, effects));
        }
        Ok(())
    }

    fn on_order(&mut self, order: Order) -> Result<(), OrderError> {
        match order {
            Order::Invoke(client, operation) => self.invoke(client, operation)?,
            Order::Reconfigure(request, members) => self.reconfigure(request, members)?,
            Order::Retire(client) => self.sessions.retire(client),
            Order::SetTap(endpoint, rules) => self.set_tap(endpoint, &rules)?,
            Order::SetWatches(endpoint, watches) => self.set_watches(endpoint, &watches)?,
            Order::Probe { endpoint, id, to } => {
                let (from, to) = (NodeId::Client(endpoint), NodeId::Replica(to));
                let probe = Probe {
                    id,
                    from,
                    to,
                    sent: self.now.as_nanos(),
                };
                self.meet_the_tap(endpoint, Passenger::ProbeLeaving(probe), self.now);
            }
        }
        Ok(())
    }

    fn invoke(&mut self, client: ClientId, operation: Bytes) -> Result<(), OrderError> {
        if self.endpoints.get_mut(client.endpoint).is_none() {
            return Err(OrderError::NoEndpoint(client.endpoint));
        }
        let session = self.sessions.open(client).ok_or(OrderError::TooMany)?;
        if std::mem::replace(&mut session.outstanding, true) {
            return Err(OrderError::Outstanding(client));
        }
        self.step(client, |core, now, effects| {
            core.invoke(now, operation, effects)
        });
        Ok(())
    }

    fn reconfigure(&mut self, request: u64, members: Vec<ReplicaId>) -> Result<(), OrderError> {
        let endpoint = self.endpoints.first().ok_or(OrderError::NoEndpoint(0))?;
        let client = ClientId {
            endpoint,
            session: ADMINISTRATORS + request,
        };
        let session = self.sessions.open(client).ok_or(OrderError::TooMany)?;
        if std::mem::replace(&mut session.outstanding, true) {
            return Err(OrderError::Outstanding(client));
        }
        self.step(client, |core, now, effects| {
            core.reconfigure(now, members, effects);
        });
        Ok(())
    }

    fn set_tap(&mut self, number: u16, rules: &serde_json::Value) -> Result<(), OrderError> {
        let endpoint = self
            .endpoints
            .get_mut(number)
            .ok_or(OrderError::NoEndpoint(number))?;
        let released = endpoint.gate.set_rules(self.now, rules);
        let wrong = |reason| OrderError::Rules {
            endpoint: NodeId::Client(number),
            reason,
        };
        for passenger in released.map_err(wrong)? {
            self.goes_on(number, passenger, self.now);
        }
        (self.events)(ClientEvent::TapSet { endpoint: number });
        Ok(())
    }

    fn set_watches(&mut self, number: u16, watches: &serde_json::Value) -> Result<(), OrderError> {
        let endpoint = self
            .endpoints
            .get_mut(number)
            .ok_or(OrderError::NoEndpoint(number))?;
        let wrong = |reason| OrderError::Rules {
            endpoint: NodeId::Client(number),
            reason,
        };
        endpoint.gate.set_watches(watches).map_err(wrong)
    }

    /// Something came from a replica.
    fn on_arrival(&mut self, arrival: Arrival<C::Message>) {
        let (at, from, incarnation) = match &arrival {
            Arrival::Connected {
                at,
                peer,
                incarnation,
            } => (*at, *peer, *incarnation),
            Arrival::Message(Parcel { from, to, envelope }) => {
                (to.node(), from.node(), envelope.incarnation)
            }
        };
        let Some((number, endpoint)) = self.endpoints.of_node(at) else {
            return;
        };
        if endpoint.fence.passes(from, incarnation)
            && let Arrival::Message(parcel) = arrival
        {
            self.meet_the_tap(number, Passenger::Arriving(parcel), self.now);
        }
    }

    /// A probe came from a replica.
    fn on_probe(&mut self, (probe, received): ProbeArrival) {
        if let Some((number, _)) = self.endpoints.of_node(probe.to) {
            self.meet_the_tap(number, Passenger::ProbeArriving(probe), received);
        }
    }

    /// What the taps had delayed until now goes on.
    fn release_delayed(&mut self) {
        let mut due = Vec::new();
        for (number, endpoint) in self.endpoints.iter_mut() {
            while let Some(passenger) = endpoint.gate.take_due(self.now) {
                due.push((number, passenger));
            }
        }
        for (number, passenger) in due {
            self.goes_on(number, passenger, self.now);
        }
    }

    /// Asks the endpoint's tap. `at` is when the passenger came.
    fn meet_the_tap(&mut self, number: u16, passenger: Passenger<C::Message>, at: Instant) {
        let Some(endpoint) = self.endpoints.get_mut(number) else {
            return;
        };
        let passing = passenger.passing();
        let passenger = endpoint.gate.offer(self.now, passing, passenger);
        for watch in endpoint.gate.take_seen() {
            (self.events)(ClientEvent::MessageSeen { watch });
        }
        if let Some(passenger) = passenger {
            self.goes_on(number, passenger, at);
        }
    }

    /// It has passed the tap.
    fn goes_on(&mut self, number: u16, passenger: Passenger<C::Message>, at: Instant) {
        let Some(endpoint) = self.endpoints.get_mut(number) else {
            return;
        };
        match passenger {
            Passenger::Arriving(parcel) => self.deliver(number, parcel),
            Passenger::Leaving(parcel) => endpoint.transport.send(&parcel),
            Passenger::ProbeArriving(Probe { id, from, sent, .. }) => {
                if let NodeId::Replica(from) = from {
                    let received = at.as_nanos();
                    let endpoint = number;
                    (self.events)(ClientEvent::ProbeArrived {
                        id,
                        endpoint,
                        from,
                        sent,
                        received,
                    });
                }
            }
            Passenger::ProbeLeaving(probe) => {
                if let Err(error) = endpoint.transport.send_probe(&probe) {
                    tracing::warn!(to = %probe.to, %error, "a probe is lost");
                }
            }
        }
    }

    /// Hands a session a message, if it is still open and the sender was not succeeded meanwhile.
    fn deliver(&mut self, number: u16, parcel: Parcel<C::Message>) {
        let Parcel {
            from,
            to,
            envelope:
                Envelope {
                    lamport,
                    incarnation,
                    message,
                },
        } = parcel;
        let (Address::Replica(replica), Address::Client(client)) = (from, to) else {
            return;
        };
        let Some(endpoint) = self.endpoints.get_mut(number) else {
            return;
        };
        if endpoint.fence.passes(from.node(), incarnation) {
            endpoint.lamport.receive(lamport);
            self.step(client, |core, now, effects| {
                core.receive(now, replica, message, effects)
            });
        }
    }

    /// One step of a session's core, and what it wants done.
    fn step(
        &mut self,
        client: ClientId,
        act: impl FnOnce(&mut C, Instant, &mut ClientEffects<C::Message>),
    ) {
        let Some(session) = self.sessions.get_mut(client) else {
            return;
        };
        act(&mut session.core, self.now, &mut session.effects);
        let completion = session.effects.completion.take();
        let reconfigured = session.effects.reconfigured.take();
        session.outstanding &= completion.is_none() && reconfigured.is_none();
        let sends = std::mem::take(&mut session.effects.sends);
        self.sessions.arm(client);
        for (to, message) in sends {
            let Some(endpoint) = self.endpoints.get_mut(client.endpoint) else {
                return;
            };
            let lamport = endpoint.lamport.tick();
            let envelope = Envelope {
                lamport,
                incarnation: Incarnation(0),
                message,
            };
            let (from, to) = (Address::Client(client), Address::Replica(to));
            let leaving = Passenger::Leaving(Parcel { from, to, envelope });
            self.meet_the_tap(client.endpoint, leaving, self.now);
        }
        if let Some(outcome) = reconfigured {
            let request = client.session - ADMINISTRATORS;
            (self.events)(ClientEvent::Reconfigured { request, outcome });
        }
        if let Some(completion) = completion {
            let time_nanos = self.clock.now().as_nanos();
            (self.events)(ClientEvent::Completed {
                client,
                time_nanos,
                completion,
            });
        }
    }

    /// When something is to be done though nothing arrives.
    fn next_deadline(&self) -> Option<Instant> {
        let delayed = self
            .endpoints
            .iter()
            .filter_map(|endpoint| endpoint.gate.next_due());
        delayed.chain(self.sessions.next_timeout()).min()
    }
}
