//! A cluster in memory: replicas, their disks, clients and a network whose every message is in the test's hands.
//!
//! Each step of each replica is judged by the theorems in [`Oracle`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::vr::{
    CheckpointRecord, DIVERGED, DurabilityMode, OpNumber, Reads, VrCheckpoints, VrClient,
    VrClientTimeouts, VrConfig, VrMessage, VrOptions, VrRecord, VrReplica, VrTimeouts,
};
use viewstorm_protocol::{
    Address, Client, ClientEffects, ClientId, Completion, Digest, Effect, Effects, EpochNumber,
    Event, Instant, Message, Observe, Outbox, Protocol, ProtocolEvent, Quorum, Record, RecordId,
    Recovered, ReplicaId, Service, State, Status, ViewNumber, Zone,
};

/// Every operation replaces the register's value and answers with the one before, so that every result tells
/// the whole order. Every value is kept, so that the state grows to many pages.
#[derive(Debug)]
pub(crate) struct SwapRegister;

impl Service for SwapRegister {
    fn execute(&self, state: &mut State, operation: &[u8]) -> Bytes {
        let key = Bytes::from_static(b"register");
        let before = state.get(&key).cloned().unwrap_or_default();
        if !self.is_read(operation) {
            state.put(key, Bytes::copy_from_slice(operation));
            state.put(
                Bytes::copy_from_slice(operation),
                Bytes::from_static(&[0; 48]),
            );
        }
        before
    }

    fn is_read(&self, operation: &[u8]) -> bool {
        operation == READ
    }
}

/// The operation that answers with the value and replaces nothing.
pub(crate) const READ: &[u8] = b"?";

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) message: VrMessage,
}

impl Flight {
    pub(crate) fn is(&self, kind: &str, from: usize, to: usize) -> bool {
        self.message.kind() == kind && self.from == replica(from) && self.to == replica(to)
    }

    pub(crate) fn message_is(&self, kind: &str) -> bool {
        self.message.kind() == kind
    }

    /// Whether it goes between the two replicas, either way.
    pub(crate) fn is_on_link(&self, one: usize, other: usize) -> bool {
        self.touches(one) && self.touches(other)
    }

    pub(crate) fn is_between_replicas(&self) -> bool {
        matches!(
            (self.from, self.to),
            (Address::Replica(_), Address::Replica(_))
        )
    }

    /// Whether it goes to or comes from the replica.
    pub(crate) fn touches(&self, index: usize) -> bool {
        self.from == replica(index) || self.to == replica(index)
    }
}

pub(crate) fn replica(index: usize) -> Address {
    Address::Replica(ReplicaId(index as u16))
}

pub(crate) enum Verdict {
    Pass,
    Drop,
    Hold,
}

/// What survives a crash, and what does not.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    superblock: Option<VrRecord>,
    pub(crate) log: Vec<VrRecord>,
    pub(crate) checkpoint: Vec<VrRecord>,
    unsynced: VecDeque<(RecordId, VrRecord)>,
    /// The checksums of the durable log.
    checksums: Vec<u64>,
    /// The durable checkpoint's number.
    sealed: u64,
    /// How many of the records that nobody needs are still there, of the log and of checkpoints.
    leftover: [usize; 2],
}

impl Disk {
    fn sync_one(&mut self) -> Option<RecordId> {
        let (id, record) = self.unsynced.pop_front()?;
        match record.zone() {
            Zone::Superblock => self.superblock = Some(record),
            Zone::Log => {
                if let VrRecord::Log(log) = &record {
                    self.checksums.resize(log.after.0 as usize, 0);
                    let new = log.entries.iter().map(|entry| entry.checksum);
                    self.checksums.extend(new);
                }
                self.log.push(record);
            }
            Zone::Checkpoint => {
                if let VrRecord::Checkpoint(CheckpointRecord::Sealed(checkpoint)) = &record {
                    self.sealed = checkpoint.op.0;
                }
                self.checkpoint.push(record);
            }
        }
        Some(id)
    }

    /// How many records are not durable.
    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Frees all but a few of the records that are not needed any more.
    fn reclaim(&mut self, zone: Zone, records: u64) {
        let (place, stored) = match zone {
            Zone::Log => (0, &mut self.log),
            Zone::Checkpoint => (1, &mut self.checkpoint),
            Zone::Superblock => panic!("it is replaced"),
        };
        let unneeded = self.leftover[place] + records as usize;
        assert!(
            unneeded <= stored.len(),
            "only what is durable is reclaimed"
        );
        self.leftover[place] = unneeded % 4;
        stored.drain(..unneeded - unneeded % 4);
    }

    /// Whether the entry at `op`, which has that checksum, is on it or in its checkpoint.
    fn holds(&self, op: u64, checksum: u64) -> bool {
        op <= self.sealed || self.checksums.get(op as usize - 1) == Some(&checksum)
    }
}

pub(crate) struct Node {
    pub(crate) core: Option<VrReplica<SwapRegister>>,
    effects: Effects<VrMessage, VrRecord>,
    outbox: Outbox<VrMessage>,
    pub(crate) disk: Disk,
    /// Whether the disk syncs by itself in [`Cluster::round`].
    pub(crate) syncs: bool,
    incarnation: u64,
    /// It was in normal status once: an empty disk is a lost one.
    has_taken_part: bool,
    /// How far its clock's rate is from true time, in millionths.
    pub(crate) drift_ppm: i64,
}

impl Node {
    /// What its clock shows.
    fn local(&self, now: Instant) -> Instant {
        let nanos = i128::from(now.as_nanos()) * i128::from(1_000_000 + self.drift_ppm) / 1_000_000;
        Instant::from_nanos(nanos as u64)
    }

    /// When its clock shows `local`.
    fn global(&self, local: Instant) -> Instant {
        let rate = i128::from(1_000_000 + self.drift_ppm);
        let nanos = (i128::from(local.as_nanos()) * 1_000_000 + rate - 1) / rate;
        Instant::from_nanos(nanos as u64)
    }
}

pub(crate) struct Session {
    pub(crate) core: VrClient,
    pub(crate) id: ClientId,
    /// What it asked for, by request number from 1.
    pub(crate) operations: Vec<Bytes>,
    pub(crate) completions: Vec<Completion>,
    /// What came of its reconfigurations.
    pub(crate) reconfigured: Vec<Result<EpochNumber, String>>,
    /// The largest `order` that anybody had been told when it asked, by request.
    told_before: Vec<u64>,
}

impl Session {
    pub(crate) fn is_idle(&self) -> bool {
        self.operations.len() == self.completions.len()
    }
}

/// What all replicas of all times must agree on.
#[derive(Default)]
pub(crate) struct Oracle {
    executed: BTreeMap<u64, (u64, ClientId, u64, u64)>,
    committed: BTreeMap<u64, u64>,
    primaries: BTreeMap<ViewNumber, (usize, u64)>,
    checkpoints: BTreeMap<u64, Digest>,
}

type Filter = Box<dyn Fn(&Flight) -> Verdict>;

pub(crate) struct Cluster {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) network: Vec<Flight>,
    pub(crate) held: Vec<Flight>,
    pub(crate) filter: Filter,
    /// How many messages of each kind were sent.
    pub(crate) sent: BTreeMap<&'static str, usize>,
    pub(crate) notes: Vec<(usize, ProtocolEvent)>,
    pub(crate) oracle: Oracle,
    seed: u64,
    pub(crate) durability: DurabilityMode,
    /// How many records were handed to disks.
    pub(crate) records: usize,
    /// How many of the nodes, the first ones, are members of the first epoch's group.
    members: usize,
    /// Of the replicas that start from now on.
    pub(crate) checkpoints: VrCheckpoints,
    options: VrOptions,
    /// The largest `order` that anybody was told.
    told: u64,
    /// The oracle looks away: messages lie.
    pub(crate) unjudged: bool,
    /// Prints everything.
    trace: bool,
}

impl Cluster {
    /// A cluster of `members` fresh replicas and `clients` sessions. Nothing has happened yet.
    pub(crate) fn unstarted(members: usize, clients: usize, seed: u64) -> Self {
        Self::unstarted_with(members, clients, seed, VrOptions::default())
    }

    /// The same, of replicas that chose these options.
    pub(crate) fn unstarted_with(
        members: usize,
        clients: usize,
        seed: u64,
        options: VrOptions,
    ) -> Self {
        Self::unstarted_with_spares(members, 0, clients, seed, options)
    }

    /// The same, with replicas that are no members yet.
    pub(crate) fn unstarted_with_spares(
        members: usize,
        spares: usize,
        clients: usize,
        seed: u64,
        options: VrOptions,
    ) -> Self {
        let nodes = members + spares;
        let node = |_| Node {
            core: None,
            effects: Effects::default(),
            outbox: Outbox::default(),
            disk: Disk::default(),
            syncs: true,
            incarnation: 0,
            has_taken_part: false,
            drift_ppm: 0,
        };
        let ids: Vec<_> = (0..nodes as u16).map(ReplicaId).collect();
        let (replicas, spares) = ids.split_at(members);
        let session = |index: usize| {
            let id = ClientId {
                endpoint: index as u16,
                session: index as u64,
            };
            let core = VrClient::new(id, replicas.to_vec(), VrClientTimeouts::default());
            let core = match options.reads {
                Reads::Backup => core.reading_at_backups(|operation| operation == READ),
                Reads::Log | Reads::Lease(_) => core,
            };
            Session {
                core: core.with_spares(spares),
                id,
                operations: Vec::new(),
                completions: Vec::new(),
                reconfigured: Vec::new(),
                told_before: Vec::new(),
            }
        };
        Self {
            now: Instant::ORIGIN,
            nodes: (0..nodes).map(node).collect(),
            sessions: (0..clients).map(session).collect(),
            network: Vec::new(),
            held: Vec::new(),
            filter: Box::new(|_| Verdict::Pass),
            sent: BTreeMap::new(),
            notes: Vec::new(),
            oracle: Oracle::default(),
            seed,
            durability: DurabilityMode::Wal,
            records: 0,
            members,
            checkpoints: VrCheckpoints::default(),
            options,
            told: 0,
            unjudged: false,
            trace: std::env::var_os("VR_TRACE").is_some(),
        }
    }

    /// A cluster that has started in view 0.
    pub(crate) fn new(members: usize, clients: usize) -> Self {
        Self::with(members, 0, clients, DurabilityMode::Wal)
    }

    /// One that keeps that much on its disks.
    pub(crate) fn with_durability(
        members: usize,
        clients: usize,
        durability: DurabilityMode,
    ) -> Self {
        Self::with(members, 0, clients, durability)
    }

    /// One beside which there are replicas that are no members yet.
    pub(crate) fn with_spares(members: usize, spares: usize, clients: usize) -> Self {
        Self::with(members, spares, clients, DurabilityMode::Wal)
    }

    pub(crate) fn with(
        members: usize,
        spares: usize,
        clients: usize,
        durability: DurabilityMode,
    ) -> Self {
        let mut cluster =
            Self::unstarted_with_spares(members, spares, clients, 7, VrOptions::default());
        cluster.durability = durability;
        for index in 0..members + spares {
            cluster.restart(index);
        }
        cluster.round();
        cluster.sent.clear();
        cluster
    }

    /// A cluster of replicas that chose these options, which has started in view 0.
    pub(crate) fn with_options(members: usize, clients: usize, options: VrOptions) -> Self {
        let mut cluster = Self::unstarted_with(members, clients, 7, options);
        for index in 0..members {
            cluster.restart(index);
        }
        cluster.round();
        cluster.sent.clear();
        cluster
    }

    pub(crate) fn core(&self, index: usize) -> &VrReplica<SwapRegister> {
        self.nodes[index].core.as_ref().expect("it is up")
    }

    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.nodes[index].core.is_some()
    }

    /// The replica stops. What was not synced is gone.
    pub(crate) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.core = None;
        node.disk.unsynced.clear();
    }

    /// The replica stops, and up to `lucky` of its unsynced records are durable all the same.
    pub(crate) fn crash_after(&mut self, index: usize, lucky: usize) {
        for _ in 0..lucky {
            self.nodes[index].disk.sync_one();
        }
        self.crash(index);
    }

    /// The replica stops, and its disk is lost.
    pub(crate) fn wipe(&mut self, index: usize) {
        self.crash(index);
        self.nodes[index].disk = Disk::default();
    }

    pub(crate) fn restart(&mut self, index: usize) {
        let (members, nodes) = (self.members as u16, self.nodes.len() as u16);
        let node = &mut self.nodes[index];
        assert!(node.core.is_none(), "it is down");
        node.incarnation += 1;
        node.effects = Effects::default();
        node.outbox = Outbox::default();
        let config = VrConfig {
            durability: self.durability,
            nonce: node.incarnation,
            me: ReplicaId(index as u16),
            replicas: (0..members).map(ReplicaId).collect(),
            spares: (members..nodes).map(ReplicaId).collect(),
            timeouts: VrTimeouts::default(),
            checkpoints: self.checkpoints,
            options: self.options,

            seed: self.seed ^ (index as u64) << 32 ^ node.incarnation,
        };
        node.core = Some(VrReplica::new(config, SwapRegister));
        node.disk.leftover = [0, 0];
        let recovered = Recovered {
            superblock: node.disk.superblock.clone(),
            log: node.disk.log.clone(),
            format: !node.has_taken_part,
            checkpoint: node.disk.checkpoint.clone(),
        };
        self.step(index, Event::Started(recovered));
    }

    /// One record of the replica becomes durable.
    pub(crate) fn sync_one(&mut self, index: usize) -> bool {
        let Some(record) = self.nodes[index].disk.sync_one() else {
            return false;
        };
        if self.is_up(index) {
            let released: Vec<_> = self.nodes[index].outbox.persisted(record).collect();
            for (to, message) in released {
                self.transmit(replica(index), to, message);
            }
            self.step(index, Event::Persisted(record));
        }
        true
    }

    pub(crate) fn sync(&mut self, index: usize) {
        while self.sync_one(index) {}
    }

    pub(crate) fn invoke(&mut self, client: usize, operation: Bytes) {
        let mut effects = ClientEffects::default();
        let session = &mut self.sessions[client];
        session.operations.push(operation.clone());
        session.told_before.push(self.told);
        session.core.invoke(self.now, operation, &mut effects);
        self.carry_out_client(client, effects);
    }

    /// A client makes these replicas the group, as an administrator does.
    pub(crate) fn reconfigure(&mut self, client: usize, members: &[usize]) {
        let mut effects = ClientEffects::default();
        let members = members.iter().map(|index| ReplicaId(*index as u16));
        let core = &mut self.sessions[client].core;
        core.reconfigure(self.now, members.collect(), &mut effects);
        self.carry_out_client(client, effects);
    }

    /// The same, and waits for what comes of it.
    pub(crate) fn reconfigured(
        &mut self,
        client: usize,
        members: &[usize],
    ) -> Result<EpochNumber, String> {
        let before = self.sessions[client].reconfigured.len();
        self.reconfigure(client, members);
        let done = self.run_until(Duration::from_secs(20), |cluster| {
            cluster.sessions[client].reconfigured.len() > before
        });
        assert!(
            done,
            "the reconfiguration to {members:?} comes to something"
        );
        self.sessions[client].reconfigured[before].clone()
    }

    /// Delivers one message.
    pub(crate) fn deliver(&mut self, flight: Flight) {
        match flight.to {
            Address::Replica(id) => {
                let index = usize::from(id.0);
                if self.is_up(index) {
                    let from = flight.from;
                    let message = flight.message;
                    self.step(index, Event::Received { from, message });
                }
            }
            Address::Client(id) => {
                let mut effects = ClientEffects::default();
                let client = usize::from(id.endpoint);
                let Address::Replica(from) = flight.from else {
                    panic!("clients do not speak to one another");
                };
                let core = &mut self.sessions[client].core;
                core.receive(self.now, from, flight.message, &mut effects);
                self.carry_out_client(client, effects);
            }
        }
    }

    /// The earliest timeout of all, and whose it is: replicas first, then clients.
    pub(crate) fn timeouts(&self) -> impl Iterator<Item = (Instant, usize)> + '_ {
        let replicas = self
            .nodes
            .iter()
            .map(|node| Some(node.global(node.core.as_ref()?.next_timeout()?)));
        let clients = self
            .sessions
            .iter()
            .map(|client| client.core.next_timeout());
        replicas
            .chain(clients)
            .enumerate()
            .filter_map(|(who, at)| Some((at?, who)))
    }

    /// Fires the timeout of a replica or, beyond them, a client.
    pub(crate) fn timeout(&mut self, who: usize) {
        if who < self.nodes.len() {
            return self.step(who, Event::Timeout);
        }
        let client = who - self.nodes.len();
        let mut effects = ClientEffects::default();
        self.sessions[client].core.timeout(self.now, &mut effects);
        self.carry_out_client(client, effects);
    }

    /// All disks that sync do, and everything under way arrives, in order. No time passes.
    pub(crate) fn round(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].syncs {
                self.sync(index);
            }
        }
        for flight in std::mem::take(&mut self.network) {
            self.deliver(flight);
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].syncs {
                self.sync(index);
            }
        }
    }

    /// A round a millisecond, and the timeouts that are due.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.tick();
        }
    }

    pub(crate) fn tick(&mut self) {
        self.round();
        self.now = self.now + Duration::from_millis(1);
        let due: Vec<_> = self.timeouts().filter(|(at, _)| *at <= self.now).collect();
        for (_, who) in due {
            self.timeout(who);
        }
    }

    /// Runs until `done`, for at most `limit`.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            self.tick();
        }
        true
    }

    /// A client writes, and is answered.
    pub(crate) fn client_write(&mut self, client: usize, value: &'static str) -> Completion {
        self.invoke(client, Bytes::from_static(value.as_bytes()));
        let done = self.run_until(Duration::from_secs(10), |cluster| {
            cluster.sessions[client].is_idle()
        });
        assert!(done, "the write of {value} completes");
        let completions = &self.sessions[client].completions;
        completions.last().expect("just completed").clone()
    }

    /// Lets everything pass again, and what was held arrive late.
    pub(crate) fn heal(&mut self) {
        self.filter = Box::new(|_| Verdict::Pass);
        self.network.append(&mut self.held);
    }

    pub(crate) fn primary(&self) -> Option<usize> {
        let up = (0..self.nodes.len()).filter(|index| self.is_up(*index));
        up.filter(|index| self.core(*index).is_primary())
            .max_by_key(|index| self.core(*index).view())
    }

    /// Whether all replicas are up, in one view, with one executed log.
    pub(crate) fn has_converged(&self) -> bool {
        let cores = self.nodes.iter().filter_map(|node| node.core.as_ref());
        let Some(latest) = cores.max_by_key(|core| core.view()) else {
            return false;
        };
        let members = &latest.configuration().members;
        let core_of = |id: &ReplicaId| self.nodes[usize::from(id.0)].core.as_ref();
        let Some(first) = core_of(&members[0]) else {
            return false;
        };
        members.iter().all(|id| {
            core_of(id).is_some_and(|core| {
                core.status() == Status::Normal
                    && core.view() == first.view()
                    && core.commit_number() == first.commit_number()
                    && core.op_number() == core.commit_number()
                    && core.state_digest() == first.state_digest()
            })
        })
    }

    pub(crate) fn count(&self, kinds: &[&'static str]) -> usize {
        kinds.iter().filter_map(|kind| self.sent.get(kind)).sum()
    }

    fn step(&mut self, index: usize, event: Event<VrMessage, VrRecord>) {
        if self.trace {
            eprintln!("{} r{index} <- {event:?}", self.now);
        }
        let node = &mut self.nodes[index];
        let now = node.local(self.now);
        let core = node.core.as_mut().expect("it is up");
        let before = (core.view(), core.log_view(), core.commit_number());
        core.step(now, event, &mut node.effects);
        node.has_taken_part |= core.status() == Status::Normal;
        let after = (core.view(), core.log_view(), core.commit_number());
        assert!(
            before.0 <= after.0 && before.1 <= after.1 && before.2 <= after.2,
            "r{index}: view, log_view and commit-number only grow: {before:?} {after:?}"
        );
        assert!(core.commit_number() <= core.op_number() && core.log_view() <= core.view());
        self.committed_prefixes_agree(index, before.2);
        for effect in self.nodes[index].effects.drain().collect::<Vec<_>>() {
            if self.trace {
                eprintln!("    r{index} -> {effect:?}");
            }
            match effect {
                Effect::Persist { id, record } => {
                    self.records += 1;
                    self.nodes[index].disk.unsynced.push_back((id, record));
                }
                Effect::Reclaim { zone, records } => {
                    self.nodes[index].disk.reclaim(zone, records);
                }
                Effect::Send { to, message, after } => {
                    let offered = self.nodes[index].outbox.offer(to, message, after);
                    if let Some((to, message)) = offered {
                        self.transmit(replica(index), to, message);
                    }
                }
                Effect::Note(note) => self.judge(index, note),
            }
        }
        // Its part is over, and so is its process.
        if self.core(index).status() == Status::Retired {
            self.crash(index);
        }
    }

    fn transmit(&mut self, from: Address, to: Address, message: VrMessage) {
        *self.sent.entry(message.kind()).or_default() += 1;
        let flight = Flight { from, to, message };
        match (self.filter)(&flight) {
            Verdict::Pass => self.network.push(flight),
            Verdict::Hold => self.held.push(flight),
            Verdict::Drop => {}
        }
    }

    fn carry_out_client(&mut self, client: usize, effects: ClientEffects<VrMessage>) {
        let from = Address::Client(self.sessions[client].id);
        for (to, message) in effects.sends {
            self.transmit(from, Address::Replica(to), message);
        }
        let session = &mut self.sessions[client];
        session.reconfigured.extend(effects.reconfigured);
        if let Some(completion) = effects.completion {
            self.told = self.told.max(completion.order);
            session.completions.push(completion);
        }
    }

    /// Theorem: whatever two replicas have committed at one op-number is the same, and a majority has it
    /// durable.
    fn committed_prefixes_agree(&mut self, index: usize, before: OpNumber) {
        if self.unjudged {
            return;
        }
        let core = self.core(index);
        let news: Vec<_> = (before.0 + 1..=core.commit_number().0)
            .filter(|op| *op >= core.log_base().0)
            .map(|op| (op, core.log_digest(OpNumber(op)).expect("present")))
            .collect();
        for (op, checksum) in news {
            let first = self.oracle.committed.insert(op, checksum);
            let group = self.core(index).group(op).expect("a group that changes");
            let disks = group.iter().map(|id| &self.nodes[usize::from(id.0)].disk);
            let holders = disks.filter(|disk| disk.holds(op, checksum));
            match first {
                Some(first) => assert_eq!(first, checksum, "r{index}: op {op} is committed twice"),
                None => assert!(
                    !self.durability.keeps_log()
                        || holders.count() >= Quorum::of(group.len()).majority(),
                    "r{index}: op {op} is committed and not durable on a majority"
                ),
            }
        }
    }

    fn judge(&mut self, index: usize, note: ProtocolEvent) {
        if self.unjudged {
            return;
        }
        match &note {
            ProtocolEvent::Executed {
                op,
                order,
                client,
                request,
                digest,
            } => {
                let executed = (*order, *client, *request, *digest);
                let first = self.oracle.executed.entry(*op).or_insert(executed);
                assert_eq!(
                    *first, executed,
                    "r{index}: op {op} was executed differently"
                );
            }
            ProtocolEvent::StatusChanged {
                view,
                primary: true,
                ..
            } => {
                let me = (index, self.nodes[index].incarnation);
                let first = self.oracle.primaries.entry(*view).or_insert(me);
                assert_eq!(*first, me, "{view:?} has one primary, in one incarnation");
            }
            ProtocolEvent::CheckpointTaken { op, digest }
            | ProtocolEvent::CheckpointInstalled { op, digest } => {
                let first = self.oracle.checkpoints.entry(*op).or_insert(*digest);
                assert_eq!(first, digest, "r{index}: another checkpoint at op {op}");
            }
            ProtocolEvent::Dropped { kind, reason } => {
                assert_ne!(reason, DIVERGED, "r{index}: {kind}");
            }
            _ => {}
        }
        self.notes.push((index, note));
    }

    /// Theorem: every acknowledged result is that of the one order in which the operations were executed, and
    /// each was executed once.
    pub(crate) fn acknowledged_results_are_of_one_order(&self) {
        let mut register = Bytes::new();
        let mut results = BTreeMap::new();
        let mut values = BTreeMap::from([(0, Bytes::new())]);
        let executed = self.oracle.executed.values();
        for (expected, (order, client, request, _)) in (1..).zip(executed) {
            assert_eq!(*order, expected, "orders have no gaps");
            let session = &self.sessions[usize::from(client.endpoint)];
            let operation = session.operations[*request as usize - 1].clone();
            let result = match operation == READ {
                true => register.clone(),
                false => std::mem::replace(&mut register, operation),
            };
            values.insert(*order, register.clone());
            let twice = results.insert((*client, *request), (result, *order));
            assert!(twice.is_none(), "{client} {request} was executed twice");
        }
        for session in &self.sessions {
            let mut seen = 0;
            for (request, completion) in (1..).zip(&session.completions) {
                let is_read = session.operations[request as usize - 1] == READ;
                let executed = results.get(&(session.id, request));
                let inside = executed.is_some_and(|(result, order)| {
                    (&completion.result, completion.order) == (result, *order)
                });
                let outside = is_read && values.get(&completion.order) == Some(&completion.result);
                assert!(
                    inside || outside,
                    "{} {request}: {completion:?}",
                    session.id
                );
                // What it was told before, it sees; and all that anybody was told, unless it settles for less.
                assert!(
                    completion.order >= seen,
                    "{} {request} goes back",
                    session.id
                );
                seen = completion.order;
                let told = session.told_before[request as usize - 1];
                let settles = is_read && self.options.reads == Reads::Backup;
                assert!(
                    settles || completion.order >= told,
                    "{} {request}: stale",
                    session.id
                );
            }
        }
    }

    /// Theorem: once the network and the machines behave, every request completes and the replicas converge.
    pub(crate) fn everything_completes(&mut self) {
        self.heal();
        for index in 0..self.nodes.len() {
            self.nodes[index].syncs = true;
            if !self.is_up(index) {
                self.restart(index);
            }
        }
        let done = self.run_until(Duration::from_secs(60), |cluster| {
            cluster.sessions.iter().all(Session::is_idle) && cluster.has_converged()
        });
        if !done {
            for (index, node) in self.nodes.iter().enumerate() {
                let core = node.core.as_ref().expect("restarted");
                eprintln!(
                    "r{index}: {:?} view {} log_view {} op {} commit {}",
                    core.status(),
                    core.view(),
                    core.log_view(),
                    core.op_number(),
                    core.commit_number()
                );
            }
            for (who, note) in self.notes.iter().rev().take(60).rev() {
                eprintln!("r{who}: {note:?}");
            }
            panic!("requests hang, or the replicas do not converge");
        }
        self.acknowledged_results_are_of_one_order();
    }
}
