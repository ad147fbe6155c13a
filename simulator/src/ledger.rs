//! What the replicas have shown so far, kept so that each theorem is a look at what changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use viewstorm_history::Timestamp;
use viewstorm_protocol::{ClientId, Digest, Observe, ProtocolEvent, ReplicaId, Status, ViewNumber};

use crate::invariants::{
    InvariantViolation, Proof, Theorem, a_commit_is_never_lost_or_changed,
    a_request_is_executed_once, acknowledged_is_durable_on_a_quorum, causes_come_before_effects,
    checkpoints_agree, client_tables_agree, committed_logs_are_prefixes_of_one_another, entry,
    one_primary_per_view, state_digests_agree,
    views_and_commit_numbers_never_go_back_in_one_incarnation,
};

/// A replica's scalars after a step: as long as they stay, there is nothing to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    pub(crate) view: ViewNumber,
    pub(crate) log_view: ViewNumber,
    pub(crate) op: u64,
    pub(crate) commit: u64,
    pub(crate) normal: bool,
    /// In normal status, and its view's primary.
    pub(crate) leads: bool,
}

impl Glance {
    fn at(core: &impl Observe) -> Self {
        Self {
            view: core.view(),
            log_view: core.log_view(),
            op: core.op_number(),
            commit: core.commit_number(),
            normal: core.status() == Status::Normal,
            leads: core.status() == Status::Normal && core.is_primary(),
        }
    }
}

/// An entry that some replica knew to be committed: the first to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommittedEntry {
    pub(crate) digest: u64,
    pub(crate) view: ViewNumber,
    pub(crate) by: ReplicaId,
}

/// An operation as some replica executed it: the first to do so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Execution {
    pub(crate) order: u64,
    pub(crate) client: ClientId,
    pub(crate) request: u64,
    pub(crate) digest: u64,
    pub(crate) by: ReplicaId,
}

impl Execution {
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let all = |e: &Self| (e.order, e.client, e.request, e.digest);
        all(self) == all(other)
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            order,
            client,
            request,
            digest,
            ..
        } = self;
        write!(
            f,
            "number {order}, request {request} of {client}, state {digest:016x}"
        )
    }
}

/// A change of a replica's log that becomes durable with the records written so far.
#[derive(Debug)]
struct Change {
    written: u64,
    keep: usize,
    tail: Vec<u64>,
}

/// What one replica has shown.
#[derive(Debug, Default)]
struct Seen {
    /// None until the incarnation's first step.
    glance: Option<Glance>,
    /// The digests of its log's entries.
    log: Vec<u64>,
    /// As much of it as is on its disk.
    durable: Vec<u64>,
    unsynced: VecDeque<Change>,
    /// Requests executed in the current step.
    executed_now: Vec<(ClientId, u64)>,
}

/// The checks' memory. It grows with the run's operations and views, and ends with the run.
#[derive(Debug)]
pub(crate) struct Ledger {
    replicas: Vec<Seen>,
    primaries: BTreeMap<ViewNumber, ReplicaId>,
    committed: Vec<CommittedEntry>,
    executed: Vec<Option<Execution>>,
    /// The digest of the checkpoint at each op, and whose was the first.
    checkpoints: BTreeMap<u64, (Digest, ReplicaId)>,
    /// Each session's executed requests as (op, request), in order.
    requests: BTreeMap<ClientId, Vec<(u64, u64)>>,
    reported: BTreeSet<Theorem>,
    found: Vec<InvariantViolation>,
}

impl Ledger {
    /// Nothing shown yet.
    pub(crate) fn new(replicas: usize) -> Self {
        Self {
            replicas: (0..replicas).map(|_| Seen::default()).collect(),
            primaries: BTreeMap::new(),
            committed: Vec::new(),
            executed: Vec::new(),
            checkpoints: BTreeMap::new(),
            requests: BTreeMap::new(),
            reported: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    /// Whether there are violations to take.
    pub(crate) fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    /// The violations found since they were last taken.
    pub(crate) fn take_found(&mut self) -> Vec<InvariantViolation> {
        std::mem::take(&mut self.found)
    }

    /// A new incarnation begins, with what the disk holds.
    pub(crate) fn started(&mut self, replica: ReplicaId) {
        let seen = &mut self.replicas[usize::from(replica.0)];
        seen.glance = None;
        seen.executed_now.clear();
        seen.log.clone_from(&seen.durable);
    }

    /// The replica's first `position` records are durable.
    pub(crate) fn durable(&mut self, replica: ReplicaId, position: u64) {
        self.replicas[usize::from(replica.0)].settle(position);
    }

    /// The replica's records after the first `written` are lost, the first `durable` are there to stay.
    pub(crate) fn lost(&mut self, replica: ReplicaId, (written, durable): (u64, u64)) {
        let seen = &mut self.replicas[usize::from(replica.0)];
        seen.unsynced.retain(|change| change.written <= written);
        seen.settle(durable);
    }

    /// A node was handed a message.
    pub(crate) fn received(
        &mut self,
        now: Timestamp,
        replica: ReplicaId,
        (stamp, before, receipt): (u64, u64, u64),
    ) {
        let proof = causes_come_before_effects(stamp, before, receipt);
        self.judge(Theorem::CausesComeBeforeEffects, now, replica, proof);
    }

    /// A replica said something.
    pub(crate) fn noted(&mut self, now: Timestamp, replica: ReplicaId, event: &ProtocolEvent) {
        if let ProtocolEvent::CheckpointTaken { op, digest }
        | ProtocolEvent::CheckpointInstalled { op, digest } = *event
        {
            let known = self.checkpoints.entry(op).or_insert((digest, replica));
            let proof = checkpoints_agree(*known, op, digest);
            self.judge(Theorem::CheckpointsAgree, now, replica, proof);
        }
        let ProtocolEvent::Executed {
            op,
            order,
            client,
            request,
            digest,
        } = *event
        else {
            return;
        };
        let here = Execution {
            order,
            client,
            request,
            digest,
            by: replica,
        };
        let place = usize::try_from(op)
            .expect("an op fits in memory")
            .saturating_sub(1);
        if self.executed.len() <= place {
            self.executed.resize(place + 1, None);
        }
        let proof = state_digests_agree(self.executed[place].as_ref(), op, &here);
        self.judge(Theorem::StateDigestsAgree, now, replica, proof);
        if self.executed[place].is_none() {
            self.executed[place] = Some(here);
            let requests = self.requests.entry(client).or_default();
            let proof = a_request_is_executed_once(requests.last().map(|last| last.1), request);
            requests.push((op, request));
            self.judge(Theorem::ClientTablesAgree, now, replica, proof);
        }
        let seen = &mut self.replicas[usize::from(replica.0)];
        seen.executed_now.push((client, request));
    }

    /// A replica's step is over; its log is on its disk as it is now once `written` records are durable, and
    /// `durable` are.
    pub(crate) fn stepped(
        &mut self,
        now: Timestamp,
        replica: ReplicaId,
        core: &impl Observe,
        (written, durable): (u64, u64),
    ) {
        let place = usize::from(replica.0);
        while let Some((client, request)) = self.replicas[place].executed_now.pop() {
            let proof = client_tables_agree(core.latest_request(client), request);
            self.judge(Theorem::ClientTablesAgree, now, replica, proof);
        }
        let after = Glance::at(core);
        let before = self.replicas[place].glance.replace(after);
        if before == Some(after) {
            return;
        }
        if let Some(before) = &before {
            let proof = views_and_commit_numbers_never_go_back_in_one_incarnation(before, &after);
            let theorem = Theorem::ViewsAndCommitNumbersNeverGoBackInOneIncarnation;
            self.judge(theorem, now, replica, proof);
        }
        self.log_changed(now, replica, core, before.as_ref(), (written, durable));
        let from = before.map_or(0, |before| before.commit);
        // What ends an epoch was committed in it, though the replica may have left it since.
        let in_epoch = before.map_or(after.view, |before| match before.view.epoch {
            epoch if epoch == after.view.epoch => after.view,
            _ => before.view,
        });
        for op in from + 1..=after.commit {
            self.op_committed(now, replica, op, in_epoch, core);
        }
        if after.leads && before.is_none_or(|before| !before.leads || before.view != after.view) {
            self.primary_began(now, replica, core, after.view);
        }
    }

    /// Brings what is known of the replica's log up to what it shows.
    fn log_changed(
        &mut self,
        now: Timestamp,
        replica: ReplicaId,
        core: &impl Observe,
        before: Option<&Glance>,
        (written, durable): (u64, u64),
    ) {
        let seen = &mut self.replicas[usize::from(replica.0)];
        let length = usize::try_from(core.op_number()).expect("a log fits in memory");
        // In normal status entries are only added. A new view's log may differ anywhere, and so may what state
        // transfer leaves of an old one: committed entries go in while the log's view is still the old one.
        let normal = core.status() == Status::Normal;
        let same_log = before
            .is_some_and(|before| before.normal && normal && before.log_view == core.log_view());
        let committed = &self.committed;
        // Where a checkpoint took the entry's place, it stands for what was committed.
        let shown = |op| {
            let reflected = || match op <= core.commit_number() {
                true => entry(committed, op).map(|known| known.digest),
                false => None,
            };
            core.entry_digest(op).or_else(reflected)
        };
        let mut keep = seen.log.len().min(length);
        if !same_log {
            let differs =
                |(digest, op): (&u64, u64)| shown(op).is_some_and(|shown| shown != *digest);
            keep = seen
                .log
                .iter()
                .zip(1..)
                .take(length)
                .position(differs)
                .unwrap_or(keep);
        }
        if keep == seen.log.len() && keep == length {
            return;
        }
        let tail = (keep as u64 + 1..=length as u64).map(|op| shown(op).unwrap_or(0));
        let tail: Vec<u64> = tail.collect();
        seen.log.truncate(keep);
        seen.log.extend_from_slice(&tail);
        if core.commits_from_disk() {
            seen.unsynced.push_back(Change {
                written,
                keep,
                tail,
            });
            seen.settle(durable);
        }
        if let Some(before) = before
            && (keep as u64) < before.commit
        {
            let proof = Err(format!(
                "op {} was committed here and its log now differs from there on",
                keep + 1
            ));
            self.judge(Theorem::ACommitIsNeverLostOrChanged, now, replica, proof);
        }
    }

    /// The replica learned that `op` is committed.
    fn op_committed(
        &mut self,
        now: Timestamp,
        replica: ReplicaId,
        op: u64,
        view: ViewNumber,
        core: &impl Observe,
    ) {
        let digest = entry(&self.replicas[usize::from(replica.0)].log, op).copied();
        let proof = committed_logs_are_prefixes_of_one_another(&self.committed, op, digest);
        self.judge(
            Theorem::CommittedLogsArePrefixesOfOneAnother,
            now,
            replica,
            proof,
        );
        let Some(digest) = digest else { return };
        if self.committed.len() as u64 + 1 != op {
            return;
        }
        self.committed.push(CommittedEntry {
            digest,
            view,
            by: replica,
        });
        if core.commits_from_disk() {
            let all: Vec<_> = (0..).map(ReplicaId).take(self.replicas.len()).collect();
            let group = core.group(op).unwrap_or(&all);
            let durable_log = |id: &ReplicaId| self.replicas[usize::from(id.0)].durable.as_slice();
            let durable_logs = group.iter().map(durable_log);
            let proof = acknowledged_is_durable_on_a_quorum(durable_logs, op, digest);
            self.judge(Theorem::AcknowledgedIsDurableOnAQuorum, now, replica, proof);
        }
    }

    /// The replica is now in normal status and primary of `view`.
    fn primary_began(
        &mut self,
        now: Timestamp,
        replica: ReplicaId,
        core: &impl Observe,
        view: ViewNumber,
    ) {
        let proof = one_primary_per_view(&self.primaries, replica, view);
        self.judge(Theorem::OnePrimaryPerView, now, replica, proof);
        self.primaries.entry(view).or_insert(replica);
        let seen = &self.replicas[usize::from(replica.0)];
        let proof = a_commit_is_never_lost_or_changed(&self.committed, &seen.log, view);
        let tables = self.requests.iter().try_for_each(|(client, requests)| {
            let executed = requests.partition_point(|(op, _)| *op <= core.commit_number());
            match requests[..executed].last() {
                Some((_, request)) => client_tables_agree(core.latest_request(*client), *request),
                None => Ok(()),
            }
        });
        self.judge(Theorem::ACommitIsNeverLostOrChanged, now, replica, proof);
        self.judge(Theorem::ClientTablesAgree, now, replica, tables);
    }

    fn judge(&mut self, theorem: Theorem, time: Timestamp, replica: ReplicaId, proof: Proof) {
        if let Err(detail) = proof
            && self.reported.insert(theorem)
        {
            self.found.push(InvariantViolation {
                theorem,
                time,
                replica,
                detail,
            });
        }
    }
}

impl Seen {
    fn settle(&mut self, position: u64) {
        while self
            .unsynced
            .front()
            .is_some_and(|change| change.written <= position)
        {
            let change = self.unsynced.pop_front().expect("just seen");
            self.durable.truncate(change.keep);
            self.durable.extend(change.tail);
        }
    }
}
