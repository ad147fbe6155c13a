//! A cluster in memory: replicas, their disks, clients and a network whose every message is in the test's hands.
//!
//! Each step of each replica is judged by the theorems in [`Oracle`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::pbft::{
    Authentication, AuthenticationMode, Authenticator, DIVERGED, KeyedHash, PbftClient,
    PbftClientTimeouts, PbftConfig, PbftMessage, PbftRecord, PbftReplica, Request, SequenceNumber,
    Signature, Signed, Statement, Tag,
};
use viewstorm_protocol::{
    Address, Client, ClientEffects, ClientId, Completion, Digest, Effect, Effects, Event, Instant,
    Message, NodeId, Observe, Outbox, Protocol, ProtocolEvent, Record, RecordId, Recovered,
    ReplicaId, Service, State, Status, ViewNumber, Zone,
};

pub(crate) const CLUSTER: Digest = Digest::from_bytes([3; 32]);

/// Every operation replaces the register's value and answers with the one before, so that every result tells
/// the whole order. Each value also stays under a key of its own, so that the state grows.
#[derive(Debug)]
pub(crate) struct SwapRegister;

impl Service for SwapRegister {
    fn execute(&self, state: &mut State, operation: &[u8]) -> Bytes {
        let key = Bytes::from_static(b"register");
        let before = state.get(&key).cloned().unwrap_or_default();
        let operation = Bytes::copy_from_slice(operation);
        state.put(key, operation.clone());
        state.put(operation, Bytes::from_static(&[0; 100]));
        before
    }
}

/// How often a node's keys were used.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) signed: AtomicUsize,
    pub(crate) verified: AtomicUsize,
}

/// Counts.
#[derive(Debug)]
struct Counting {
    keys: KeyedHash,
    uses: Arc<Uses>,
}

impl Authenticator for Counting {
    fn me(&self) -> NodeId {
        self.keys.me()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.uses.signed.fetch_add(1, Ordering::Relaxed);
        self.keys.sign(message)
    }

    fn verify(&self, statements: &[Statement<'_>]) -> bool {
        self.uses
            .verified
            .fetch_add(statements.len(), Ordering::Relaxed);
        self.keys.verify(statements)
    }

    fn tag(&self, to: NodeId, message: &[u8]) -> Option<Tag> {
        self.keys.tag(to, message)
    }

    fn verify_tag(&self, from: NodeId, message: &[u8], tag: &Tag) -> bool {
        self.keys.verify_tag(from, message, tag)
    }
}

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) message: PbftMessage,
}

impl Flight {
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
    superblock: Option<PbftRecord>,
    log: Vec<PbftRecord>,
    unsynced: VecDeque<(RecordId, PbftRecord)>,
}

impl Disk {
    fn sync_one(&mut self) -> Option<RecordId> {
        let (id, record) = self.unsynced.pop_front()?;
        match record.zone() {
            Zone::Superblock => self.superblock = Some(record),
            _ => self.log.push(record),
        }
        Some(id)
    }
}

pub(crate) struct Node {
    pub(crate) core: Option<PbftReplica<SwapRegister>>,
    effects: Effects<PbftMessage, PbftRecord>,
    outbox: Outbox<PbftMessage>,
    pub(crate) disk: Disk,
    /// Whether the disk syncs by itself in [`Cluster::round`].
    pub(crate) syncs: bool,
    incarnation: u64,
    pub(crate) uses: Arc<Uses>,
    /// What the core said since it was last judged.
    before: (ViewNumber, SequenceNumber),
}

pub(crate) struct Session {
    pub(crate) core: PbftClient,
    pub(crate) id: ClientId,
    /// What it asked for, by timestamp from 1.
    pub(crate) operations: Vec<Bytes>,
    pub(crate) completions: Vec<Completion>,
    pub(crate) uses: Arc<Uses>,
}

impl Session {
    pub(crate) fn is_idle(&self) -> bool {
        self.operations.len() == self.completions.len()
    }
}

/// What all correct replicas of all times must agree on.
#[derive(Default)]
pub(crate) struct Oracle {
    /// By order: place, client, timestamp, digest.
    executed: BTreeMap<u64, (u64, ClientId, u64, u64)>,
    /// By place: the batch's digest.
    committed: BTreeMap<u64, u64>,
}

type Filter = Box<dyn FnMut(&Flight) -> Verdict>;

/// What kind of cluster.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) members: usize,
    pub(crate) clients: usize,
    pub(crate) seed: u64,
    pub(crate) mode: AuthenticationMode,
    pub(crate) interval: u64,
    pub(crate) tentative: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            members: 4,
            clients: 1,
            seed: 7,
            mode: AuthenticationMode::Signatures,
            interval: 64,
            tentative: true,
        }
    }
}

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
    pub(crate) options: Options,
    /// Replicas that lie, or were made to: nothing is claimed of them.
    pub(crate) faulty: Vec<usize>,
    /// Prints everything.
    trace: bool,
}

impl Cluster {
    /// A cluster of fresh replicas. Nothing has happened yet.
    pub(crate) fn unstarted(options: Options) -> Self {
        let node = |_| Node {
            core: None,
            effects: Effects::default(),
            outbox: Outbox::default(),
            disk: Disk::default(),
            syncs: true,
            incarnation: 0,
            uses: Arc::default(),
            before: Default::default(),
        };
        let mut cluster = Self {
            now: Instant::ORIGIN,
            nodes: (0..options.members).map(node).collect(),
            sessions: Vec::new(),
            network: Vec::new(),
            held: Vec::new(),
            filter: Box::new(|_| Verdict::Pass),
            sent: BTreeMap::new(),
            notes: Vec::new(),
            oracle: Oracle::default(),
            faulty: Vec::new(),
            trace: std::env::var_os("PBFT_TRACE").is_some(),
            options,
        };
        for index in 0..cluster.options.clients {
            let id = ClientId {
                endpoint: index as u16,
                session: index as u64,
            };
            let uses: Arc<Uses> = Arc::default();
            let keys = cluster.counted_keys(NodeId::Client(id.endpoint), &uses);
            cluster.sessions.push(Session {
                core: PbftClient::new(id, keys, PbftClientTimeouts::default()),
                id,
                operations: Vec::new(),
                completions: Vec::new(),
                uses,
            });
        }
        cluster
    }

    /// A cluster that has started in view 0.
    pub(crate) fn with(options: Options) -> Self {
        let mut cluster = Self::unstarted(options);
        for index in 0..cluster.nodes.len() {
            cluster.restart(index);
        }
        cluster.round();
        cluster.sent.clear();
        cluster
    }

    pub(crate) fn new(members: usize, clients: usize) -> Self {
        Self::with(Options {
            members,
            clients,
            ..Options::default()
        })
    }

    fn counted_keys(&self, node: NodeId, uses: &Arc<Uses>) -> Authentication {
        let keys = Counting {
            keys: KeyedHash::new(self.options.seed, node),
            uses: Arc::clone(uses),
        };
        self.authentication(Arc::new(keys))
    }

    fn authentication(&self, keys: Arc<dyn Authenticator>) -> Authentication {
        let replicas = (0..self.options.members as u16).map(ReplicaId).collect();
        Authentication::new(CLUSTER, keys, replicas, self.options.mode)
    }

    /// The keys of a node: for tests that lie.
    pub(crate) fn keys(&self, node: NodeId) -> Authentication {
        self.authentication(KeyedHash::keys(self.options.seed, node))
    }

    /// A request of the session's.
    pub(crate) fn request(
        &self,
        client: usize,
        timestamp: u64,
        operation: &str,
    ) -> Signed<Request> {
        let id = self.sessions[client].id;
        let request = Request {
            client: id,
            timestamp,
            operation: Bytes::copy_from_slice(operation.as_bytes()),
        };
        self.keys(NodeId::Client(id.endpoint))
            .sign(request)
            .into_signed()
    }

    pub(crate) fn core(&self, index: usize) -> &PbftReplica<SwapRegister> {
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

    pub(crate) fn restart(&mut self, index: usize) {
        let members = self.nodes.len() as u16;
        let uses = Arc::clone(&self.nodes[index].uses);
        let keys = self.counted_keys(NodeId::replica(index as u16), &uses);
        let node = &mut self.nodes[index];
        assert!(node.core.is_none(), "it is down");
        node.incarnation += 1;
        node.effects = Effects::default();
        node.outbox = Outbox::default();
        node.before = Default::default();
        let replicas = (0..members).map(ReplicaId).collect();
        let config = PbftConfig {
            checkpoint_interval: self.options.interval,
            tentative_execution: self.options.tentative,
            seed: self.options.seed ^ (index as u64) << 32 ^ node.incarnation,
            ..PbftConfig::new(ReplicaId(index as u16), replicas)
        };
        node.core = Some(PbftReplica::new(config, keys, SwapRegister));
        let recovered = Recovered {
            superblock: node.disk.superblock.clone(),
            log: node.disk.log.clone(),
            checkpoint: Vec::new(),
            format: true,
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
        session.core.invoke(self.now, operation, &mut effects);
        self.carry_out_client(client, effects);
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

    /// A message arrives that nobody sent through the network.
    pub(crate) fn inject(&mut self, from: usize, to: usize, message: PbftMessage) {
        self.deliver(Flight {
            from: replica(from),
            to: replica(to),
            message,
        });
    }

    /// All timeouts, and whose they are: replicas first, then clients.
    pub(crate) fn timeouts(&self) -> impl Iterator<Item = (Instant, usize)> + '_ {
        let replicas = self
            .nodes
            .iter()
            .map(|node| node.core.as_ref()?.next_timeout());
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

    /// Rounds until nothing is under way. No time passes.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100 {
            self.round();
            if self.network.is_empty() {
                return;
            }
        }
        panic!("messages beget messages for ever");
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
    pub(crate) fn client_write(&mut self, client: usize, value: &str) -> Completion {
        self.invoke(client, Bytes::copy_from_slice(value.as_bytes()));
        let done = self.run_until(Duration::from_secs(20), |cluster| {
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

    /// Cuts a replica off from everybody.
    pub(crate) fn isolate(&mut self, index: usize) {
        self.filter = Box::new(move |flight| match flight.touches(index) {
            true => Verdict::Drop,
            false => Verdict::Pass,
        });
    }

    /// Whether all replicas are up and have executed the same.
    pub(crate) fn has_converged(&self) -> bool {
        let first = match &self.nodes[0].core {
            Some(core) => core,
            None => return false,
        };
        self.nodes.iter().all(|node| {
            node.core.as_ref().is_some_and(|core| {
                core.executed() == first.executed()
                    && core.tentative().is_none()
                    && core.state_digest() == first.state_digest()
            })
        })
    }

    pub(crate) fn count(&self, kinds: &[&'static str]) -> usize {
        kinds.iter().filter_map(|kind| self.sent.get(kind)).sum()
    }

    /// How often a message was dropped for this reason.
    pub(crate) fn drops(&self, reason: &str) -> usize {
        let is_it = |note: &ProtocolEvent| matches!(note, ProtocolEvent::Dropped { reason: r, .. } if r == reason);
        self.notes.iter().filter(|(_, note)| is_it(note)).count()
    }

    pub(crate) fn view_and_status(&self, index: usize) -> (u64, Status) {
        let core = self.core(index);
        (core.view().number, core.status())
    }

    fn step(&mut self, index: usize, event: Event<PbftMessage, PbftRecord>) {
        if self.trace {
            eprintln!("{} r{index} <- {event:?}", self.now);
        }
        let node = &mut self.nodes[index];
        let core = node.core.as_mut().expect("it is up");
        core.step(self.now, event, &mut node.effects);
        let effects: Vec<_> = node.effects.drain().collect();
        for effect in effects {
            let node = &mut self.nodes[index];
            match effect {
                Effect::Persist { id, record } => node.disk.unsynced.push_back((id, record)),
                Effect::Send { to, message, after } => {
                    if let Some((to, message)) = node.outbox.offer(to, message, after) {
                        self.transmit(replica(index), to, message);
                    }
                }
                Effect::Note(note) => self.judge(index, note),
                Effect::Reclaim { .. } => {}
            }
        }
        self.judge_core(index);
    }

    fn transmit(&mut self, from: Address, to: Address, message: PbftMessage) {
        *self.sent.entry(message.kind()).or_insert(0) += 1;
        let flight = Flight { from, to, message };
        if self.trace {
            eprintln!("{} {flight:?}", self.now);
        }
        match (self.filter)(&flight) {
            Verdict::Pass => self.network.push(flight),
            Verdict::Drop => {}
            Verdict::Hold => self.held.push(flight),
        }
    }

    fn carry_out_client(&mut self, client: usize, effects: ClientEffects<PbftMessage>) {
        let id = self.sessions[client].id;
        if let Some(completion) = effects.completion {
            self.sessions[client].completions.push(completion);
        }
        for (to, message) in effects.sends {
            self.transmit(Address::Client(id), Address::Replica(to), message);
        }
    }

    /// Theorems: views and executed places never go back in one incarnation; whatever two correct replicas commit in
    /// one place is the same; nothing grows beyond its bounds.
    fn judge_core(&mut self, index: usize) {
        let core = self.nodes[index].core.as_ref().expect("it is up");
        let (view, executed) = (core.view(), core.executed());
        let (view_before, executed_before) = self.nodes[index].before;
        assert!(
            view >= view_before,
            "r{index}: from {view_before} to {view}"
        );
        assert!(
            executed >= executed_before,
            "r{index} executes {executed_before} again"
        );
        assert!(core.low_water_mark() <= executed);
        assert!(core.places() as u64 <= core.high_water_mark().0 - core.low_water_mark().0);
        self.nodes[index].before = (view, executed);
        if self.faulty.contains(&index) {
            return;
        }
        let core = self.nodes[index].core.as_ref().expect("it is up");
        for op in executed_before.0 + 1..=executed.0 {
            let Some(digest) = core.entry_digest(op) else {
                continue; // A checkpoint took its place.
            };
            let first = *self.oracle.committed.entry(op).or_insert(digest);
            assert_eq!(first, digest, "r{index}: place {op} is committed twice");
        }
    }

    fn judge(&mut self, index: usize, note: ProtocolEvent) {
        if !self.faulty.contains(&index) {
            match &note {
                ProtocolEvent::Executed {
                    op,
                    order,
                    client,
                    request,
                    digest,
                } => {
                    let executed = (*op, *client, *request, *digest);
                    let first = self.oracle.executed.entry(*order).or_insert(executed);
                    assert_eq!(
                        *first, executed,
                        "r{index}: {order} was executed differently"
                    );
                }
                ProtocolEvent::Dropped { kind, reason } => {
                    assert_ne!(reason, DIVERGED, "r{index}: {kind}");
                }
                _ => {}
            }
        }
        self.notes.push((index, note));
    }

    /// Theorem: every acknowledged result is that of the one order in which the operations were executed, and
    /// each was executed once.
    pub(crate) fn acknowledged_results_are_of_one_order(&self) {
        let mut register = Bytes::new();
        let mut results = BTreeMap::new();
        for (expected, (order, (_, client, request, _))) in (1..).zip(&self.oracle.executed) {
            assert_eq!(*order, expected, "orders have no gaps");
            let session = &self.sessions[usize::from(client.endpoint)];
            let operation = session.operations[*request as usize - 1].clone();
            let result = std::mem::replace(&mut register, operation);
            let twice = results.insert((*client, *request), (result, *order));
            assert!(twice.is_none(), "{client} {request} was executed twice");
        }
        for session in &self.sessions {
            for (request, completion) in (1..).zip(&session.completions) {
                let (result, order) = results
                    .get(&(session.id, request))
                    .expect("what was acknowledged was executed");
                assert_eq!((&completion.result, completion.order), (result, *order));
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
        let done = self.run_until(Duration::from_secs(120), |cluster| {
            // What was answered tentatively and undone since is on its way again.
            let answered: usize = cluster.sessions.iter().map(|s| s.completions.len()).sum();
            cluster.sessions.iter().all(Session::is_idle)
                && cluster.has_converged()
                && cluster.core(0).order() >= answered as u64
        });
        if !done {
            for (index, node) in self.nodes.iter().enumerate() {
                let core = node.core.as_ref().expect("restarted");
                eprintln!(
                    "r{index}: {:?} view {} log_view {} h {} executed {} tentative {:?} op {} waits {} fetching {}",
                    core.status(),
                    core.view(),
                    core.log_view(),
                    core.low_water_mark(),
                    core.executed(),
                    core.tentative(),
                    core.op_number(),
                    core.pending_requests(),
                    core.is_fetching(),
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
