//! The theorems, each a function of what the replicas have shown so far.
//!
//! They are asked when something they speak of has changed, and look at that alone: the price of an event
//! does not grow with the log. What was seen before is the [`Ledger`](crate::ledger::Ledger)'s to keep.

use std::collections::BTreeMap;
use std::fmt;

use viewstorm_history::Timestamp;
use viewstorm_protocol::{Digest, Quorum, ReplicaId, ViewNumber};

use crate::ledger::{CommittedEntry, Execution, Glance};

/// What a correct cluster never breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Theorem {
    /// [`one_primary_per_view`].
    OnePrimaryPerView,
    /// [`committed_logs_are_prefixes_of_one_another`].
    CommittedLogsArePrefixesOfOneAnother,
    /// [`state_digests_agree`].
    StateDigestsAgree,
    /// [`a_commit_is_never_lost_or_changed`].
    ACommitIsNeverLostOrChanged,
    /// [`views_and_commit_numbers_never_go_back_in_one_incarnation`].
    ViewsAndCommitNumbersNeverGoBackInOneIncarnation,
    /// [`acknowledged_is_durable_on_a_quorum`].
    AcknowledgedIsDurableOnAQuorum,
    /// [`client_tables_agree`] and [`a_request_is_executed_once`].
    ClientTablesAgree,
    /// [`causes_come_before_effects`].
    CausesComeBeforeEffects,
    /// [`checkpoints_agree`].
    CheckpointsAgree,
}

impl Theorem {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OnePrimaryPerView,
        Self::CommittedLogsArePrefixesOfOneAnother,
        Self::StateDigestsAgree,
        Self::ACommitIsNeverLostOrChanged,
        Self::ViewsAndCommitNumbersNeverGoBackInOneIncarnation,
        Self::AcknowledgedIsDurableOnAQuorum,
        Self::ClientTablesAgree,
        Self::CausesComeBeforeEffects,
        Self::CheckpointsAgree,
    ];

    /// Its name in reports and plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnePrimaryPerView => "one-primary-per-view",
            Self::CommittedLogsArePrefixesOfOneAnother => {
                "committed-logs-are-prefixes-of-one-another"
            }
            Self::StateDigestsAgree => "state-digests-agree",
            Self::ACommitIsNeverLostOrChanged => "a-commit-is-never-lost-or-changed",
            Self::ViewsAndCommitNumbersNeverGoBackInOneIncarnation => {
                "views-and-commit-numbers-never-go-back-in-one-incarnation"
            }
            Self::AcknowledgedIsDurableOnAQuorum => "acknowledged-is-durable-on-a-quorum",
            Self::ClientTablesAgree => "client-tables-agree",
            Self::CausesComeBeforeEffects => "causes-come-before-effects",
            Self::CheckpointsAgree => "checkpoints-agree",
        }
    }
}

impl fmt::Display for Theorem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A theorem does not hold. Each theorem is reported once a run: what follows from it proves nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvariantViolation {
    /// Which theorem.
    pub theorem: Theorem,
    /// When it was seen.
    pub time: Timestamp,
    /// The replica whose step showed it.
    pub replica: ReplicaId,
    /// What contradicts what.
    pub detail: String,
}

impl fmt::Display for InvariantViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            theorem,
            time,
            replica,
            detail,
        } = self;
        write!(
            f,
            "{theorem} does not hold at {time}, seen at {replica}: {detail}"
        )
    }
}

/// Why a theorem does not hold.
pub(crate) type Proof = Result<(), String>;

/// No two replicas are primary of the same view.
pub(crate) fn one_primary_per_view(
    primaries: &BTreeMap<ViewNumber, ReplicaId>,
    replica: ReplicaId,
    view: ViewNumber,
) -> Proof {
    match primaries.get(&view) {
        Some(other) if *other != replica => Err(format!("view {view} already had {other}")),
        _ => Ok(()),
    }
}

/// Of two replicas' committed logs, one is a prefix of the other.
pub(crate) fn committed_logs_are_prefixes_of_one_another(
    committed: &[CommittedEntry],
    op: u64,
    digest: Option<u64>,
) -> Proof {
    let Some(digest) = digest else {
        return Err(format!("it commits op {op}, which its log does not reach"));
    };
    match entry(committed, op) {
        Some(known) if known.digest != digest => Err(format!(
            "its op {op} has digest {digest:016x}; {} committed {:016x} there in view {}",
            known.by, known.digest, known.view
        )),
        _ => Ok(()),
    }
}

/// Whoever executes an operation comes to the same state.
pub(crate) fn state_digests_agree(known: Option<&Execution>, op: u64, here: &Execution) -> Proof {
    match known {
        Some(known) if !known.agrees_with(here) => Err(format!(
            "op {op} executed here as {here}, at {} as {known}",
            known.by
        )),
        _ => Ok(()),
    }
}

/// The primary of a later view holds every operation committed in an earlier one.
pub(crate) fn a_commit_is_never_lost_or_changed(
    committed: &[CommittedEntry],
    log: &[u64],
    view: ViewNumber,
) -> Proof {
    for (known, op) in committed.iter().zip(1u64..) {
        if known.view >= view {
            continue;
        }
        match entry(log, op) {
            Some(digest) if *digest == known.digest => {}
            Some(digest) => {
                return Err(format!(
                    "the primary of view {view} has op {op} with digest {digest:016x}; {} committed \
                     {:016x} there in view {}",
                    known.by, known.digest, known.view
                ));
            }
            None => {
                return Err(format!(
                    "the primary of view {view} lacks op {op}, which {} committed in view {}",
                    known.by, known.view
                ));
            }
        }
    }
    Ok(())
}

/// Between two steps of one incarnation, view, log view and commit-number stay or grow.
pub(crate) fn views_and_commit_numbers_never_go_back_in_one_incarnation(
    before: &Glance,
    after: &Glance,
) -> Proof {
    let went_back = |what, from: &dyn fmt::Display, to: &dyn fmt::Display| {
        Err(format!("its {what} went from {from} to {to}"))
    };
    if after.view < before.view {
        return went_back("view", &before.view, &after.view);
    }
    if after.log_view < before.log_view {
        return went_back("log view", &before.log_view, &after.log_view);
    }
    if after.commit < before.commit {
        return went_back("commit-number", &before.commit, &after.commit);
    }
    Ok(())
}

/// What is committed, and so may be acknowledged, is on the disks of a majority.
pub(crate) fn acknowledged_is_durable_on_a_quorum<'a>(
    durable_logs: impl ExactSizeIterator<Item = &'a [u64]>,
    op: u64,
    digest: u64,
) -> Proof {
    let quorum = Quorum::of(durable_logs.len());
    let holders = durable_logs
        .filter(|log| entry(log, op) == Some(&digest))
        .count();
    if holders >= quorum.majority() {
        return Ok(());
    }
    Err(format!(
        "op {op} is committed and durable on {holders} of {} replicas",
        quorum.members()
    ))
}

/// A replica that executed a session's request has it in its client table.
pub(crate) fn client_tables_agree(latest: Option<u64>, executed: u64) -> Proof {
    match latest {
        Some(latest) if latest >= executed => Ok(()),
        Some(latest) => Err(format!(
            "request {executed} was executed, the table has {latest}"
        )),
        None => Err(format!(
            "request {executed} was executed, the table knows no such client"
        )),
    }
}

/// A session's requests are executed in their order, each once.
pub(crate) fn a_request_is_executed_once(before: Option<u64>, request: u64) -> Proof {
    match before {
        Some(before) if before >= request => Err(format!(
            "request {request} is executed after request {before}"
        )),
        _ => Ok(()),
    }
}

/// A receipt has a later Lamport time than its sending and than all before it on its node.
pub(crate) fn causes_come_before_effects(stamp: u64, before: u64, receipt: u64) -> Proof {
    if receipt > stamp && receipt > before {
        return Ok(());
    }
    Err(format!(
        "a receipt at {receipt} follows {before} on its node and a sending at {stamp}"
    ))
}

/// Checkpoints at one op are the same: state, client table and log.
pub(crate) fn checkpoints_agree(known: (Digest, ReplicaId), op: u64, digest: Digest) -> Proof {
    match known {
        (other, by) if other != digest => Err(format!(
            "its checkpoint at op {op} is {digest}, that of {by} {other}"
        )),
        _ => Ok(()),
    }
}

/// What stands at `op`, counted from 1.
pub(crate) fn entry<T>(log: &[T], op: u64) -> Option<&T> {
    log.get(usize::try_from(op.checked_sub(1)?).ok()?)
}
