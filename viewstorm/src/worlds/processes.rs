//! The world of real processes: replicas as children of this process, QUIC between them, and between every
//! two nodes a relay that the nemesis turns.
//!
//! ```text
//!   this process                                       children
//!   +--------------------------------------+           +---------------------+
//!   | runner (one thread, spawns them all) |--stdin--->| viewstorm replica 0 |
//!   |   ^ events                           |<--stdout--|   QUIC  WAL  trace  |
//!   | clients' host thread     QUIC        |           +---------------------+
//!   |   \------------> relay <-------------|---UDP-----> ...
//!   +--------------------------------------+
//! ```
//!
//! The children die with this process: their standard input ends, and the system kills them when the thread
//! that started them ends. So one thread starts them all for the whole run.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use bytes::Bytes;
use viewstorm_history::{Seed, Timestamp};
use viewstorm_nemesis::inject::{PairSpec, Relay};
use viewstorm_nemesis::{
    Action, Capability, ClockBend, CrashPoint, Link, Observation, ProbeId, ProcessState, TapRule,
    TapWatch, Topology,
};
use viewstorm_protocol::{ClientId, NodeId, ReplicaId, Status};
use viewstorm_replica::control::{Command, FuseSpec, Report};
use viewstorm_replica::{ClientEvent, ClientHost, RunClock};

use super::child::{Child, ChildEvent};
use super::machine::{Machine, disk_faults};
use super::nemesis_tap::NemesisTap;
use super::setup::{self, Setup, Starts};
use crate::plan::Cluster;
use crate::world::{Occurrence, World, WorldError, WorldFacts};

/// How long replicas may take to end in order; after that they are ended.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How a process ends whose code panicked.
const PANICKED: &str = "exit code 101";
/// All traffic stays on this machine.
pub(super) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a process world is made of.
#[derive(Clone, Debug)]
pub struct ProcessWorldOptions {
    /// The replicas, as the plan has them.
    pub cluster: Cluster,
    /// Who there is.
    pub topology: Topology,
    /// Fixes what the relay and the protocol's timers draw.
    pub seed: Seed,
    /// The run's folder, absolute: it has the folders `replicas` and `trace`.
    pub folder: PathBuf,
    /// The binary whose `replica --config FILE` is a replica.
    pub executable: PathBuf,
    /// Whether a replica may lose power: its storage then keeps track of what that would take, at a write more for
    /// each write.
    pub power_loss: bool,
}

/// Something that one of the threads tells the runner's.
#[derive(Debug)]
pub(super) enum Event {
    /// A replica's process says something, or ended.
    Child(ReplicaId, ChildEvent),
    /// The clients' host says something.
    Client(ClientEvent),
}

/// A cluster of real processes.
#[derive(Debug)]
pub struct ProcessWorld {
    // Children first: fields are dropped in order, and a replica needs no relay to die.
    replicas: BTreeMap<ReplicaId, Replica>,
    clients: ClientHost,
    relay: Relay,
    setup: Setup,
    clock: RunClock,
    events: Receiver<Event>,
    sender: Sender<Event>,
    ready: VecDeque<Occurrence>,
}

#[derive(Debug, Default)]
struct Replica {
    child: Option<Child>,
    machine: Machine,
    /// Whether it said hello.
    is_up: bool,
    /// Its last words.
    fatal: Option<String>,
    /// How often it was started.
    starts: u64,
    /// It was in normal status once: from then on storage that is empty is lost.
    has_taken_part: bool,
}

impl ProcessWorld {
    /// What the nemesis can ask of it beyond what it can ask of every world. A killed process loses nothing that
    /// it wrote: the operating system keeps it. So its storage keeps track of what is not synced, and a loss of
    /// power takes that away once the process is gone.
    pub const CAPABILITIES: &'static [Capability] = &[
        Capability::PowerLoss,
        Capability::Disk,
        Capability::EffectCrash,
        Capability::Clock,
        Capability::Watch,
    ];

    /// Starts the relay, the clients' host and all replicas. They are up when they say so.
    pub fn start(options: &ProcessWorldOptions) -> Result<Self, WorldError> {
        let clock = RunClock::starting_now();
        let topology = options.topology;
        let pairs = setup::pairs(topology).map(|(dialler, acceptor)| PairSpec {
            dialler,
            acceptor,
            acceptor_address: None,
        });
        let relay = Relay::start(pairs.collect(), options.seed, LOOPBACK)
            .map_err(|error| harness("relay", &error))?;
        let (sender, events) = mpsc::channel();
        let setup = Setup::new(options, clock, &relay)?;
        let to_runner = sender.clone();
        let clients = ClientHost::start(
            setup.client_host(),
            |_| Box::<NemesisTap>::default(),
            move |event| {
                // Nobody listens once the run is over.
                drop(to_runner.send(Event::Client(event)));
            },
        )
        .map_err(|error| harness("clients' host", &error))?;
        let replicas = topology
            .replica_ids()
            .map(|id| (id, Replica::default()))
            .collect();
        let ready = VecDeque::new();
        let mut world = Self {
            replicas,
            clients,
            relay,
            setup,
            clock,
            events,
            sender,
            ready,
        };
        for replica in topology.replica_ids() {
            world.start_replica(replica)?;
        }
        Ok(world)
    }

    fn start_replica(&mut self, id: ReplicaId) -> Result<(), WorldError> {
        let replica = self
            .replicas
            .get_mut(&id)
            .expect("the nemesis names replicas of the topology");
        if replica.child.is_some() {
            return Ok(());
        }
        let starts = Starts {
            count: replica.starts,
            format: !replica.has_taken_part,
        };
        let spec = self.setup.replica(id, starts, &replica.machine)?;
        let sender = self.sender.clone();
        let child = Child::start(&spec, move |event| {
            drop(sender.send(Event::Child(id, event)));
        })
        .map_err(|reason| WorldError::Start {
            replica: id,
            reason,
        })?;
        replica.fatal = None;
        replica.machine.fuse = None;
        replica.starts += 1;
        replica.child = Some(child);
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), WorldError> {
        match event {
            Event::Child(replica, event) => self.handle_child(replica, event),
            Event::Client(event) => self.handle_client(event),
        }
    }

    fn handle_child(&mut self, id: ReplicaId, event: ChildEvent) -> Result<(), WorldError> {
        let replica = self.replicas.entry(id).or_default();
        match event {
            ChildEvent::Report(Report::Hello { address, .. }) => {
                replica.is_up = true;
                self.relay
                    .set_acceptor_address(NodeId::Replica(id), address);
            }
            ChildEvent::Report(Report::Role {
                status: Status::Normal,
                ..
            }) => replica.has_taken_part = true,
            ChildEvent::Report(Report::Fatal { ref reason }) => {
                replica.fatal = Some(reason.clone())
            }
            ChildEvent::Garbage(ref line) => {
                replica.fatal = Some(format!("it wrote what is no report: {line}"));
            }
            ChildEvent::Report(_) | ChildEvent::Exited(_) => {}
        }
        match event {
            ChildEvent::Exited(how) => self.handle_exit(id, how)?,
            ChildEvent::Report(Report::Disk {
                last_sync,
                has_refused,
            }) => {
                self.machine(id).read(last_sync, has_refused);
                let reading = self.machine(id).reading.clone();
                let replica = id;
                self.observe(Observation::Disk { replica, reading });
            }
            ChildEvent::Report(Report::Crashed { .. }) => {
                // Its word that it ends now; where, it was told.
                if let Some(point) = self.machine(id).fuse.take() {
                    self.machine(id).loses_power |= point.power;
                    let replica = id;
                    self.observe(Observation::Crashed { replica, point });
                }
            }
            ChildEvent::Report(report) => {
                self.ready
                    .extend(observation(id, report).map(Occurrence::Observed));
            }
            ChildEvent::Garbage(_) => {}
        }
        Ok(())
    }

    /// One that ends with a reason of its own has met a fault of this machine: nothing that the nemesis did.
    fn handle_exit(&mut self, id: ReplicaId, how: String) -> Result<(), WorldError> {
        let replica = self.replicas.entry(id).or_default();
        replica.child = None;
        let was_up = std::mem::take(&mut replica.is_up);
        if replica.machine.loses_power {
            self.lose_power(id)?;
        }
        let replica = self.replicas.entry(id).or_default();
        match replica.fatal.take() {
            // An assertion of the replica's own: a finding about it, and none about this machine.
            Some(reason) if how == PANICKED => {
                self.observe(Observation::Exited {
                    replica: id,
                    how: format!("{how}: {reason}"),
                });
                return Ok(());
            }
            // The nemesis had the disk refuse it: it does right to stop.
            Some(reason) if is_refused(&replica.machine) => {
                self.observe(Observation::Exited {
                    replica: id,
                    how: format!("{how}: {reason}"),
                });
                return Ok(());
            }
            Some(reason) if was_up => {
                return Err(WorldError::Fatal {
                    replica: id,
                    reason,
                });
            }
            Some(reason) => {
                return Err(WorldError::Start {
                    replica: id,
                    reason,
                });
            }
            None if !was_up && how.starts_with("exit") => {
                let reason = format!(
                    "{how} before it was up; see {}",
                    self.setup.log(id).display()
                );
                return Err(WorldError::Start {
                    replica: id,
                    reason,
                });
            }
            None => {}
        }
        self.observe(Observation::Exited { replica: id, how });
        Ok(())
    }

    fn handle_client(&mut self, event: ClientEvent) -> Result<(), WorldError> {
        self.ready.push_back(match event {
            ClientEvent::Completed {
                client,
                time_nanos,
                completion,
            } => Occurrence::Completed {
                client,
                time: Timestamp(time_nanos),
                completion,
            },
            ClientEvent::ProbeArrived {
                endpoint,
                id,
                from,
                sent,
                received,
            } => {
                let to = NodeId::Client(endpoint);
                Occurrence::Observed(probe_arrived(
                    id,
                    NodeId::Replica(from),
                    to,
                    (sent, received),
                ))
            }
            ClientEvent::TapSet { endpoint } => Occurrence::Observed(Observation::TapSet {
                node: NodeId::Client(endpoint),
            }),
            ClientEvent::MessageSeen { watch } => {
                Occurrence::Observed(Observation::MessageSeen { watch })
            }
            ClientEvent::Reconfigured { request, outcome } => {
                Occurrence::Observed(Observation::Reconfigured { request, outcome })
            }
            ClientEvent::Failed { reason } => return Err(harness("clients' host", &reason)),
        });
        Ok(())
    }

    fn child(&self, id: ReplicaId) -> Option<&Child> {
        self.replicas.get(&id)?.child.as_ref()
    }
}

impl World for ProcessWorld {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().as_nanos())
    }

    fn enact(&mut self, action: &Action) -> Result<(), WorldError> {
        match action {
            Action::SetLink { link, rule } => self.relay.set_link(*link, rule.clone()),
            Action::SetTap { node, rules } => self.set_tap(*node, rules)?,
            Action::Kill(replica) => self.signal(*replica, "kill", Child::kill)?,
            Action::Start(replica) => self.start_replica(*replica)?,
            Action::Pause(replica) => self.signal(*replica, "pause", Child::pause)?,
            Action::Resume(replica) => self.signal(*replica, "resume", Child::resume)?,
            Action::Inspect(replica) => {
                let state = self
                    .child(*replica)
                    .map_or(Ok(ProcessState::Gone), Child::state);
                let state = state.map_err(|error| signal_error(*replica, "inspect", &error))?;
                self.observe(Observation::State {
                    replica: *replica,
                    state,
                });
            }
            Action::Probe { id, link } => self.probe(*id, *link),
            Action::ReadCounters(link) => {
                let counters = self.relay.counters(*link);
                self.observe(Observation::Counters {
                    link: *link,
                    counters,
                });
            }
            Action::Watch { node, watches } => self.watch(*node, watches)?,
            Action::SetFuse { replica, fuse } => self.set_fuse(*replica, *fuse),
            Action::BendClock { replica, bend } => self.bend_clock(*replica, *bend),
            Action::ReadClock(replica) => self.tell(*replica, &Command::ReadClock),
            Action::PowerLoss(replica) => self.power_loss(*replica)?,
            Action::SetDisk { replica, rule } => {
                self.machine(*replica).disk = *rule;
                let faults = disk_faults(*rule);
                self.tell(*replica, &Command::SetDisk { faults });
            }
            Action::ReadDisk(replica) => self.read_disk(*replica),
            Action::Wipe(_) | Action::FlipBit { .. } => {
                return Err(WorldError::Beyond {
                    action: Box::new(action.clone()),
                });
            }
            Action::Reconfigure { request, members } => {
                self.clients.reconfigure(*request, members.clone());
            }
            Action::Record(_) => {}
        }
        Ok(())
    }

    fn invoke(&mut self, client: ClientId, operation: Bytes) {
        self.clients.invoke(client, operation);
    }

    fn retire(&mut self, client: ClientId) {
        self.clients.retire(client);
    }

    fn next(&mut self, until: Timestamp) -> Result<Option<Occurrence>, WorldError> {
        loop {
            if let Some(occurrence) = self.ready.pop_front() {
                return Ok(Some(occurrence));
            }
            if let Some(reason) = self.relay.failure() {
                return Err(harness("relay", &reason));
            }
            let patience = until.saturating_since(self.now());
            match self.events.recv_timeout(patience) {
                Ok(event) => self.handle(event)?,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("the world holds a sender itself")
                }
            }
        }
    }

    fn stop(&mut self) -> Result<WorldFacts, WorldError> {
        for (id, replica) in &mut self.replicas {
            if let Some(child) = &mut replica.child {
                child
                    .resume()
                    .map_err(|error| signal_error(*id, "resume", &error))?;
                // One that does not read any more has ended; its exit is on its way.
                drop(child.command(&Command::Stop));
            }
        }
        let deadline = self.now() + STOP_WITHIN;
        while self
            .replicas
            .values()
            .any(|replica| replica.child.is_some())
        {
            if self.next(deadline)?.is_none() && self.now() >= deadline {
                let late = self
                    .replicas
                    .iter()
                    .filter(|(_, replica)| replica.child.is_some());
                let late: Vec<_> = late.map(|(id, _)| id.to_string()).collect();
                let reason = format!("{} did not end within {STOP_WITHIN:?}", late.join(", "));
                return Err(harness("orderly stop", &reason));
            }
        }
        Ok(WorldFacts::default())
    }
}

impl ProcessWorld {
    fn observe(&mut self, observation: Observation) {
        self.ready.push_back(Occurrence::Observed(observation));
    }

    /// Signals a replica's process; one that has ended needs none.
    fn signal(
        &self,
        id: ReplicaId,
        what: &'static str,
        signal: impl Fn(&Child) -> io::Result<()>,
    ) -> Result<(), WorldError> {
        let Some(child) = self.child(id) else {
            return Ok(());
        };
        signal(child).map_err(|error| signal_error(id, what, &error))
    }

    fn set_tap(&mut self, node: NodeId, rules: &[TapRule]) -> Result<(), WorldError> {
        let json = serde_json::to_value(rules).map_err(|error| harness("tap rules", &error))?;
        match node {
            NodeId::Client(endpoint) => self.clients.set_tap(endpoint, &json),
            NodeId::Replica(id) => {
                self.machine(id).rules = rules.to_vec();
                self.tell(id, &Command::SetTap { rules: json });
            }
        }
        Ok(())
    }

    fn watch(&mut self, node: NodeId, watches: &[TapWatch]) -> Result<(), WorldError> {
        let json = serde_json::to_value(watches).map_err(|error| harness("watches", &error))?;
        match node {
            NodeId::Client(endpoint) => self.clients.set_watches(endpoint, &json),
            NodeId::Replica(id) => {
                self.machine(id).watches = watches.to_vec();
                self.tell(id, &Command::SetWatches { watches: json });
            }
        }
        Ok(())
    }

    fn set_fuse(&mut self, id: ReplicaId, fuse: Option<CrashPoint>) {
        self.machine(id).fuse = fuse;
        let spec = fuse.map(|point| FuseSpec {
            nth: point.effect,
            step: point.fuse_step(),
        });
        self.tell(id, &Command::SetFuse { fuse: spec });
    }

    fn power_loss(&mut self, id: ReplicaId) -> Result<(), WorldError> {
        if self.child(id).is_none() {
            return self.lose_power(id);
        }
        self.machine(id).loses_power = true;
        self.signal(id, "kill", Child::kill)
    }

    /// The machine of a replica whose process is gone loses its power.
    fn lose_power(&mut self, id: ReplicaId) -> Result<(), WorldError> {
        let (directory, seed) = (self.setup.storage(id), self.setup.power_seed(id));
        let now = self.now();
        let lost = self.machine(id).lose_power(&directory, seed, now);
        lost.map_err(|source| WorldError::File {
            path: directory,
            source,
        })
    }

    /// A process that runs is asked; of one that is gone the last is known.
    fn read_disk(&mut self, replica: ReplicaId) {
        if self.child(replica).is_some() {
            self.tell(replica, &Command::ReadDisk);
        } else {
            let reading = self.machine(replica).reading.clone();
            self.observe(Observation::Disk { replica, reading });
        }
    }

    fn bend_clock(&mut self, id: ReplicaId, bend: ClockBend) {
        let now = self.now().as_nanos();
        let machine = self.machine(id);
        machine.bend(now, bend);
        let clock = machine.clock.bent();
        self.tell(id, &Command::SetClock { clock });
    }

    fn machine(&mut self, id: ReplicaId) -> &mut Machine {
        &mut self.replicas.entry(id).or_default().machine
    }

    /// Tells a replica's process something, if it runs. One that has ended does not read it.
    fn tell(&mut self, id: ReplicaId, command: &Command) {
        let replica = self.replicas.get_mut(&id);
        if let Some(child) = replica.and_then(|replica| replica.child.as_mut()) {
            drop(child.command(command));
        }
    }

    fn probe(&mut self, id: ProbeId, link: Link) {
        match (link.from, link.to) {
            (NodeId::Replica(from), to) => {
                self.tell(from, &Command::Probe { id: id.0, to });
            }
            (NodeId::Client(endpoint), NodeId::Replica(to)) => {
                self.clients.probe(endpoint, id.0, to)
            }
            (NodeId::Client(_), NodeId::Client(_)) => {
                unreachable!("client endpoints have no links with one another")
            }
        }
    }
}

/// What a report tells the nemesis.
fn observation(id: ReplicaId, report: Report) -> Option<Observation> {
    let node = NodeId::Replica(id);
    Some(match report {
        Report::Hello { incarnation, .. } => Observation::Started {
            replica: id,
            incarnation,
        },
        Report::Role {
            status,
            view,
            primary,
        } => Observation::Role {
            replica: id,
            status,
            view,
            primary,
        },
        Report::ProbeArrived {
            id,
            from,
            sent,
            received,
        } => probe_arrived(id, from, node, (sent, received)),
        Report::TapSet => Observation::TapSet { node },
        Report::MessageSeen { watch } => Observation::MessageSeen { watch },
        Report::Clock { told, at } => Observation::Clock {
            replica: id,
            told: Timestamp(told),
            at: Timestamp(at),
        },
        Report::Crashed { .. } | Report::Disk { .. } | Report::Stopped | Report::Fatal { .. } => {
            return None;
        }
    })
}

fn probe_arrived(id: u64, from: NodeId, to: NodeId, (sent, received): (u64, u64)) -> Observation {
    Observation::ProbeArrived {
        id: ProbeId(id),
        link: Link { from, to },
        sent: Timestamp(sent),
        received: Timestamp(received),
    }
}

fn signal_error(replica: ReplicaId, what: &str, error: &io::Error) -> WorldError {
    harness(
        "processes",
        &format!("{replica} could not be told to {what}: {error}"),
    )
}

fn harness(part: &'static str, reason: &impl ToString) -> WorldError {
    WorldError::Harness {
        part,
        reason: reason.to_string(),
    }
}

/// Whether the machine's disk refuses what is asked of it.
const fn is_refused(machine: &Machine) -> bool {
    machine.disk.syncs_fail || machine.disk.writes_fail.is_some()
}
