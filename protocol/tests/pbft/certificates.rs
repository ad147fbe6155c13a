//! Certificates: who must have signed what, and everything that makes one none.

use viewstorm_protocol::pbft::{
    Assignment, Authentication, AuthenticationMode, CertificateError, Checkpoint,
    CheckpointCertificate, Commit, CommitCertificate, KeyedHash, NULL_DIGEST, NewView,
    NewViewProposal, PrePrepare, Prepare, PreparedCertificate, SequenceNumber, Signed, ViewChange,
    ViewChangeCertificate,
};
use viewstorm_protocol::{Digest, NodeId, ReplicaId, ViewNumber};

const CLUSTER: Digest = Digest::from_bytes([1; 32]);
const N: SequenceNumber = SequenceNumber(5);
const VIEW: ViewNumber = ViewNumber::new(2);

/// The keys of a replica among `members`; r9 is a stranger.
fn keys(replica: u16, members: u16) -> Authentication {
    let keys = KeyedHash::keys(1, NodeId::replica(replica));
    let replicas = (0..members).map(ReplicaId).collect();
    Authentication::new(CLUSTER, keys, replicas, AuthenticationMode::Signatures)
}

fn digest() -> Digest {
    Digest::of_parts("test", &[b"batch"])
}

fn commit(replica: u16, digest: Digest) -> Signed<Commit> {
    let content = Commit {
        view: VIEW,
        sequence_number: N,
        digest,
    };
    keys(replica, 4).sign(content).into_signed()
}

fn prepare(replica: u16) -> Signed<Prepare> {
    let content = Prepare {
        view: VIEW,
        sequence_number: N,
        digest: digest(),
    };
    keys(replica, 4).sign(content).into_signed()
}

fn pre_prepare(replica: u16, number: SequenceNumber) -> Assignment {
    let content = PrePrepare {
        view: VIEW,
        sequence_number: number,
        digest: digest(),
    };
    Assignment::PrePrepare(keys(replica, 4).sign(content).into_signed())
}

#[test]
fn a_commit_certificate_takes_a_quorum_of_different_replicas() {
    let check = |commits: Vec<Signed<Commit>>| CommitCertificate { commits }.check(&keys(0, 4));
    let good = |replica| commit(replica, digest());
    let certified = check(vec![good(0), good(2), good(3)]).unwrap();
    assert_eq!((certified.sequence_number, certified.digest), (N, digest()));
    assert_eq!(
        check(vec![good(0), good(2)]),
        Err(CertificateError::TooFew {
            found: 2,
            needed: 3
        })
    );
    assert_eq!(
        check(vec![]),
        Err(CertificateError::TooFew {
            found: 0,
            needed: 3
        })
    );
    assert_eq!(
        check(vec![good(0), good(2), good(2)]),
        Err(CertificateError::Twice(ReplicaId(2)))
    );
    assert_eq!(
        check(vec![good(0), good(2), commit(3, NULL_DIGEST)]),
        Err(CertificateError::Different(ReplicaId(3)))
    );
    assert_eq!(
        check(vec![good(0), good(2), good(9)]),
        Err(CertificateError::Stranger(NodeId::replica(9)))
    );
    let forged = Signed::from_parts(
        NodeId::replica(3),
        *good(0).content(),
        good(0).proof().clone(),
    );
    assert_eq!(
        check(vec![good(0), good(2), forged]),
        Err(CertificateError::Forged)
    );
}

#[test]
fn a_prepared_certificate_is_a_pre_prepare_and_prepares_of_backups() {
    let check = |assignment, prepares: &[u16]| {
        let prepares = prepares.iter().map(|replica| prepare(*replica)).collect();
        PreparedCertificate {
            assignment,
            prepares,
        }
        .check(&keys(0, 4))
    };
    // r2 is the primary of view 2.
    assert_eq!(check(pre_prepare(2, N), &[0, 1]).unwrap().digest, digest());
    assert_eq!(
        check(pre_prepare(2, N), &[0, 2]),
        Err(CertificateError::PrimaryPrepared(ReplicaId(2)))
    );
    assert_eq!(
        check(pre_prepare(3, N), &[0, 1]),
        Err(CertificateError::NotPrimary(ReplicaId(3)))
    );
    assert_eq!(
        check(pre_prepare(2, N.next()), &[0, 1]),
        Err(CertificateError::Different(ReplicaId(2)))
    );
    assert!(check(pre_prepare(2, N), &[0]).is_err());
}

/// TOCS §4.5: what a new view chooses counts as pre-prepared.
#[test]
fn a_new_view_assigns_what_it_chose() {
    let new_view = NewView {
        view: VIEW,
        view_changes: Vec::new(),
        checkpoint: Checkpoint {
            sequence_number: SequenceNumber(3),
            digest: NULL_DIGEST,
        },
        chosen: vec![NULL_DIGEST, digest()],
    };
    for number in [0, 2, 3, 6, u64::MAX] {
        assert_eq!(new_view.digest_at(SequenceNumber(number)), None);
    }
    assert_eq!(new_view.digest_at(SequenceNumber(4)), Some(NULL_DIGEST));
    let proposal = NewViewProposal {
        new_view: keys(2, 4).sign(new_view).into_signed(),
        view_changes: Vec::new(),
    };
    let certificate = PreparedCertificate {
        assignment: Assignment::NewView(Box::new(proposal)),
        prepares: vec![prepare(1), prepare(3)],
    };
    assert!(certificate.check(&keys(0, 4)).is_ok());
}

#[test]
fn a_weak_certificate_takes_f_plus_one_and_a_stable_one_a_quorum() {
    for (members, weak, quorum) in [(4, 2, 3), (7, 3, 5), (10, 4, 7), (6, 2, 4)] {
        let checkpoint = Checkpoint {
            sequence_number: N,
            digest: digest(),
        };
        let of = |count| {
            let sign = |replica| keys(replica, members).sign(checkpoint).into_signed();
            CheckpointCertificate::new((0..count).map(sign).collect())
        };
        let keys = keys(0, members);
        assert!(of(weak - 1).check_weak(&keys).is_err());
        assert_eq!(of(weak).check_weak(&keys), Ok(checkpoint));
        assert!(of(quorum - 1).check_stable(&keys).is_err());
        assert_eq!(of(quorum).check_stable(&keys), Ok(checkpoint));
    }
}

#[test]
fn view_changes_of_a_certificate_are_for_one_view() {
    let view_change = |replica, view| {
        let content = ViewChange {
            view: ViewNumber::new(view),
            low_water_mark: SequenceNumber::ZERO,
            checkpoints: Vec::new(),
            prepared: Vec::new(),
            pre_prepared: Vec::new(),
        };
        keys(replica, 4).sign(content).into_signed()
    };
    let check = |third| {
        let view_changes = vec![view_change(0, 7), view_change(1, 7), third];
        ViewChangeCertificate { view_changes }.check(&keys(0, 4))
    };
    assert_eq!(check(view_change(2, 7)), Ok(ViewNumber::new(7)));
    assert_eq!(
        check(view_change(2, 8)),
        Err(CertificateError::Different(ReplicaId(2)))
    );
    assert_eq!(
        check(view_change(1, 7)),
        Err(CertificateError::Twice(ReplicaId(1)))
    );
}
