//! Client sessions: their cores, and the one operation that each may have outstanding.

use std::collections::BTreeMap;

use bytes::Bytes;
use viewstorm_nemesis::Observation;
use viewstorm_protocol::{
    Address, Client, ClientEffects, ClientId, Envelope, Incarnation, Instant, LamportClock,
    MessageLabel, NodeId, ReplicaId, TraceEvent,
};

use crate::hash::Hashed;
use crate::medium::{Cargo, InFlight, Medium};
use crate::queue::{Due, Slab, Slot};
use crate::run::{Occurrence, Run};

/// What tells a client node's events from a replica's in the trace hash.
const CLIENT_NODES: u16 = 1 << 15;

struct Session<C: Client> {
    id: ClientId,
    core: C,
    effects: ClientEffects<C::Message>,
    armed: Option<u64>,
    outstanding: bool,
}

/// All open sessions.
pub(crate) struct Sessions<C: Client> {
    sessions: Slab<Session<C>>,
    slots: BTreeMap<ClientId, Slot>,
    /// One for each client node.
    lamport: Vec<LamportClock>,
}

impl<C: Client> Sessions<C> {
    /// No sessions on `endpoints` client nodes.
    pub(crate) fn new(endpoints: u16) -> Self {
        Self {
            sessions: Slab::default(),
            slots: BTreeMap::new(),
            lamport: vec![LamportClock::default(); usize::from(endpoints)],
        }
    }

    /// Opens a session if it is not open.
    pub(crate) fn open(&mut self, id: ClientId, factory: &mut dyn FnMut(ClientId) -> C) -> Slot {
        *self.slots.entry(id).or_insert_with(|| {
            self.sessions.insert(Session {
                id,
                core: factory(id),
                effects: ClientEffects::default(),
                armed: None,
                outstanding: false,
            })
        })
    }

    /// Ends a session.
    pub(crate) fn retire(&mut self, id: ClientId) {
        if let Some(slot) = self.slots.remove(&id) {
            self.sessions.remove(slot);
        }
    }

    /// Starts an operation.
    pub(crate) fn invoke(
        &mut self,
        slot: Slot,
        operation: Bytes,
        run: &mut Run,
        medium: &mut Medium<C::Message>,
    ) {
        let session = self.sessions.get_mut(slot).expect("just opened");
        assert!(
            !session.outstanding,
            "{} has one operation at a time",
            session.id
        );
        session.outstanding = true;
        self.step(
            slot,
            Hashed {
                tag: 8,
                ..Hashed::default()
            },
            run,
            medium,
            |core, now, effects| {
                core.invoke(now, operation, effects);
            },
        );
    }

    /// An administrator's session makes these replicas the group.
    pub(crate) fn reconfigure(
        &mut self,
        slot: Slot,
        members: Vec<ReplicaId>,
        run: &mut Run,
        medium: &mut Medium<C::Message>,
    ) {
        let hashed = Hashed {
            tag: 11,
            ..Hashed::default()
        };
        self.step(slot, hashed, run, medium, |core, now, effects| {
            core.reconfigure(now, members, effects);
        });
    }

    /// A message reaches a session, which may have been retired.
    pub(crate) fn receive(
        &mut self,
        flight: InFlight<C::Message>,
        run: &mut Run,
        medium: &mut Medium<C::Message>,
    ) {
        let link = flight.link();
        let envelope = match flight.cargo {
            Cargo::Probe { id, sent } => return run.probe_arrived(id, link, sent),
            Cargo::Message(envelope) => envelope,
        };
        let (Address::Client(id), Address::Replica(from)) = (flight.to, flight.from) else {
            unreachable!("clients hear from replicas alone");
        };
        let Some(slot) = self.slots.get(&id).copied() else {
            run.statistics.dropped += 1;
            return;
        };
        let Envelope {
            lamport: stamp,
            message,
            ..
        } = envelope;
        use viewstorm_protocol::Message;
        let (kind, view, number) = (message.kind(), message.view(), message.number());
        let lamport = self.lamport[usize::from(id.endpoint)].receive(stamp);
        run.statistics.delivered += 1;
        let sender = Address::Replica(from);
        let received = || TraceEvent::Received {
            from: sender,
            stamp,
            message: MessageLabel::of(&message),
        };
        let node = (NodeId::Client(id.endpoint), Incarnation(0));
        run.trace(node, lamport, received);
        let hashed = Hashed {
            tag: 9,
            kind,
            view,
            number,
            ..Hashed::default()
        };
        self.step(slot, hashed, run, medium, |core, now, effects| {
            core.receive(now, from, message, effects);
        });
    }

    /// A session's timer rings, perhaps in vain.
    pub(crate) fn timer(&mut self, slot: Slot, run: &mut Run, medium: &mut Medium<C::Message>) {
        let Some(session) = self.sessions.get_mut(slot) else {
            return;
        };
        if session.armed != Some(run.now) {
            return;
        }
        session.armed = None;
        if session
            .core
            .next_timeout()
            .is_some_and(|at| at.as_nanos() <= run.now)
        {
            let hashed = Hashed {
                tag: 10,
                ..Hashed::default()
            };
            self.step(slot, hashed, run, medium, |core, now, effects| {
                core.timeout(now, effects)
            });
        } else {
            session.arm(slot, run);
        }
    }

    /// One step of a session's core, and what it wants done.
    fn step(
        &mut self,
        slot: Slot,
        hashed: Hashed<'_>,
        run: &mut Run,
        medium: &mut Medium<C::Message>,
        act: impl FnOnce(&mut C, Instant, &mut ClientEffects<C::Message>),
    ) {
        let session = self.sessions.get_mut(slot).expect("an open session");
        let endpoint = session.id.endpoint;
        let clock = &mut self.lamport[usize::from(endpoint)];
        run.statistics.events += 1;
        run.hashed(Hashed {
            node: CLIENT_NODES | endpoint,
            lamport: clock.now(),
            ..hashed
        });
        act(
            &mut session.core,
            Instant::from_nanos(run.now),
            &mut session.effects,
        );
        for (to, message) in session.effects.sends.drain(..) {
            let lamport = clock.tick();
            run.statistics.messages += 1;
            let cargo = Cargo::Message(Envelope {
                lamport,
                incarnation: Incarnation(0),
                message,
            });
            let from = Address::Client(session.id);
            medium.send(
                InFlight {
                    from,
                    to: Address::Replica(to),
                    cargo,
                },
                run,
            );
        }
        if let Some(completion) = session.effects.completion.take() {
            assert!(session.outstanding, "{} completed nothing", session.id);
            session.outstanding = false;
            run.statistics.operations += 1;
            let (client, time) = (session.id, run.timestamp());
            run.outward.push_back(Occurrence::Completed {
                client,
                time,
                completion,
            });
        }
        if let Some(outcome) = session.effects.reconfigured.take() {
            let request = session.id.session - ADMINISTRATORS;
            run.observe(Observation::Reconfigured { request, outcome });
        }
        session.arm(slot, run);
    }
}

/// The first session of an administrator: beyond all that clients have.
const ADMINISTRATORS: u64 = 1 << 41;

/// The session of the administrator who asks for a reconfiguration. It works at the first client node.
pub(crate) const fn administrator(request: u64) -> ClientId {
    ClientId {
        endpoint: 0,
        session: ADMINISTRATORS + request,
    }
}

impl<C: Client> Session<C> {
    /// See [`Replica::arm`](crate::replica::Replica): the same, on a clock that tells the truth.
    fn arm(&mut self, slot: Slot, run: &mut Run) {
        if let Some(at) = self.core.next_timeout()
            && self.armed.is_none_or(|armed| at.as_nanos() < armed)
        {
            let at = at.as_nanos().max(run.now + 1);
            self.armed = Some(at);
            run.queue.push(at, Due::ClientTimer(slot));
        }
    }
}

/// The address that a probe of a client node carries: no session's.
pub(crate) fn probe_address(node: NodeId) -> Address {
    match node {
        NodeId::Replica(replica) => Address::Replica(replica),
        NodeId::Client(endpoint) => Address::Client(ClientId {
            endpoint,
            session: u64::MAX,
        }),
    }
}

/// The replica that an address names, if it names one.
pub(crate) const fn replica_of(address: Address) -> Option<ReplicaId> {
    match address {
        Address::Replica(replica) => Some(replica),
        Address::Client(_) => None,
    }
}
