//! The simulated world as one value: enact, invoke, and ask what happens next.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use viewstorm_history::Timestamp;
use viewstorm_nemesis::{Action, ClockBend, CrashPoint, CrashStep, Link, Observation, ProbeId};
use viewstorm_protocol::{Client, ClientId, Incarnation, NodeId, Observe, Protocol, ReplicaId};

use crate::client::{Sessions, administrator, probe_address, replica_of};
use crate::disk::{CrashKind, RecordPlace};
use crate::ledger::Ledger;
use crate::medium::{Cargo, InFlight, Medium};
use crate::queue::Due;
use crate::replica::{Around, Replica};
use crate::run::{Occurrence, Run, Statistics};
use crate::{SimulationConfig, TraceSink};

/// A cluster, its network, disks and clients, on one thread and in virtual time.
///
/// The same configuration and the same calls at the same virtual times give the same run. All replicas are
/// started at the beginning. Everything it holds is freed with it.
pub struct Simulation<P: Protocol, C: Client<Message = P::Message>> {
    config: SimulationConfig,
    replicas: Vec<Replica<P>>,
    sessions: Sessions<C>,
    medium: Medium<P::Message>,
    ledger: Option<Ledger>,
    run: Run,
    replica_factory: Box<dyn FnMut(ReplicaId, Incarnation) -> P>,
    client_factory: Box<dyn FnMut(ClientId) -> C>,
}

/// A replica and all that is around it, borrowed apart.
macro_rules! apart {
    ($simulation:ident, $replica:expr) => {{
        let around = Around {
            config: &$simulation.config,
            run: &mut $simulation.run,
            medium: &mut $simulation.medium,
            ledger: &mut $simulation.ledger,
        };
        (&mut $simulation.replicas[usize::from($replica)], around)
    }};
}

impl<P, C> Simulation<P, C>
where
    P: Protocol + Observe,
    C: Client<Message = P::Message>,
{
    /// A world at its start. The factories make a core for every incarnation of a replica and for every
    /// session.
    pub fn new(
        config: SimulationConfig,
        replica_factory: impl FnMut(ReplicaId, Incarnation) -> P + 'static,
        client_factory: impl FnMut(ClientId) -> C + 'static,
    ) -> Self {
        let ids = config.topology.replica_ids();
        let mut simulation = Self {
            replicas: ids.clone().map(|id| Replica::new(id, &config)).collect(),
            sessions: Sessions::new(config.topology.clients),
            medium: Medium::new(&config),
            ledger: config.invariants.then(|| Ledger::new(ids.clone().count())),
            run: Run::new(),
            config,
            replica_factory: Box::new(replica_factory),
            client_factory: Box::new(client_factory),
        };
        for id in ids {
            simulation.enact(&Action::Start(id));
        }
        simulation
    }

    /// Now, on the run's clock.
    pub fn now(&self) -> Timestamp {
        self.run.timestamp()
    }

    /// Does one thing that the nemesis wants done. What comes of it is observed later. Starting what runs
    /// and ending what is gone does nothing; recording is the caller's.
    pub fn enact(&mut self, action: &Action) {
        match action {
            Action::SetLink { link, rule } => {
                self.medium.set_link(*link, rule.clone(), &mut self.run);
            }
            Action::SetTap { node, rules } => {
                self.medium.set_tap(*node, rules.clone(), &mut self.run);
                self.run.observe(Observation::TapSet { node: *node });
            }
            Action::Watch { node, watches } => self.medium.watch(*node, watches.clone()),
            Action::Kill(replica) => self.crash(*replica, CrashKind::Process),
            Action::Start(replica) => {
                let (replica, mut around) = apart!(self, replica.0);
                replica.start(&mut around);
            }
            Action::Pause(replica) => self.replica(*replica).pause(),
            Action::Resume(replica) => {
                let (replica, mut around) = apart!(self, replica.0);
                replica.resume(&mut around);
            }
            Action::Inspect(replica) => {
                let state = self.replicas[usize::from(replica.0)].state();
                self.run.observe(Observation::State {
                    replica: *replica,
                    state,
                });
            }
            Action::Probe { id, link } => self.probe(*id, *link),
            Action::ReadCounters(link) => {
                let counters = self.medium.counters(*link);
                self.run.observe(Observation::Counters {
                    link: *link,
                    counters,
                });
            }
            Action::PowerLoss(replica) => self.crash(*replica, CrashKind::PowerLoss),
            Action::Wipe(replica) => self.wipe(*replica),
            Action::SetFuse { replica, fuse } => self.replica(*replica).set_fuse(*fuse),
            Action::SetDisk { replica, rule } => self.replica(*replica).disk().set_rule(*rule),
            Action::FlipBit { replica, place } => self.replica(*replica).disk().damage(*place),
            Action::ReadDisk(replica) => {
                let (replica, reading) = (*replica, self.replica(*replica).disk().reading());
                self.run.observe(Observation::Disk { replica, reading });
            }
            Action::BendClock { replica, bend } => self.bend_clock(*replica, *bend),
            Action::ReadClock(replica) => {
                let (replica, around) = apart!(self, replica.0);
                replica.tell_time(around.run);
            }
            Action::Reconfigure { request, members } => {
                let slot = self
                    .sessions
                    .open(administrator(*request), &mut self.client_factory);
                self.sessions
                    .reconfigure(slot, members.clone(), &mut self.run, &mut self.medium);
            }
            Action::Record(_) => {}
        }
    }

    fn replica(&mut self, replica: ReplicaId) -> &mut Replica<P> {
        &mut self.replicas[usize::from(replica.0)]
    }

    /// Starts an operation in a session, which is opened by its first and has one outstanding at a time.
    pub fn invoke(&mut self, client: ClientId, operation: Bytes) {
        let slot = self.sessions.open(client, &mut self.client_factory);
        self.sessions
            .invoke(slot, operation, &mut self.run, &mut self.medium);
    }

    /// Ends a session, whatever it waits for.
    pub fn retire(&mut self, client: ClientId) {
        self.sessions.retire(client);
    }

    /// Lets time pass until something happens, at most until `until`; none if nothing did.
    pub fn next(&mut self, until: Timestamp) -> Option<Occurrence> {
        loop {
            if let Some(occurrence) = self.run.outward.pop_front() {
                return Some(occurrence);
            }
            let Some((time, due)) = self.run.queue.pop(until.as_nanos()) else {
                self.run.now = self.run.now.max(until.as_nanos());
                return None;
            };
            self.run.now = time;
            self.happen(due);
            if let Some(ledger) = &mut self.ledger
                && ledger.has_found()
            {
                let found = ledger.take_found().into_iter().map(Occurrence::Violation);
                self.run.outward.extend(found);
            }
        }
    }

    /// Ends a replica's process, or its whole machine, at once.
    pub fn crash(&mut self, replica: ReplicaId, kind: CrashKind) {
        let (replica, mut around) = apart!(self, replica.0);
        replica.crash(kind, &mut around);
    }

    /// Ends the replica in the middle of a step: counted from now, its `nth` effect (from 1) and those after
    /// it are not carried out.
    pub fn crash_at_effect(&mut self, replica: ReplicaId, nth: u64, kind: CrashKind) {
        let point = CrashPoint {
            effect: nth,
            step: CrashStep::Any,
            power: kind == CrashKind::PowerLoss,
        };
        self.replica(replica).set_fuse(Some(point));
    }

    /// Ends the replica and gives it an empty disk. What it acknowledged is gone: it may not start as if it had
    /// never taken part. The durability theorem still counts it until the replica is up again.
    pub fn wipe(&mut self, replica: ReplicaId) {
        self.crash(replica, CrashKind::PowerLoss);
        self.replica(replica).disk().wipe();
    }

    /// Spoils a durable record; returns whether there is such a record. The replica notices at its next
    /// start, which then fails: its exit says which record.
    pub fn corrupt_record(&mut self, replica: ReplicaId, place: RecordPlace) -> bool {
        self.replica(replica).disk().corrupt(place)
    }

    /// How many durable records the replica's log has.
    pub fn durable_records(&mut self, replica: ReplicaId) -> usize {
        self.replica(replica).disk().log_len()
    }

    /// The replica's next sync fails, and its process stops.
    pub fn fail_next_sync(&mut self, replica: ReplicaId) {
        self.replicas[usize::from(replica.0)]
            .disk()
            .fail_next_sync();
    }

    /// From now on each of the replica's syncs takes this much longer.
    pub fn slow_syncs(&mut self, replica: ReplicaId, by: Duration) {
        self.replica(replica).disk().slow_down(by);
    }

    /// Bends the replica's clock from now on.
    pub fn bend_clock(&mut self, replica: ReplicaId, bend: ClockBend) {
        self.replicas[usize::from(replica.0)].bend_clock(bend, &mut self.run);
    }

    /// From now on `sink` is told of everything.
    pub fn set_trace_sink(&mut self, sink: Box<dyn TraceSink>) {
        self.run.sink = Some(sink);
    }

    /// The replica's core, if its process is up.
    pub fn core(&self, replica: ReplicaId) -> Option<&P> {
        self.replicas[usize::from(replica.0)].core()
    }

    /// How often the replica was started.
    pub fn incarnation(&self, replica: ReplicaId) -> Incarnation {
        self.replicas[usize::from(replica.0)].incarnation()
    }

    /// What was counted so far.
    pub fn statistics(&self) -> Statistics {
        let virtual_time = Duration::from_nanos(self.run.now);
        Statistics {
            virtual_time,
            ..self.run.statistics
        }
    }

    /// All events so far, in one number: equal for equal runs.
    pub fn trace_hash(&self) -> u64 {
        self.run.hash.get()
    }

    /// One event.
    fn happen(&mut self, due: Due) {
        match due {
            Due::Leave(slot) => self.medium.leave(slot, &mut self.run),
            Due::Arrive(slot) => {
                if let Some(flight) = self.medium.arrive(slot, &mut self.run) {
                    self.deliver(flight);
                }
            }
            Due::Deliver(slot) => {
                let flight = self.medium.deliver(slot);
                self.deliver(flight);
            }
            Due::ReplicaTimer(replica) => {
                let (replica, mut around) = apart!(self, replica);
                replica.timer(&mut around);
            }
            Due::ClientTimer(slot) => {
                self.sessions.timer(slot, &mut self.run, &mut self.medium);
            }
            Due::Synced(replica, tag) => {
                let (replica, mut around) = apart!(self, replica);
                replica.synced(tag, &mut around);
            }
            Due::Started(replica, tag) => {
                let (replica, mut around) = apart!(self, replica);
                replica.started(tag, &mut self.replica_factory, &mut around);
            }
        }
    }

    fn deliver(&mut self, flight: InFlight<P::Message>) {
        match replica_of(flight.to) {
            Some(replica) => {
                let (replica, mut around) = apart!(self, replica.0);
                replica.receive(flight, &mut around);
            }
            None => self
                .sessions
                .receive(flight, &mut self.run, &mut self.medium),
        }
    }

    /// A process that does not run sends no probe.
    fn probe(&mut self, id: ProbeId, link: Link) {
        let awake = match link.from {
            NodeId::Replica(replica) => self.replicas[usize::from(replica.0)].is_awake(),
            NodeId::Client(_) => true,
        };
        if awake {
            let (from, to) = (probe_address(link.from), probe_address(link.to));
            let cargo = Cargo::Probe {
                id,
                sent: self.run.now,
            };
            self.medium
                .send(InFlight { from, to, cargo }, &mut self.run);
        }
    }
}

impl<P: Protocol, C: Client<Message = P::Message>> fmt::Debug for Simulation<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("config", &self.config)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}
