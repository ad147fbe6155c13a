//! One replica: its state, the dispatch of events, and every change of status.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::checkpoint::Checkpoints;
use super::checkpoint_transfer::Fetch;
use super::config::{VIEW_LEAD_MAX, VrConfig};
use super::configuration::Configuration;
use super::detector::Detector;
use super::durable::{Durability, VrRecord};
use super::executor::Executor;
use super::lease::Leases;
use super::log::{Log, OpNumber};
use super::message::{Evicted, Prepare, Request, StartViewChange, VrMessage};
use super::operation::Operation;
use super::reads::WaitingReads;
use super::reconfiguration::{Replaced, Transition};
use super::recovery::Recovering;
use super::suspicion::Ask;
use super::timer::{Jitter, Timer, Timers};
use super::view_change::Vote;
use crate::{
    Address, ClientId, Effects, Event, Instant, Message, Protocol, ProtocolEvent, Quorum, RecordId,
    ReplicaId, Service, Status, ViewNumber,
};

/// What a replica's effects are made of.
pub(super) type VrEffects = Effects<VrMessage, VrRecord>;

/// One replica of a VR group.
#[derive(Debug)]
pub struct VrReplica<S> {
    pub(super) config: VrConfig,
    /// The group of the view's epoch.
    pub(super) configuration: Configuration,
    /// The group of the next epoch, which begins at the end of the step that has committed it.
    pub(super) next_configuration: Option<Configuration>,
    /// This replica's number; that of nobody if it is no member.
    pub(super) me: usize,
    pub(super) quorum: Quorum,
    pub(super) view: ViewNumber,
    /// v' of VRR §4.2: the view that the log belongs to.
    pub(super) log_view: ViewNumber,
    pub(super) log: Log,
    /// Everything up to here is committed, present and executed.
    pub(super) commit_number: OpNumber,
    pub(super) executor: Executor<S>,
    pub(super) checkpoints: Checkpoints,
    /// A checkpoint that is being fetched.
    pub(super) fetch: Option<Fetch>,
    pub(super) phase: Phase,
    /// Which view each replica asks for, by replica number.
    pub(super) asks: Vec<Option<Ask>>,
    pub(super) durability: Durability,
    pub(super) detector: Detector,
    pub(super) leases: Leases,
    pub(super) waiting_reads: WaitingReads,
    pub(super) timers: Timers,
    pub(super) jitter: Jitter,
    /// How many view changes were entered since the status was last normal.
    pub(super) attempts: u32,
    pub(super) now: Instant,
}

/// The status, with the data that only it has.
#[derive(Debug)]
pub(super) enum Phase {
    /// Not started, or the very first superblock is not durable yet.
    Starting(Option<RecordId>),
    Primary(Primary),
    Backup(Backup),
    ViewChange(ViewChange),
    StateTransfer(StateTransfer),
    Recovering(Recovering),
    /// A member that has yet to fetch what its epoch begins with.
    Transition(Transition),
    /// No member any more, and needed by the group that is.
    Replaced(Replaced),
    /// No member. A reconfiguration may make it one.
    Spare,
    /// No member any more, and not needed: its process ends.
    Retired,
}

/// Normal, as the view's primary.
#[derive(Debug)]
pub(super) struct Primary {
    /// What is known of each replica, by replica number.
    pub(super) progress: Vec<Progress>,
    /// The op-number at the previous round of retransmission: later entries had no time to be acknowledged.
    pub(super) resend_below: OpNumber,
    /// Where each `Prepare` ends that is not committed.
    pub(super) prepares: VecDeque<OpNumber>,
    /// Requests that wait for room in the pipeline.
    pub(super) queue: VecDeque<Request>,
    /// The latest request of each client that is queued or in the log and not executed.
    pub(super) in_flight: BTreeMap<ClientId, u64>,
    /// It fell silent because it hears no quorum.
    pub(super) abdicated: bool,
}

/// What a primary knows of a replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Whether it is known to be in this view.
    pub(super) started: bool,
    /// Everything up to here is in its log, durable.
    pub(super) acknowledged: OpNumber,
    /// `acknowledged` at the previous round of retransmission.
    pub(super) before: OpNumber,
    /// When it was last heard in this view.
    pub(super) heard: Instant,
}

/// Normal, not as the view's primary.
#[derive(Debug)]
pub(super) struct Backup {
    /// When the primary was last heard.
    pub(super) heard: Instant,
    /// Whether it asks for another view, while it stays in this one.
    pub(super) suspects: bool,
    /// The view's log is known to reach at least to here.
    pub(super) wanted: OpNumber,
    /// `Prepare`s that wait for entries before theirs, by the op that they attach to.
    pub(super) held: BTreeMap<OpNumber, Prepare>,
}

/// Electing the view's primary.
#[derive(Debug)]
pub(super) struct ViewChange {
    /// The record with which this replica's own vote is durable.
    pub(super) vote: Option<RecordId>,
    /// The others' votes, by replica number, if this replica is to be the primary.
    pub(super) votes: Vec<Option<Vote>>,
    /// Whether the winner was asked for committed entries that are missing here.
    pub(super) asked_winner: bool,
    /// The record with which the new view may start, and what is committed in it.
    pub(super) installing: Option<(Option<RecordId>, OpNumber)>,
}

/// Fetching the log of a view that has started without this replica.
#[derive(Debug)]
pub(super) struct StateTransfer {
    pub(super) target: ViewNumber,
}

impl<S: Service> VrReplica<S> {
    /// A replica that waits for its [`Event::Started`].
    pub fn new(config: VrConfig, service: S) -> Self {
        let config = config.checked();
        let configuration = Configuration::first(config.replicas.clone());
        let members = configuration.members.len();
        Self {
            me: configuration.number_of(config.me).unwrap_or(members),
            quorum: configuration.quorum(),
            view: ViewNumber::new(0),
            log_view: ViewNumber::new(0),
            log: Log::default(),
            commit_number: OpNumber::ZERO,
            executor: Executor::new(service, config.checkpoints.clients),
            checkpoints: Checkpoints::default(),
            fetch: None,
            phase: Phase::Starting(None),
            asks: vec![None; members],
            durability: Durability::default(),
            detector: Detector::new(
                config.options.failure_detector,
                config.timeouts.suspicion,
                config.timeouts.heartbeat,
            ),
            leases: Leases::default(),
            waiting_reads: WaitingReads::default(),
            timers: Timers::default(),
            jitter: Jitter::new(config.seed),
            attempts: 0,
            now: Instant::ORIGIN,
            configuration,
            next_configuration: None,
            config,
        }
    }

    /// The group is now this.
    pub(super) fn adopt(&mut self, configuration: Configuration) {
        let members = configuration.members.len();
        self.me = configuration.number_of(self.config.me).unwrap_or(members);
        self.quorum = configuration.quorum();
        self.asks = vec![None; members];
        self.configuration = configuration;
    }

    fn on_message(&mut self, from: Address, message: VrMessage, fx: &mut VrEffects) {
        let kind = message.kind();
        let from = match (from, message) {
            (Address::Client(client), VrMessage::Request(request)) => {
                return self.on_request(client, request, fx);
            }
            (Address::Client(client), VrMessage::Read(read)) => {
                return self.on_read(client, read, fx);
            }
            (Address::Replica(id), message) if id != self.config.me => (id, message),
            _ => return drop_message(fx, kind, "not for it to say"),
        };
        self.on_replica_message(from.0, from.1, fx);
    }

    /// VRR §7.1: "Replicas only process messages ... that match the epoch they are in."
    fn on_replica_message(&mut self, from: ReplicaId, message: VrMessage, fx: &mut VrEffects) {
        let kind = message.kind();
        if matches!(self.phase, Phase::Starting(_) | Phase::Retired) {
            return drop_message(fx, kind, "starting, or retired");
        }
        let Some(view) = message.view() else {
            return drop_message(fx, kind, "not for a replica to say");
        };
        match (view.epoch.cmp(&self.view.epoch), message) {
            (Ordering::Less, _) => {
                drop_message(fx, kind, "of an earlier epoch");
                self.inform(from, fx);
            }
            (_, VrMessage::StartEpoch(message)) => self.on_start_epoch(from, message, fx),
            (Ordering::Greater, _) => {
                drop_message(fx, kind, "of a later epoch");
                self.ask_for_epoch(from, fx);
            }
            (Ordering::Equal, _)
                if view.number > self.view.number.saturating_add(VIEW_LEAD_MAX) =>
            {
                drop_message(fx, kind, "names an absurd view");
            }
            (_, VrMessage::EpochStarted(_)) => self.on_epoch_started(from, fx),
            (_, VrMessage::GetState(message)) if !self.is_recovering() => {
                self.on_get_state(from, message, fx);
            }
            (_, VrMessage::GetPages(message)) if !self.is_recovering() => {
                self.on_get_pages(from, &message, fx);
            }
            (_, VrMessage::NewCheckpoint(message)) => self.on_new_checkpoint(from, message, fx),
            (_, VrMessage::Pages(message)) => self.on_pages(from, message, fx),
            (_, VrMessage::NewState(message)) if !self.is_recovering() => {
                self.on_new_state(from, message, fx);
            }
            (_, message) => match self.configuration.number_of(from) {
                Some(from) => self.on_member_message(from, message, fx),
                None => drop_message(fx, kind, "not from a member"),
            },
        }
    }

    fn on_member_message(&mut self, from: usize, message: VrMessage, fx: &mut VrEffects) {
        let kind = message.kind();
        if matches!(self.phase, Phase::Replaced(_) | Phase::Spare) {
            return drop_message(fx, kind, "not a member");
        }
        if self.is_recovering() {
            return self.on_message_while_recovering(from, message, fx);
        }
        match message {
            // VRR §7.1.1: it takes part in no decision of an epoch whose beginning it does not have.
            VrMessage::StartViewChange(_)
            | VrMessage::DoViewChange(_)
            | VrMessage::PrepareOk(_)
                if self.is_transitioning() =>
            {
                drop_message(fx, kind, "transitioning");
            }
            VrMessage::Prepare(message) => self.on_prepare(from, message, fx),
            VrMessage::PrepareOk(message) => self.on_prepare_ok(from, message, fx),
            VrMessage::Commit(message) => self.on_commit(from, message, fx),
            VrMessage::StartViewChange(message) => self.on_start_view_change(from, message, fx),
            VrMessage::DoViewChange(message) => self.on_do_view_change(from, message, fx),
            VrMessage::StartView(message) => self.on_start_view(from, message, fx),
            VrMessage::Recovery(message) => self.on_recovery(from, message, fx),
            VrMessage::RecoveryResponse(_) => drop_message(fx, kind, "not recovering"),
            VrMessage::GetLease(message) => self.on_get_lease(from, message, fx),
            VrMessage::Lease(message) => self.on_lease(from, message, fx),
            _ => drop_message(fx, kind, "not for a replica to say"),
        }
    }

    fn on_persisted(&mut self, record: RecordId, fx: &mut VrEffects) {
        self.durability.on_persisted(record);
        if self.checkpoints.on_persisted(record, fx) {
            self.drop_log_prefix(fx);
        }
        match &mut self.phase {
            Phase::Starting(Some(first)) if *first <= record => self.on_formatted(fx),
            Phase::Primary(primary) => {
                primary.progress[self.me].acknowledged = self.durability.op();
                self.commit_acknowledged(fx);
                self.prepare_queued(fx);
            }
            Phase::ViewChange(_) => self.try_start_view(fx),
            Phase::Recovering(_) => self.try_recover(fx),
            Phase::Transition(Transition {
                installing: Some(awaited),
            }) if *awaited <= record => {
                self.transition_to_primary(fx);
            }
            Phase::Replaced(Replaced {
                awaited: Some(awaited),
                ..
            }) if *awaited <= record => {
                self.transition_to_retired(fx);
            }
            _ => {}
        }
    }

    fn on_timeout(&mut self, fx: &mut VrEffects) {
        for timer in Timer::ALL {
            if self.timers.take_due(timer, self.now) {
                self.on_timer(timer, fx);
            }
        }
    }

    fn on_timer(&mut self, timer: Timer, fx: &mut VrEffects) {
        match (timer, &self.phase) {
            (Timer::Heartbeat, Phase::Primary(_)) => self.on_heartbeat_due(fx),
            (Timer::Resend, Phase::Primary(_)) => self.resend_prepares(fx),
            (Timer::Resend, Phase::Backup(_)) => self.resend_ask(fx),
            (Timer::Resend, Phase::ViewChange(_)) => self.resend_votes(fx),
            (Timer::Suspicion, Phase::Backup(_)) => self.suspect(fx),
            (Timer::Suspicion, Phase::ViewChange(_)) => self.ask_for(self.view_after(), fx),
            (Timer::Suspicion, Phase::StateTransfer(_)) => self.abandon_state_transfer(fx),
            (Timer::Repair, Phase::Backup(_)) => self.request_missing(fx),
            (Timer::Repair, Phase::ViewChange(_)) => self.try_start_view(fx),
            (Timer::Repair, Phase::StateTransfer(_)) => self.retry_state_transfer(fx),
            (Timer::Resend, Phase::Recovering(_)) => self.send_recovery(fx),
            (Timer::Repair, Phase::Recovering(_)) => self.try_recover(fx),
            (Timer::Repair, Phase::Transition(_) | Phase::Replaced(_)) => {
                self.continue_transition(fx);
            }
            (Timer::Resend, Phase::Replaced(_)) => self.resend_start_epoch(fx),
            (Timer::Fetch, _) => self.retry_fetch(fx),
            (Timer::Lease, Phase::Primary(_)) => self.request_leases(fx),
            (Timer::Lease, Phase::ViewChange(_)) => self.on_lease_over(fx),
            (timer, phase) => unreachable!("{timer:?} is not set in {phase:?}"),
        }
    }

    /// Becomes the primary of its view, whose log is durable as such.
    pub(super) fn transition_to_primary(&mut self, fx: &mut VrEffects) {
        assert!(self.is_primary_of(self.view) && self.log_view == self.view);
        assert!(
            self.durability.awaited().is_none(),
            "durable before it speaks"
        );
        let progress = Progress {
            started: false,
            acknowledged: OpNumber::ZERO,
            before: OpNumber::ZERO,
            heard: self.now,
        };
        let mut primary = Primary {
            progress: vec![progress; self.configuration.members.len()],
            resend_below: self.log.op_number(),
            prepares: VecDeque::new(),
            queue: VecDeque::new(),
            in_flight: BTreeMap::new(),
            abdicated: false,
        };
        primary.progress[self.me].acknowledged = self.durability.op();
        for entry in self.log.slice(self.commit_number, self.log.op_number()) {
            primary.in_flight.insert(entry.client, entry.request_number);
        }
        // Its log has all that was chosen.
        self.fetch = None;
        self.enter(Phase::Primary(primary), fx);
        self.detector.begin(self.now);
        self.attempts = 0;
        self.asks[self.me] = None;
        self.set_heartbeat();
        self.set_resend();
        self.begin_leases(fx);
    }

    /// Becomes a backup of its view, whose log it has (durable or not: its votes wait for that).
    pub(super) fn transition_to_backup(&mut self, fx: &mut VrEffects) {
        assert!(!self.is_primary_of(self.view) && self.log_view == self.view);
        let backup = Backup {
            heard: self.now,
            suspects: false,
            wanted: OpNumber::ZERO,
            held: BTreeMap::new(),
        };
        self.enter(Phase::Backup(backup), fx);
        self.detector.begin(self.now);
        self.attempts = 0;
        self.asks[self.me] = None;
        self.set_suspicion();
    }

    /// Leaves its view for `view`, for good, and votes in it once that is durable.
    pub(super) fn transition_to_view_change(&mut self, view: ViewNumber, fx: &mut VrEffects) {
        assert!(view >= self.view, "views only grow");
        assert!(
            view > self.view || self.log_view < view,
            "no view starts twice"
        );
        if view > self.view {
            self.view = view;
            // The view number is durable before the vote (VR'88; VRR §8.2 does without, and is unsound across
            // restarts: Michael et al., DISC 2017).
            self.persist_view(fx);
        }
        let phase = ViewChange {
            vote: fx.last_record(),
            votes: vec![None; self.configuration.members.len()],
            asked_winner: false,
            installing: None,
        };
        self.enter(Phase::ViewChange(phase), fx);
        self.attempts += 1;
        self.set_election_patience();
        self.set_resend();
        self.send_start_view_change_once(fx);
        if self.may_vote() {
            self.send_do_view_change(fx);
        }
        self.try_start_view(fx);
    }

    /// Stops in its view to fetch the log of `target`. View, log and log_view stay as they are meanwhile.
    pub(super) fn transition_to_state_transfer(&mut self, target: ViewNumber, fx: &mut VrEffects) {
        assert!(target >= self.view && target > self.log_view);
        self.enter(Phase::StateTransfer(StateTransfer { target }), fx);
        self.asks[self.me] = None;
        self.set_suspicion();
    }

    /// The one place where the status changes.
    pub(super) fn enter(&mut self, phase: Phase, fx: &mut VrEffects) {
        self.phase = phase;
        self.timers = Timers::default();
        if self.fetch.is_some() {
            self.set_fetch();
        }
        self.waiting_reads.clear();
        self.note_status(fx);
    }

    pub(super) fn note_status(&self, fx: &mut VrEffects) {
        fx.note(ProtocolEvent::StatusChanged {
            status: self.status(),
            view: self.view,
            primary: self.status() == Status::Normal && self.is_primary_of(self.view),
        });
    }

    /// Learns that everything up to `op` is committed, and executes it (VRR §4.1 steps 5 and 7).
    pub(super) fn advance_commit(&mut self, op: OpNumber, fx: &mut VrEffects) {
        assert!(op <= self.log.op_number(), "what is committed is present");
        if op <= self.commit_number {
            return;
        }
        let first = self.commit_number;
        self.commit_number = op;
        fx.note(ProtocolEvent::Committed {
            op: op.0,
            view: self.view,
        });
        for op in first.0 + 1..=op.0 {
            self.execute(OpNumber(op), fx);
            self.checkpoint_if_due(OpNumber(op), fx);
        }
        self.answer_waiting_reads(fx);
    }

    /// Executes a committed operation; the primary answers its client.
    fn execute(&mut self, op: OpNumber, fx: &mut VrEffects) {
        let entry = self.log.entry(op).expect("what is committed is present");
        let executed = self.executor.execute(entry);
        let (client, request) = (entry.client, entry.request_number);
        let leads = match &mut self.phase {
            Phase::Primary(primary) => {
                primary.forget_in_flight(client, request);
                true
            }
            _ => false,
        };
        let Some(executed) = executed else {
            // The session ended while the request was on its way here.
            if leads && self.executor.table().has_ended(client) {
                send_evicted(self.view, client, request, fx);
            }
            return;
        };
        match &entry.operation {
            Operation::Service(_) => fx.note(ProtocolEvent::Executed {
                op: op.0,
                order: executed.order,
                client,
                request,
                digest: self.executor.digest(),
            }),
            // One of an earlier epoch has already happened (VRR §7.2).
            Operation::Reconfiguration(members) if entry.view.epoch == self.view.epoch => {
                let next = self.configuration.next(entry, members.clone());
                self.next_configuration = Some(next);
            }
            Operation::Reconfiguration(_) | Operation::CheckEpoch => {}
        }
        // VRR §4.1 step 7: "the backup ... does not send a reply to the client".
        if leads {
            send_reply(self.view, client, &executed, fx);
        }
    }

    pub(super) fn is_primary_of(&self, view: ViewNumber) -> bool {
        self.primary_of(view) == self.me
    }

    /// The replica number of the primary of `view`.
    pub(super) fn primary_of(&self, view: ViewNumber) -> usize {
        self.configuration.primary(view)
    }

    /// The view that follows this one.
    pub(super) fn view_after(&self) -> ViewNumber {
        self.view.next()
    }

    /// The latest view that this replica has reason to believe in.
    pub(super) fn known_view(&self) -> ViewNumber {
        match &self.phase {
            Phase::StateTransfer(transfer) => transfer.target,
            _ => self.view,
        }
    }

    pub(super) fn send(
        &self,
        to: usize,
        message: impl Into<VrMessage>,
        after: Option<RecordId>,
        fx: &mut VrEffects,
    ) {
        let to = Address::Replica(self.configuration.members[to]);
        fx.send(to, message.into(), after);
    }

    /// Sends to all other replicas.
    pub(super) fn broadcast(&self, message: impl Into<VrMessage>, fx: &mut VrEffects) {
        let message = message.into();
        for to in self.others() {
            self.send(to, message.clone(), None, fx);
        }
    }

    /// The numbers of all other replicas.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> + use<S> {
        let me = self.me;
        (0..self.configuration.members.len()).filter(move |index| *index != me)
    }

    /// The number of some other replica.
    pub(super) fn any_other(&mut self) -> usize {
        let other = self.jitter.below(self.configuration.members.len() - 1);
        other + usize::from(other >= self.me)
    }

    pub(super) fn set_heartbeat(&mut self) {
        let at = self.now + self.config.timeouts.heartbeat;
        self.timers.set(Timer::Heartbeat, at);
    }

    pub(super) fn set_suspicion(&mut self) {
        let at = self.now + self.detector.patience();
        self.timers.set(Timer::Suspicion, at);
    }

    pub(super) fn set_resend(&mut self) {
        let at = self.now + self.jitter.stretch(self.config.timeouts.resend);
        self.timers.set(Timer::Resend, at);
    }

    pub(super) fn set_repair(&mut self, patience: Duration) {
        let at = self.now + self.jitter.stretch(patience);
        self.timers.set(Timer::Repair, at);
    }

    pub(super) fn set_fetch(&mut self) {
        let at = self.now + self.jitter.stretch(self.config.timeouts.resend);
        self.timers.set(Timer::Fetch, at);
    }

    pub(super) fn own_ask(&self, view: ViewNumber) -> StartViewChange {
        StartViewChange {
            view,
            entered: self.view,
        }
    }
}

impl<S: Service> Protocol for VrReplica<S> {
    type Message = VrMessage;
    type Record = VrRecord;

    fn step(&mut self, now: Instant, event: Event<VrMessage, VrRecord>, effects: &mut VrEffects) {
        self.now = self.now.max(now);
        match event {
            Event::Started(recovered) => self.on_started(recovered, effects),
            Event::Received { from, message } => self.on_message(from, message, effects),
            Event::Persisted(record) => self.on_persisted(record, effects),
            Event::Timeout => self.on_timeout(effects),
        }
        self.begin_next_epoch(effects);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}

/// Answers a client.
pub(super) fn send_reply(
    view: ViewNumber,
    client: ClientId,
    executed: &super::client_table::ClientEntry,
    fx: &mut VrEffects,
) {
    let reply = super::message::Reply {
        view,
        request_number: executed.request_number,
        result: executed.result.clone(),
        order: executed.order,
    };
    fx.send(Address::Client(client), VrMessage::Reply(reply), None);
}

/// Tells a client that its session has ended.
pub(super) fn send_evicted(
    view: ViewNumber,
    client: ClientId,
    request_number: u64,
    fx: &mut VrEffects,
) {
    let evicted = Evicted {
        view,
        request_number,
    };
    fx.send(Address::Client(client), evicted.into(), None);
}

/// Ignores a message, and says why.
pub(super) fn drop_message(fx: &mut VrEffects, kind: &'static str, reason: &'static str) {
    fx.note(ProtocolEvent::Dropped {
        kind: Cow::Borrowed(kind),
        reason: Cow::Borrowed(reason),
    });
}
