//! One replica: its state, the dispatch of events, and every change of view.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::certificate::CheckpointCertificate;
use super::checkpoint::{Ahead, CheckpointVotes};
use super::config::{BACKOFF_MAX, PbftConfig, VIEW_LEAD_MAX, VoteStorage, primary_index};
use super::durable::{PbftRecord, Superblock};
use super::executor::Executor;
use super::log::Log;
use super::message::{Commit, NewViewProposal, PbftMessage, Proposal, SequenceNumber, ViewChange};
use super::quorum::ByzantineQuorum;
use super::requests::Requests;
use super::signed::{Authentication, AuthenticationMode, Verified};
use super::state_transfer::Transfer;
use super::timer::{Jitter, Timer, Timers};
use crate::{
    Address, Digest, Effects, Event, Instant, Message, NodeId, Protocol, ProtocolEvent, RecordId,
    ReplicaId, Service, Status, ViewNumber,
};

/// What a replica's effects are made of.
pub(super) type PbftEffects = Effects<PbftMessage, PbftRecord>;

/// One replica of a PBFT group.
#[derive(Debug)]
pub struct PbftReplica<S> {
    pub(super) config: PbftConfig,
    pub(super) keys: Authentication,
    /// This replica's number.
    pub(super) me: usize,
    pub(super) quorum: ByzantineQuorum,
    pub(super) view: ViewNumber,
    /// The latest view that has started here.
    pub(super) log_view: ViewNumber,
    pub(super) phase: Phase,
    pub(super) log: Log,
    pub(super) executor: Executor<S>,
    pub(super) requests: Requests,
    /// The latest view change of each replica, by number, verified.
    pub(super) view_changes: Vec<Option<Verified<ViewChange>>>,
    /// The new view that has started, or that was sent last.
    pub(super) new_view: Option<NewViewProposal>,
    pub(super) checkpoints: CheckpointVotes,
    /// The proof of the latest stable checkpoint; none for the beginning.
    pub(super) stable: Option<CheckpointCertificate>,
    /// The latest stable checkpoint of others that this replica has not reached.
    pub(super) ahead: Option<Ahead>,
    pub(super) transfer: Option<Transfer>,
    /// Proposals with requests that cannot be checked here (authenticators only).
    pub(super) doubtful: BTreeMap<SequenceNumber, Proposal>,
    /// Own commits that count once their record is durable.
    pub(super) unsynced: VecDeque<(RecordId, Verified<Commit>)>,
    pub(super) timers: Timers,
    pub(super) jitter: Jitter,
    /// How many views were given up since the last progress.
    pub(super) attempts: u32,
    /// How many statuses were sent: whose turn it is to help.
    pub(super) rounds: usize,
    pub(super) now: Instant,
}

/// What the replica does, with the data that only that has.
#[derive(Debug)]
pub(super) enum Phase {
    /// Not started, or the very first superblock is not durable yet.
    Starting(Option<RecordId>),
    /// Its view has started.
    Active(Active),
    /// It waits for its view's new-view message.
    Changing(Changing),
}

/// In a view that has started.
#[derive(Debug)]
pub(super) struct Active {
    /// The last place that the primary has filled.
    pub(super) last_assigned: SequenceNumber,
    /// The view begins after this place.
    pub(super) low_bound: SequenceNumber,
}

/// Between two views.
#[derive(Debug, Default)]
pub(super) struct Changing {
    /// The new primary's: what it must have before it can start the view.
    pub(super) missing: Vec<Digest>,
}

impl<S: Service> PbftReplica<S> {
    /// A replica that waits for its [`Event::Started`]. `keys` are its own.
    pub fn new(config: PbftConfig, keys: Authentication, service: S) -> Self {
        let config = config.checked();
        assert_eq!(keys.me(), NodeId::Replica(config.me), "its own keys");
        assert_eq!(keys.replicas(), config.replicas, "the same group");
        let members = config.replicas.len();
        let me = config.replicas.binary_search(&config.me);
        Self {
            me: me.expect("checked"),
            quorum: ByzantineQuorum::of(members),
            view: ViewNumber::default(),
            log_view: ViewNumber::default(),
            phase: Phase::Starting(None),
            log: Log::new(members, config.window()),
            executor: Executor::new(service),
            requests: Requests::default(),
            view_changes: vec![None; members],
            new_view: None,
            checkpoints: CheckpointVotes::new(members),
            stable: None,
            ahead: None,
            transfer: None,
            doubtful: BTreeMap::new(),
            unsynced: VecDeque::new(),
            timers: Timers::default(),
            jitter: Jitter::new(config.seed),
            attempts: 0,
            rounds: 0,
            now: Instant::ORIGIN,
            keys,
            config,
        }
    }

    fn on_message(&mut self, from: Address, message: PbftMessage, fx: &mut PbftEffects) {
        let kind = message.kind();
        if matches!(self.phase, Phase::Starting(_)) {
            return drop_message(fx, kind, "starting");
        }
        let view = message.view().unwrap_or_default();
        if view.epoch != self.view.epoch
            || view.number > self.view.number.saturating_add(VIEW_LEAD_MAX)
        {
            return drop_message(fx, kind, "names an absurd view");
        }
        match (from, message) {
            (Address::Client(client), PbftMessage::Request(request)) => {
                self.on_client_request(client, request, fx);
            }
            (Address::Replica(id), message) => match self.number_of(id) {
                Some(from) if from != self.me => self.on_replica_message(from, message, fx),
                _ => drop_message(fx, kind, "not from another member"),
            },
            _ => drop_message(fx, kind, "not for a client to say"),
        }
    }

    fn on_replica_message(&mut self, from: usize, message: PbftMessage, fx: &mut PbftEffects) {
        match message {
            PbftMessage::Request(message) => self.on_relayed_request(message, fx),
            PbftMessage::PrePrepare(message) => self.on_pre_prepare(message, fx),
            PbftMessage::Prepare(message) => self.on_prepare(from, message, fx),
            PbftMessage::Commit(message) => self.on_commit(from, message, fx),
            PbftMessage::Checkpoint(message) => self.on_checkpoint(from, message, fx),
            PbftMessage::StableCheckpoint(message) => self.on_stable_checkpoint(message, fx),
            PbftMessage::ViewChange(message) => self.on_view_change(message, fx),
            PbftMessage::NewView(message) => self.on_new_view(message, fx),
            PbftMessage::Status(message) => self.on_status(from, message, fx),
            PbftMessage::Batch(message) => self.on_batch(message, fx),
            PbftMessage::Fetch(message) => self.on_fetch(from, &message, fx),
            PbftMessage::Data(message) => self.on_data(from, message, fx),
            PbftMessage::Reply(_) => drop_message(fx, "Reply", "not for a replica to say"),
        }
    }

    fn on_persisted(&mut self, record: RecordId, fx: &mut PbftEffects) {
        if matches!(self.phase, Phase::Starting(Some(first)) if first <= record) {
            self.transition_to_active(SequenceNumber::ZERO, SequenceNumber::ZERO, fx);
        }
        while let Some((awaited, _)) = self.unsynced.front()
            && *awaited <= record
        {
            let (_, commit) = self.unsynced.pop_front().expect("just seen");
            self.count_own_commit(commit, fx);
        }
    }

    fn on_timeout(&mut self, fx: &mut PbftEffects) {
        for timer in Timer::ALL {
            if !self.timers.take_due(timer, self.now) {
                continue;
            }
            match timer {
                Timer::Status => self.on_status_due(fx),
                Timer::NewView => self.suspect(fx),
                Timer::Fetch => self.on_fetch_due(fx),
            }
        }
        let overdue = self.requests.next_deadline();
        if overdue.is_some_and(|deadline| deadline <= self.now) {
            self.suspect(fx);
        }
    }

    /// Patience with the primary has ended, of the view that it is in or of the one that it waits for.
    fn suspect(&mut self, fx: &mut PbftEffects) {
        let view = self.view.next();
        fx.note(ProtocolEvent::ViewChangeSuspected { view });
        self.transition_to_view_change(view, fx);
    }

    /// Its view has started. The caller has put what the new view chose into its places.
    pub(super) fn transition_to_active(
        &mut self,
        low_bound: SequenceNumber,
        last_assigned: SequenceNumber,
        fx: &mut PbftEffects,
    ) {
        self.log_view = self.view;
        self.timers.clear(Timer::NewView);
        let active = Active {
            last_assigned,
            low_bound,
        };
        self.phase = Phase::Active(active);
        self.note_status(fx);
        let backup = !self.is_primary_of(self.view);
        let patience = backup.then(|| self.patience());
        self.requests.begin_view(self.now, patience);
        if !self.timers.is_set(Timer::Status) {
            self.set_status_timer();
        }
    }

    /// Leaves its view for `view`, for good: it accepts no pre-prepares, prepares and commits of earlier ones to vote
    /// for (PBFT §4.4). What was executed tentatively is undone.
    pub(super) fn transition_to_view_change(&mut self, view: ViewNumber, fx: &mut PbftEffects) {
        assert!(view > self.view, "views only grow");
        self.leave_view(view);
        self.attempts += 1;
        self.phase = Phase::Changing(Changing::default());
        self.persist(PbftRecord::Superblock(self.superblock(false)), fx);
        self.note_status(fx);
        self.send_view_change(fx);
        self.on_view_changes_changed(fx);
    }

    /// Forgets what belongs to the view that is over.
    pub(super) fn leave_view(&mut self, view: ViewNumber) {
        self.view = view;
        self.executor.roll_back();
        self.requests.stop_timers();
        self.timers.clear(Timer::NewView);
        self.doubtful.clear();
        for (_, place) in self.log.iter_mut() {
            place.leave_view();
        }
    }

    pub(super) fn superblock(&self, active: bool) -> Superblock {
        Superblock {
            view: self.view,
            active,
            log_view: match active {
                true => self.view,
                false => self.log_view,
            },
        }
    }

    /// How long it waits for a request's execution, or for a new view: twice as long after each view that was given up
    /// without progress (PBFT §4.5.2).
    pub(super) fn patience(&self) -> Duration {
        let doubled = self.attempts.saturating_sub(1).min(BACKOFF_MAX);
        self.config.timeouts.request * 2_u32.pow(doubled)
    }

    pub(super) fn note_status(&self, fx: &mut PbftEffects) {
        fx.note(ProtocolEvent::StatusChanged {
            status: self.status(),
            view: self.view,
            primary: self.status() == Status::Normal && self.is_primary_of(self.view),
        });
    }

    /// Writes a record, if votes are to be kept. What awaits it goes at once otherwise.
    pub(super) fn persist(&self, record: PbftRecord, fx: &mut PbftEffects) -> Option<RecordId> {
        match self.config.votes {
            VoteStorage::Durable => Some(fx.persist(record)),
            VoteStorage::Memory => None,
        }
    }

    /// The record with which everything so far is durable.
    pub(super) fn all_records(&self, fx: &PbftEffects) -> Option<RecordId> {
        match self.config.votes {
            VoteStorage::Durable => fx.last_record(),
            VoteStorage::Memory => None,
        }
    }

    pub(super) fn is_primary_of(&self, view: ViewNumber) -> bool {
        self.primary_of(view) == self.me
    }

    /// The replica number of the primary of `view`.
    pub(super) fn primary_of(&self, view: ViewNumber) -> usize {
        primary_index(view, self.config.replicas.len())
    }

    pub(super) fn number_of(&self, replica: ReplicaId) -> Option<usize> {
        self.config.replicas.binary_search(&replica).ok()
    }

    /// The number of the replica that signs, if it is one of the group.
    pub(super) fn signer_number(&self, signer: NodeId) -> Option<usize> {
        self.number_of(signer.as_replica()?)
    }

    pub(super) fn send(
        &self,
        to: usize,
        message: PbftMessage,
        after: Option<RecordId>,
        fx: &mut PbftEffects,
    ) {
        let to = Address::Replica(self.config.replicas[to]);
        fx.send(to, message, after);
    }

    /// Sends to all other replicas.
    pub(super) fn broadcast(
        &self,
        message: &PbftMessage,
        after: Option<RecordId>,
        fx: &mut PbftEffects,
    ) {
        for to in self.others() {
            self.send(to, message.clone(), after, fx);
        }
    }

    /// The numbers of all other replicas.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> + use<S> {
        let me = self.me;
        (0..self.config.replicas.len()).filter(move |index| *index != me)
    }

    pub(super) fn mode(&self) -> AuthenticationMode {
        self.keys.mode()
    }
}

impl<S: Service> Protocol for PbftReplica<S> {
    type Message = PbftMessage;
    type Record = PbftRecord;

    fn step(
        &mut self,
        now: Instant,
        event: Event<PbftMessage, PbftRecord>,
        effects: &mut PbftEffects,
    ) {
        self.now = self.now.max(now);
        match event {
            Event::Started(recovered) => self.on_started(recovered, effects),
            Event::Received { from, message } => self.on_message(from, message, effects),
            Event::Persisted(record) => self.on_persisted(record, effects),
            Event::Timeout => self.on_timeout(effects),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let deadlines = [self.timers.next(), self.requests.next_deadline()];
        deadlines.into_iter().flatten().min()
    }
}

/// Ignores a message, and says why.
pub(super) fn drop_message(fx: &mut PbftEffects, kind: &'static str, reason: &'static str) {
    fx.note(ProtocolEvent::Dropped {
        kind: Cow::Borrowed(kind),
        reason: Cow::Borrowed(reason),
    });
}
