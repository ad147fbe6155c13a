//! Whatever bytes arrive, decoding ends in a message or an error, and there is one encoding of each content.

use bytes::Bytes;
use proptest::prelude::*;
use viewstorm_protocol::pbft::{
    Authentication, AuthenticationMode, Batch, KeyedHash, NULL_DIGEST, PbftMessage, PrePrepare,
    Prepare, Proof, Proposal, Request, SequenceNumber, Signature, Signed,
};
use viewstorm_protocol::{ClientId, Message, NodeId, ReplicaId, ViewNumber};

fn keys(node: NodeId) -> Authentication {
    let replicas = (0..4).map(ReplicaId).collect();
    let keys = KeyedHash::keys(1, node);
    Authentication::new(NULL_DIGEST, keys, replicas, AuthenticationMode::Signatures)
}

fn request(timestamp: u64, operation: &[u8]) -> Signed<Request> {
    let request = Request {
        client: ClientId {
            endpoint: 2,
            session: 3,
        },
        timestamp,
        operation: Bytes::copy_from_slice(operation),
    };
    keys(NodeId::Client(2)).sign(request).into_signed()
}

fn proposal(view: u64, number: u64, operations: &[Vec<u8>]) -> PbftMessage {
    let requests = operations
        .iter()
        .zip(1..)
        .map(|(operation, t)| request(t, operation));
    let batch = Batch::new(requests.collect());
    let pre_prepare = PrePrepare {
        view: ViewNumber::new(view),
        sequence_number: SequenceNumber(number),
        digest: batch.digest(),
    };
    PbftMessage::PrePrepare(Proposal {
        pre_prepare: keys(NodeId::replica(1)).sign(pre_prepare).into_signed(),
        batch,
    })
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = postcard::from_bytes::<PbftMessage>(&bytes) {
            message.kind();
            message.view();
            message.number();
        }
    }

    #[test]
    fn a_damaged_message_is_refused_or_another_one(
        view in any::<u64>(),
        number in any::<u64>(),
        operations in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let message = proposal(view, number, &operations);
        let mut bytes = postcard::to_stdvec(&message).unwrap();
        prop_assert_eq!(postcard::from_bytes::<PbftMessage>(&bytes).unwrap(), message.clone());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = postcard::from_bytes::<PbftMessage>(&bytes) {
            prop_assert_ne!(other, message);
        }
    }

    /// Requests that say the same have one digest whatever their proofs; others have others.
    #[test]
    fn a_batch_digest_tells_what_is_asked(
        one in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..4),
        other in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..4),
    ) {
        let batch = |operations: &[Vec<u8>]| {
            Batch::new(operations.iter().map(|operation| request(1, operation)).collect())
        };
        prop_assert_eq!(batch(&one).digest() == batch(&other).digest(), one == other);
        let unproved = one.iter().map(|operation| {
            let request = request(1, operation);
            let proof = Proof::Signature(Signature([0; 64]));
            Signed::from_parts(request.signer(), request.content().clone(), proof)
        });
        prop_assert_eq!(Batch::new(unproved.collect()).digest(), batch(&one).digest());
    }
}

/// A number may be written in more bytes than it takes: such content is refused, else one content had two digests.
#[test]
fn another_encoding_of_the_same_content_is_refused() {
    let prepare = Prepare {
        view: ViewNumber::new(0),
        sequence_number: SequenceNumber(1),
        digest: NULL_DIGEST,
    };
    let signed = keys(NodeId::replica(1)).sign(prepare).into_signed();
    let good = postcard::to_stdvec(&signed).unwrap();
    assert_eq!(
        postcard::from_bytes::<Signed<Prepare>>(&good).unwrap(),
        signed
    );
    // The signer "r1", then the length of the content, then the view 0 in one byte: here in two.
    let content = signed.bytes();
    assert_eq!(content[0], 0);
    let mut long = vec![0x80, 0x00];
    long.extend_from_slice(&content[1..]);
    let wide = postcard::to_stdvec(&(signed.signer(), Bytes::from(long), signed.proof())).unwrap();
    assert!(postcard::from_bytes::<Signed<Prepare>>(&wide).is_err());
}
