//! One turn of the drive loop: what is ready goes in, the core steps, what it wants done is carried out.
//!
//! ```text
//!   messages -> fence -> tap -> +------+ -> Persist -> storage
//!   persisted ----------------> | core | -> Note ----> trace, reports
//!   timeout ------------------> +------+ -> Send ----> outbox -> (trace written) -> tap -> transport
//! ```

use viewstorm_protocol::{
    ClockShim, Effect, EffectLabel, Effects, Envelope, Event, Fuse, Instant, Message, MessageLabel,
    NodeId, Outbox, Protocol, RecordId, Recovered, TraceEvent,
};

use super::ReplicaError;
use super::outward::Outward;
use crate::control::{Command, FuseSpec, Report};
use crate::fence::Fence;
use crate::gate::Gate;
use crate::passenger::{Parcel, Passenger};
use crate::storage::{Disk, StorageWriter};
use crate::transport::{Arrival, Probe, ProbeArrival, Transport};

/// A replica's core and all that its process does for it.
pub(super) struct Node<P: Protocol> {
    pub(super) core: P,
    pub(super) effects: Effects<P::Message, P::Record>,
    pub(super) outbox: Outbox<P::Message>,
    /// What the storage lies on.
    pub(super) disk: Disk,
    /// What the core is told of the time.
    pub(super) clock: ClockShim,
    pub(super) fuse: Option<(Fuse, FuseSpec)>,
    /// Where the fuse burnt down: nothing happens any more.
    pub(super) burnt: Option<FuseSpec>,
    pub(super) outward: Outward<P::Message>,
    pub(super) gate: Gate<Passenger<P::Message>>,
    pub(super) fence: Fence,
    pub(super) storage: StorageWriter<P::Record>,
    pub(super) transport: Transport<P::Message>,
}

impl<P> Node<P>
where
    P: Protocol,
    P::Message: Send + 'static,
{
    /// The first event of the incarnation.
    pub(super) fn start(&mut self, recovered: Recovered<P::Record>) {
        self.outward.lamport.tick();
        self.outward.record(TraceEvent::Started);
        self.step(Event::Started(recovered));
    }

    /// A turn begins at `now`; what the tap had delayed until now goes on. Time never goes back.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.outward.now = self.outward.now.max(now);
        while let Some(passenger) = self.gate.take_due(self.outward.now) {
            self.goes_on(passenger, self.outward.now);
        }
    }

    /// Something came from a peer.
    pub(super) fn on_arrival(&mut self, arrival: Arrival<P::Message>) {
        match arrival {
            Arrival::Connected {
                peer, incarnation, ..
            } => {
                self.fence.passes(peer, incarnation);
            }
            Arrival::Message(parcel) => {
                if self
                    .fence
                    .passes(parcel.from.node(), parcel.envelope.incarnation)
                {
                    self.meet_the_tap(Passenger::Arriving(parcel), self.outward.now);
                }
            }
        }
    }

    /// A probe came from a peer.
    pub(super) fn on_probe(&mut self, (probe, received): ProbeArrival) {
        self.meet_the_tap(Passenger::ProbeArriving(probe), received);
    }

    /// Records are durable, up to this one.
    pub(super) fn on_persisted(&mut self, record: RecordId) {
        self.outward.lamport.tick();
        self.outward.record(TraceEvent::Persisted {
            record: record.get(),
        });
        for (to, message) in self.outbox.persisted(record) {
            if self.burns(EffectLabel::Send(message.kind())) {
                return;
            }
            self.outward.send(to, message);
        }
        self.step(Event::Persisted(record));
    }

    /// Does what the control channel wants, but for stopping.
    pub(super) fn on_command(&mut self, command: Command) -> Result<(), ReplicaError> {
        let now = self.outward.now;
        match command {
            Command::SetTap { rules } => {
                let released = self.gate.set_rules(now, &rules);
                let refuse = |reason| ReplicaError::Control(format!("set-tap: {reason}"));
                for passenger in released.map_err(refuse)? {
                    self.goes_on(passenger, now);
                }
                self.outward.reports.push(Report::TapSet);
            }
            Command::Probe { id, to } => {
                if !self.transport.has_route(to) {
                    let reason = format!("probe: no address of {to} is configured");
                    return Err(ReplicaError::Control(reason));
                }
                let from = NodeId::Replica(self.outward.me);
                let probe = Probe {
                    id,
                    from,
                    to,
                    sent: now.as_nanos(),
                };
                self.meet_the_tap(Passenger::ProbeLeaving(probe), now);
            }
            Command::SetWatches { watches } => {
                let refuse = |reason| ReplicaError::Control(format!("set-watches: {reason}"));
                self.gate.set_watches(&watches).map_err(refuse)?;
            }
            Command::SetClock { clock } => self.clock.set(clock),
            Command::ReadClock => {
                let (told, at) = (self.clock.tell(now.as_nanos()).as_nanos(), now.as_nanos());
                self.outward.reports.push(Report::Clock { told, at });
            }
            Command::SetDisk { faults } => self.disk.set(faults),
            Command::ReadDisk => self.outward.reports.push(disk_report(&self.disk)),
            Command::SetFuse { fuse } => {
                self.fuse = fuse.map(|spec| (Fuse::new(spec.nth, spec.step.clone()), spec));
            }
            Command::Stop => {}
        }
        Ok(())
    }

    /// Lets the core know that its timeout has passed, if it has.
    pub(super) fn check_timeout(&mut self) {
        let told = self.clock.tell(self.outward.now.as_nanos());
        if self.core.next_timeout().is_some_and(|at| at <= told) {
            self.outward.lamport.tick();
            self.step(Event::Timeout);
        }
    }

    /// Ends the turn: its trace is written, then its messages leave. Hands out its reports.
    pub(super) fn end_turn(&mut self) -> Result<Vec<Report>, ReplicaError> {
        self.outward.trace.write_turn()?;
        for parcel in std::mem::take(&mut self.outward.leaving) {
            self.meet_the_tap(Passenger::Leaving(parcel), self.outward.now);
        }
        let seen = self.gate.take_seen();
        let seen = seen.map(|watch| Report::MessageSeen { watch });
        self.outward.reports.extend(seen);
        Ok(std::mem::take(&mut self.outward.reports))
    }

    /// When something is to be done though nothing arrives.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let now = self.outward.now.as_nanos();
        let core = self.core.next_timeout();
        let core = core.and_then(|at| self.clock.when(now, at));
        let deadlines = [core.map(Instant::from_nanos), self.gate.next_due()];
        deadlines.into_iter().flatten().min()
    }

    /// Asks the tap. `at` is when the passenger came.
    fn meet_the_tap(&mut self, passenger: Passenger<P::Message>, at: Instant) {
        let passing = passenger.passing();
        if let Some(passenger) = self.gate.offer(self.outward.now, passing, passenger) {
            self.goes_on(passenger, at);
        }
    }

    /// It has passed the tap.
    fn goes_on(&mut self, passenger: Passenger<P::Message>, at: Instant) {
        match passenger {
            Passenger::Arriving(parcel) => self.deliver(parcel),
            Passenger::Leaving(parcel) => self.transport.send(&parcel),
            Passenger::ProbeArriving(Probe { id, from, sent, .. }) => {
                let received = at.as_nanos();
                self.outward.reports.push(Report::ProbeArrived {
                    id,
                    from,
                    sent,
                    received,
                });
            }
            Passenger::ProbeLeaving(probe) => {
                if let Err(error) = self.transport.send_probe(&probe) {
                    tracing::warn!(to = %probe.to, %error, "a probe is lost");
                }
            }
        }
    }

    /// Hands the core a message, unless the tap held it until a later incarnation of its sender was met.
    fn deliver(&mut self, Parcel { from, envelope, .. }: Parcel<P::Message>) {
        let Envelope {
            lamport: stamp,
            incarnation,
            message,
        } = envelope;
        if !self.fence.passes(from.node(), incarnation) {
            return;
        }
        self.outward.lamport.receive(stamp);
        let label = MessageLabel::of(&message);
        self.outward.record(TraceEvent::Received {
            from,
            stamp,
            message: label,
        });
        self.step(Event::Received { from, message });
    }

    /// Whether the process ends before the effect.
    fn burns(&mut self, effect: EffectLabel<'_>) -> bool {
        self.burnt = burnt(&mut self.fuse, effect);
        self.burnt.is_some()
    }

    /// One step of the core, and what it wants done, in its order.
    fn step(&mut self, event: Event<P::Message, P::Record>) {
        if self.burnt.is_some() {
            return;
        }
        let told = self.clock.tell(self.outward.now.as_nanos());
        self.core.step(told, event, &mut self.effects);
        for effect in self.effects.drain() {
            self.burnt = burnt(&mut self.fuse, effect.label());
            if self.burnt.is_some() {
                return;
            }
            match effect {
                Effect::Persist { id, record } => self.storage.submit(id, record),
                Effect::Reclaim { zone, records } => self.storage.reclaim(zone, records),
                Effect::Send { to, message, after } => {
                    if let Some((to, message)) = self.outbox.offer(to, message, after) {
                        self.outward.send(to, message);
                    }
                }
                Effect::Note(event) => self.outward.note(event),
            }
        }
    }
}

/// What the disk is like.
pub(super) fn disk_report(disk: &Disk) -> Report {
    Report::Disk {
        last_sync: disk.last_sync(),
        has_refused: disk.has_refused(),
    }
}

/// Where the process ends, if it does before the effect.
fn burnt(fuse: &mut Option<(Fuse, FuseSpec)>, effect: EffectLabel<'_>) -> Option<FuseSpec> {
    let burns = |(fuse, _): &mut (Fuse, FuseSpec)| fuse.burns(effect);
    fuse.take_if(burns).map(|(_, spec)| spec)
}
