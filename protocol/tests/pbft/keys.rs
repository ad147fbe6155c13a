//! Signatures and authenticators: what holds, what does not, and that one rule says so.

use std::collections::BTreeMap;

use bytes::Bytes;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};
use viewstorm_protocol::pbft::{
    Authentication, AuthenticationMode, Checkpoint, Commit, Ed25519, KeyError, KeyedHash, Keys,
    NULL_DIGEST, PbftMessage, Prepare, Proof, PublicKey, Request, SecretKey, SequenceNumber,
    Signature, Signed, Statement,
};
use viewstorm_protocol::{ClientId, Digest, NodeId, ReplicaId, ViewNumber};

const CLUSTER: Digest = Digest::from_bytes([7; 32]);

fn secret(node: NodeId) -> SecretKey {
    let name = format!("{node}");
    SecretKey(*Digest::of_parts("test key", &[name.as_bytes()]).as_bytes())
}

fn nodes() -> Vec<NodeId> {
    let replicas = (0..4).map(NodeId::replica);
    replicas.chain([NodeId::Client(0)]).collect()
}

fn public() -> BTreeMap<NodeId, PublicKey> {
    nodes()
        .iter()
        .map(|node| (*node, secret(*node).public()))
        .collect()
}

fn ed25519(node: NodeId) -> Keys {
    Ed25519::keys(node, &secret(node), &public()).unwrap()
}

/// Each scheme's keys of a node.
fn schemes(node: NodeId) -> [Keys; 2] {
    [ed25519(node), KeyedHash::keys(11, node)]
}

fn authentication(keys: Keys, mode: AuthenticationMode) -> Authentication {
    let replicas = (0..4).map(ReplicaId).collect();
    Authentication::new(CLUSTER, keys, replicas, mode)
}

fn prepare(number: u64) -> Prepare {
    Prepare {
        view: ViewNumber::new(3),
        sequence_number: SequenceNumber(number),
        digest: Digest::of_parts("test", &[]),
    }
}

#[test]
fn a_signature_holds_for_its_signer_and_message_alone() {
    let (r0, r1) = (NodeId::replica(0), NodeId::replica(1));
    for (signer, other) in schemes(r0).into_iter().zip(schemes(r1)) {
        let signature = signer.sign(b"m");
        let holds = |signer, message: &[u8], signature: &Signature| {
            other.verify(&[Statement {
                signer,
                message,
                signature,
            }])
        };
        assert!(holds(r0, b"m", &signature));
        assert!(!holds(r1, b"m", &signature));
        assert!(!holds(r0, b"n", &signature));
        assert!(!holds(r0, b"", &signature));
        for byte in 0..if format!("{signer:?}").starts_with("Ed") {
            64
        } else {
            16
        } {
            let mut wrong = signature;
            wrong.0[byte] ^= 1;
            assert!(!holds(r0, b"m", &wrong), "byte {byte} of {signer:?}");
        }
    }
}

#[test]
fn a_tag_is_for_one_receiver_and_from_one_sender() {
    for index in 0..2 {
        let keys = |node| schemes(node)[index].clone();
        let (r0, r1, r2) = (NodeId::replica(0), NodeId::replica(1), NodeId::replica(2));
        let tag = keys(r0).tag(r1, b"m").unwrap();
        assert!(keys(r1).verify_tag(r0, b"m", &tag));
        assert!(!keys(r1).verify_tag(r0, b"n", &tag));
        assert!(!keys(r1).verify_tag(r2, b"m", &tag));
        assert!(!keys(r2).verify_tag(r0, b"m", &tag));
        // Nor is it turned round: r1's own tag for r0 is another.
        assert!(!keys(r0).verify_tag(r1, b"m", &tag));
    }
    assert_eq!(
        ed25519(NodeId::replica(0)).tag(NodeId::Client(9), b"m"),
        None
    );
}

/// A signature that the equation without the cofactor refuses, alone, and a batch accepts one time in eight: its R has
/// a component of small order. Here it is one for everybody, alone and among others.
#[test]
fn a_signature_is_one_alone_exactly_if_it_is_one_among_others() {
    let r0 = NodeId::replica(0);
    let signing = ed25519_dalek::SigningKey::from_bytes(&secret(r0).0);
    let a = signing.to_scalar();
    let public = signing.verifying_key().to_bytes();
    let keys = ed25519(NodeId::replica(1));
    for (index, torsion) in EIGHT_TORSION.iter().enumerate() {
        let message = format!("message {index}");
        let r = Scalar::from(1000 + index as u64);
        let point = curve25519_dalek::EdwardsPoint::mul_base(&r) + torsion;
        let mut hash = Sha512::new();
        hash.update(point.compress().as_bytes());
        hash.update(public);
        hash.update(message.as_bytes());
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(point.compress().as_bytes());
        bytes[32..].copy_from_slice((r + k * a).as_bytes());
        let odd = Signature(bytes);
        let odd = Statement {
            signer: r0,
            message: message.as_bytes(),
            signature: &odd,
        };
        assert!(keys.verify(&[odd]), "alone, torsion {index}");
        for company in 1..20 {
            let text = format!("company {company}");
            let signature = ed25519(r0).sign(text.as_bytes());
            let honest = Statement {
                signer: r0,
                message: text.as_bytes(),
                signature: &signature,
            };
            assert!(keys.verify(&[odd, honest]), "torsion {index}, {text}");
        }
    }
}

#[test]
fn a_malleated_signature_and_one_of_small_order_are_none() {
    let r0 = NodeId::replica(0);
    let keys = ed25519(r0);
    let holds = |signature: &Signature| {
        keys.verify(&[Statement {
            signer: r0,
            message: b"m",
            signature,
        }])
    };
    // s + l says the same as s (RFC 8032 §8.4).
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut signature = keys.sign(b"m");
    assert!(holds(&signature));
    let mut carry = 0;
    for (byte, add) in signature.0[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert!(!holds(&signature));
    for torsion in EIGHT_TORSION {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(torsion.compress().as_bytes());
        assert!(!holds(&Signature(bytes)));
    }
}

#[test]
fn keys_that_are_none_are_refused_by_name() {
    let r0 = NodeId::replica(0);
    let mut members = public();
    members.insert(NodeId::replica(2), PublicKey(EIGHT_TORSION[1].compress().0));
    let refused = Ed25519::keys(r0, &secret(r0), &members).unwrap_err();
    assert_eq!(refused, KeyError::Unusable(NodeId::replica(2)));
    let no_point = (0..=255).map(|first| {
        let mut bytes = [0; 32];
        bytes[0] = first;
        bytes
    });
    let no_point = no_point
        .into_iter()
        .find(|bytes| CompressedEdwardsY(*bytes).decompress().is_none());
    members.insert(NodeId::replica(2), PublicKey(no_point.unwrap()));
    assert!(Ed25519::keys(r0, &secret(r0), &members).is_err());
    let foreign = Ed25519::keys(r0, &secret(NodeId::replica(1)), &public()).unwrap_err();
    assert_eq!(foreign, KeyError::Foreign(r0));
    assert!(!format!("{:?}", ed25519(r0)).contains(&format!("{}", secret(r0).0[0])));
}

/// The same bytes under another kind, cluster, view, number or name are not signed.
#[test]
fn a_signature_is_bound_to_cluster_kind_view_number_and_sender() {
    for keys in schemes(NodeId::replica(1)) {
        let check = authentication(keys.clone(), AuthenticationMode::Signatures);
        let prepare = check.sign(prepare(5)).into_signed();
        assert!(check.verify(prepare.clone()).is_some());
        // A commit has the same fields, and so the same bytes.
        let content = *prepare.content();
        let commit = Commit {
            view: content.view,
            sequence_number: content.sequence_number,
            digest: content.digest,
        };
        let replayed = Signed::from_parts(prepare.signer(), commit, prepare.proof().clone());
        assert_eq!(replayed.bytes(), prepare.bytes());
        assert!(check.verify(replayed).is_none());
        let as_other = Signed::from_parts(NodeId::replica(2), content, prepare.proof().clone());
        assert!(check.verify(as_other).is_none());
        let replicas = (0..4).map(ReplicaId).collect();
        let mode = AuthenticationMode::Signatures;
        let other = Authentication::new(Digest::from_bytes([8; 32]), keys, replicas, mode);
        assert!(other.verify(prepare).is_none());
    }
}

#[test]
fn each_mode_has_its_own_proofs_and_transferable_ones_are_always_signed() {
    let r0 = NodeId::replica(0);
    for keys in schemes(r0) {
        let signatures = authentication(keys.clone(), AuthenticationMode::Signatures);
        let authenticators = authentication(keys, AuthenticationMode::Authenticators);
        let (signed, tagged) = (signatures.sign(prepare(1)), authenticators.sign(prepare(1)));
        assert!(matches!(signed.proof(), Proof::Signature(_)));
        assert!(matches!(tagged.proof(), Proof::Authenticator(tags) if tags.len() == 4));
        assert!(signatures.verify(tagged.clone().into_signed()).is_none());
        assert!(
            authenticators
                .verify(signed.clone().into_signed())
                .is_none()
        );
        assert!(signatures.verify(signed.into_signed()).is_some());
        assert!(authenticators.verify(tagged.into_signed()).is_some());
        let checkpoint = Checkpoint {
            sequence_number: SequenceNumber(1),
            digest: NULL_DIGEST,
        };
        let checkpoint = authenticators.sign(checkpoint).into_signed();
        assert!(matches!(checkpoint.proof(), Proof::Signature(_)));
        assert!(authenticators.verify(checkpoint).is_some());
    }
}

/// The hole of every authenticator: some receivers can check it, others cannot.
#[test]
fn an_authenticator_may_hold_at_some_receivers_and_not_at_others() {
    let client = authentication(
        ed25519(NodeId::Client(0)),
        AuthenticationMode::Authenticators,
    );
    let request = client.sign(Request {
        client: ClientId {
            endpoint: 0,
            session: 1,
        },
        timestamp: 1,
        operation: Bytes::from_static(b"x"),
    });
    let Proof::Authenticator(mut tags) = request.proof().clone() else {
        panic!("tags are asked for");
    };
    tags[2].0[0] ^= 1;
    let request = Signed::from_parts(
        request.signer(),
        request.content().clone(),
        Proof::Authenticator(tags),
    );
    for index in 0..4 {
        let keys = ed25519(NodeId::replica(index));
        let replica = authentication(keys, AuthenticationMode::Authenticators);
        assert_eq!(replica.verify(request.clone()).is_some(), index != 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A set holds exactly if each member does.
    #[test]
    fn a_set_of_statements_is_true_exactly_if_each_is(
        flips in prop::collection::vec((0..4u16, prop::option::weighted(0.1, 0..64usize)), 1..12),
    ) {
        for scheme in 0..2 {
            let statements: Vec<_> = flips.iter().enumerate().map(|(index, (signer, flip))| {
                let signer = NodeId::replica(*signer);
                let message = format!("message {index}");
                let mut signature = schemes(signer)[scheme].sign(message.as_bytes());
                if let Some(byte) = flip {
                    signature.0[*byte] ^= 0x40;
                }
                (signer, message, signature)
            }).collect();
            let statements: Vec<_> = statements.iter().map(|(signer, message, signature)| Statement {
                signer: *signer,
                message: message.as_bytes(),
                signature,
            }).collect();
            let keys = &schemes(NodeId::replica(0))[scheme];
            let each = statements.iter().all(|one| keys.verify(&[*one]));
            prop_assert_eq!(keys.verify(&statements), each);
            prop_assert_eq!(each, flips.iter().all(|(_, flip)| flip.is_none()));
        }
    }
}

#[test]
fn what_is_signed_reads_back_with_the_very_bytes() {
    let keys = authentication(ed25519(NodeId::replica(3)), AuthenticationMode::Signatures);
    let message = PbftMessage::Prepare(keys.sign(prepare(9)).into_signed());
    let bytes = postcard::to_stdvec(&message).unwrap();
    assert_eq!(
        postcard::from_bytes::<PbftMessage>(&bytes).unwrap(),
        message
    );
}
