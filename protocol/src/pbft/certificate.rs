//! Certificates: what a quorum has signed, put together so that anybody can check it.
//!
//! They are checked by the messages' own bytes and the cluster's public keys, now or long after the run.

use serde::{Deserialize, Serialize};

use super::message::{
    Checkpoint, Commit, NULL_DIGEST, NewViewProposal, PrePrepare, Prepare, SequenceNumber,
    ViewChange,
};
use super::quorum::ByzantineQuorum;
use super::signed::{Authentication, Content, Signed};
use crate::{Digest, NodeId, ReplicaId, ViewNumber};

/// Why something is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Some signer is no replica of the cluster.
    #[error("{0} is no replica of the cluster")]
    Stranger(NodeId),
    /// A replica counts once.
    #[error("{0} signed twice")]
    Twice(ReplicaId),
    /// The messages are not about the same thing.
    #[error("{0} signed something else")]
    Different(ReplicaId),
    /// A pre-prepare is the primary's prepare: it does not send another.
    #[error("{0} is the primary and signed a prepare")]
    PrimaryPrepared(ReplicaId),
    /// The proposal is not the primary's.
    #[error("{0} is not the primary of the view")]
    NotPrimary(ReplicaId),
    /// Not enough of them.
    #[error("{found} replicas signed where {needed} are needed")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// A signature that is none.
    #[error("a signature does not hold")]
    Forged,
}

/// Who assigned the batch to its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Assignment {
    /// The view's primary, by a pre-prepare.
    PrePrepare(Signed<PrePrepare>),
    /// The view's primary, as part of its new view (TOCS §4.5): X stands for pre-prepares.
    NewView(Box<NewViewProposal>),
}

impl Assignment {
    /// Who says so.
    pub fn signer(&self) -> NodeId {
        match self {
            Self::PrePrepare(message) => message.signer(),
            Self::NewView(message) => message.new_view.signer(),
        }
    }

    /// The view.
    pub fn view(&self) -> ViewNumber {
        match self {
            Self::PrePrepare(message) => message.content().view,
            Self::NewView(message) => message.new_view.content().view,
        }
    }

    /// What it assigns to `number`.
    pub fn digest(&self, number: SequenceNumber) -> Option<Digest> {
        match self {
            Self::PrePrepare(message) => {
                let content = message.content();
                (content.sequence_number == number).then_some(content.digest)
            }
            Self::NewView(message) => message.new_view.content().digest_at(number),
        }
    }

    fn holds(&self, keys: &Authentication) -> bool {
        match self {
            Self::PrePrepare(message) => keys.holds(&[keys.claim(message)]),
            Self::NewView(message) => keys.holds(&[keys.claim(&message.new_view)]),
        }
    }
}

/// prepared(m, v, n, i) (PBFT §4.2): a pre-prepare and matching prepares of 2f backups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreparedCertificate {
    /// Whence the batch has its place.
    pub assignment: Assignment,
    /// The backups' prepares.
    pub prepares: Vec<Signed<Prepare>>,
}

impl PreparedCertificate {
    /// Checks it; returns what is prepared.
    pub fn check(&self, keys: &Authentication) -> Result<Prepare, CertificateError> {
        let quorum = ByzantineQuorum::of(keys.replicas().len());
        let needed = quorum.prepares();
        let prepare = agreed(&self.prepares, keys, needed)?;
        let primary = primary_of(prepare.view, keys);
        let signers = self.prepares.iter().filter_map(Signed::replica);
        if signers.into_iter().any(|signer| signer == primary) {
            return Err(CertificateError::PrimaryPrepared(primary));
        }
        match self.assignment.signer().as_replica() {
            Some(signer) if signer == primary => {}
            Some(signer) => return Err(CertificateError::NotPrimary(signer)),
            None => return Err(CertificateError::Stranger(self.assignment.signer())),
        }
        if self.assignment.view() != prepare.view
            || self.assignment.digest(prepare.sequence_number) != Some(prepare.digest)
        {
            return Err(CertificateError::Different(primary));
        }
        if !self.assignment.holds(keys) {
            return Err(CertificateError::Forged);
        }
        Ok(prepare)
    }
}

/// committed-local(m, v, n, i) (PBFT §4.2): matching commits of a quorum. f+1 of them are from correct replicas at
/// which the batch is prepared: whoever holds it knows committed(m, v, n), prepared itself or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitCertificate {
    /// The commits.
    pub commits: Vec<Signed<Commit>>,
}

impl CommitCertificate {
    /// Checks it; returns what is committed.
    pub fn check(&self, keys: &Authentication) -> Result<Commit, CertificateError> {
        let needed = ByzantineQuorum::of(keys.replicas().len()).quorum();
        agreed(&self.commits, keys, needed)
    }
}

/// A stable checkpoint's proof (PBFT §4.3), or a weak certificate (TOCS §4.3): matching checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointCertificate(Vec<Signed<Checkpoint>>);

impl CheckpointCertificate {
    /// Puts the messages together; there is at least one.
    pub fn new(checkpoints: Vec<Signed<Checkpoint>>) -> Self {
        Self(checkpoints)
    }

    /// What the first of them says; nothing for none.
    pub fn checkpoint(&self) -> Checkpoint {
        let first = self.0.first().map(|message| *message.content());
        first.unwrap_or(Checkpoint {
            sequence_number: SequenceNumber::ZERO,
            digest: NULL_DIGEST,
        })
    }

    /// The messages.
    pub fn checkpoints(&self) -> &[Signed<Checkpoint>] {
        &self.0
    }

    /// Checks that a quorum signed it: everybody may forget what came before.
    pub fn check_stable(&self, keys: &Authentication) -> Result<Checkpoint, CertificateError> {
        let needed = ByzantineQuorum::of(keys.replicas().len()).quorum();
        agreed(&self.0, keys, needed)
    }

    /// Checks that some correct replica signed it: the state exists.
    pub fn check_weak(&self, keys: &Authentication) -> Result<Checkpoint, CertificateError> {
        let needed = ByzantineQuorum::of(keys.replicas().len()).weak();
        agreed(&self.0, keys, needed)
    }
}

/// The view changes that a new view is chosen from: of n-f replicas, for one view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewChangeCertificate {
    /// The view changes.
    pub view_changes: Vec<Signed<ViewChange>>,
}

impl ViewChangeCertificate {
    /// Checks it; returns the view.
    pub fn check(&self, keys: &Authentication) -> Result<ViewNumber, CertificateError> {
        let needed = ByzantineQuorum::of(keys.replicas().len()).quorum();
        let signers = distinct(&self.view_changes, keys, needed)?;
        let view = self.view_changes[0].content().view;
        for (signer, message) in signers.into_iter().zip(&self.view_changes) {
            if message.content().view != view {
                return Err(CertificateError::Different(signer));
            }
        }
        all_hold(&self.view_changes, keys)?;
        Ok(view)
    }
}

fn primary_of(view: ViewNumber, keys: &Authentication) -> ReplicaId {
    let members = keys.replicas();
    members[(view.number % members.len() as u64) as usize]
}

/// Checks that enough different replicas signed one and the same content.
fn agreed<M: Content + Copy>(
    messages: &[Signed<M>],
    keys: &Authentication,
    needed: usize,
) -> Result<M, CertificateError> {
    let signers = distinct(messages, keys, needed)?;
    let content = *messages[0].content();
    for (signer, message) in signers.into_iter().zip(messages) {
        if *message.content() != content {
            return Err(CertificateError::Different(signer));
        }
    }
    all_hold(messages, keys)?;
    Ok(content)
}

/// The signers, if they are enough and all different.
fn distinct<M: Content>(
    messages: &[Signed<M>],
    keys: &Authentication,
    needed: usize,
) -> Result<Vec<ReplicaId>, CertificateError> {
    let (found, members) = (messages.len(), keys.replicas().len());
    let mut signers = Vec::with_capacity(found.min(members));
    for message in messages {
        let signer = message.replica();
        let signer = signer.filter(|id| keys.replicas().binary_search(id).is_ok());
        let signer = signer.ok_or(CertificateError::Stranger(message.signer()))?;
        if signers.contains(&signer) {
            return Err(CertificateError::Twice(signer));
        }
        signers.push(signer);
    }
    if found < needed.max(1) {
        return Err(CertificateError::TooFew { found, needed });
    }
    Ok(signers)
}

fn all_hold<M: Content>(
    messages: &[Signed<M>],
    keys: &Authentication,
) -> Result<(), CertificateError> {
    let claims: Vec<_> = messages.iter().map(|message| keys.claim(message)).collect();
    match keys.holds(&claims) {
        true => Ok(()),
        false => Err(CertificateError::Forged),
    }
}

impl super::message::NewView {
    /// What it assigns to `number`: nothing outside of X.
    pub fn digest_at(&self, number: SequenceNumber) -> Option<Digest> {
        let first = self.checkpoint.sequence_number.0.checked_add(1)?;
        let place = usize::try_from(number.0.checked_sub(first)?).ok()?;
        self.chosen.get(place).copied()
    }
}
