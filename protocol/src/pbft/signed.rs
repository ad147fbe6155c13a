//! What is signed, with the very bytes that were; and what was verified.
//!
//! A [`Signed`] keeps the bytes it came with: whoever checks it later, checks those, and no encoder can change what
//! somebody has signed. A [`Verified`] can be made by [`Authentication`] alone.

use std::fmt::Debug;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SequenceNumber;
use super::keys::{Keys, Signature, Statement, Tag};
use crate::{Digest, NodeId, ReplicaId, ViewNumber};

/// What the bytes that are signed begin with.
const DOMAIN: &[u8] = b"viewstorm PBFT 1";

/// What can be signed.
pub trait Content: Clone + Debug + PartialEq + Serialize + DeserializeOwned {
    /// The message's name in the paper. A signature of one kind is none of another.
    const KIND: &'static str;
    /// Whether others than its receiver must be able to check it, so that it is signed in every configuration.
    const TRANSFERABLE: bool;

    /// The view it belongs to, if it names one.
    fn view(&self) -> Option<ViewNumber>;
    /// Its sequence number, if it has one.
    fn sequence_number(&self) -> Option<SequenceNumber>;
}

/// How a message proves whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// Everybody can check it.
    Signature(Signature),
    /// An authenticator (PBFT §5.2): a code for each replica, in the order of their numbers. Nobody can check
    /// another's.
    Authenticator(Vec<Tag>),
}

/// How requests, pre-prepares, prepares and commits prove whose they are. Checkpoints, view changes and new views are
/// signed either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticationMode {
    /// By signatures.
    #[default]
    Signatures,
    /// By authenticators: much cheaper. A faulty client can then send a request that some replicas can check and
    /// others cannot (Clement and others, "Making Byzantine fault tolerant systems tolerate Byzantine faults",
    /// NSDI'09, the "big MAC attack"), and nobody can prove to a third party what was said.
    Authenticators,
}

/// Content, who says it, and the proof: not verified yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed<M> {
    signer: NodeId,
    bytes: Bytes,
    proof: Proof,
    content: M,
}

impl<M: Content> Signed<M> {
    /// Puts a message together from its parts, whoever has signed it or has not.
    pub fn from_parts(signer: NodeId, content: M, proof: Proof) -> Self {
        Self {
            signer,
            bytes: encode(&content),
            proof,
            content,
        }
    }

    /// Who says it, if the proof holds.
    pub fn signer(&self) -> NodeId {
        self.signer
    }

    /// The replica that says it, if the proof holds.
    pub fn replica(&self) -> Option<ReplicaId> {
        self.signer.as_replica()
    }

    /// What it says.
    pub fn content(&self) -> &M {
        &self.content
    }

    /// The content as it was encoded by whoever signed it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The proof that came with it.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The digest of what is said and of who says it. The proof is no part of it: two signatures of one statement are
    /// the same statement.
    pub fn digest(&self) -> Digest {
        Digest::of_parts(M::KIND, &[self.signer.to_string().as_bytes(), &self.bytes])
    }

    /// What is to be checked about it.
    pub(super) fn claim(&self, cluster: &Digest) -> Claim<'_> {
        Claim {
            signer: self.signer,
            message: preimage(cluster, self.signer, &self.content, &self.bytes),
            proof: &self.proof,
            transferable: M::TRANSFERABLE,
        }
    }
}

impl<M: Serialize> Serialize for Signed<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.signer, &self.bytes, &self.proof).serialize(serializer)
    }
}

impl<'de, M: Content> Deserialize<'de> for Signed<M> {
    /// Refuses bytes that are no content, and every encoding of a content but one: equal content, equal digest.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (signer, bytes, proof): (NodeId, Bytes, Proof) =
            Deserialize::deserialize(deserializer)?;
        let content: M = postcard::from_bytes(&bytes).map_err(D::Error::custom)?;
        if encode(&content) != bytes {
            return Err(D::Error::custom("not the canonical encoding"));
        }
        Ok(Self {
            signer,
            bytes,
            proof,
            content,
        })
    }
}

/// Content whose proof was checked, or which is this node's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified<M>(Signed<M>);

impl<M> Verified<M> {
    /// Gives up the knowledge: to be sent, or stored.
    pub fn into_signed(self) -> Signed<M> {
        self.0
    }

    /// The message, to be shown to others.
    pub fn as_signed(&self) -> &Signed<M> {
        &self.0
    }
}

impl<M> Deref for Verified<M> {
    type Target = Signed<M>;

    fn deref(&self) -> &Signed<M> {
        &self.0
    }
}

/// Something to be checked.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    signer: NodeId,
    message: Vec<u8>,
    proof: &'a Proof,
    transferable: bool,
}

/// A node's keys in one cluster.
#[derive(Clone, Debug)]
pub struct Authentication {
    cluster: Digest,
    keys: Keys,
    replicas: Vec<ReplicaId>,
    mode: AuthenticationMode,
}

impl Authentication {
    /// The keys of a node of the cluster: `cluster` names it, `replicas` are its members, ascending.
    pub fn new(
        cluster: Digest,
        keys: Keys,
        replicas: Vec<ReplicaId>,
        mode: AuthenticationMode,
    ) -> Self {
        Self {
            cluster,
            keys,
            replicas,
            mode,
        }
    }

    /// Whose keys they are.
    pub fn me(&self) -> NodeId {
        self.keys.me()
    }

    /// The cluster's replicas, ascending.
    pub fn replicas(&self) -> &[ReplicaId] {
        &self.replicas
    }

    /// How votes prove whose they are.
    pub fn mode(&self) -> AuthenticationMode {
        self.mode
    }

    /// Says something, with the proof that the configuration has for it.
    pub fn sign<M: Content>(&self, content: M) -> Verified<M> {
        let bytes = encode(&content);
        let message = preimage(&self.cluster, self.me(), &content, &bytes);
        let proof = if M::TRANSFERABLE || self.mode == AuthenticationMode::Signatures {
            Proof::Signature(self.keys.sign(&message))
        } else {
            let tag = |id: &ReplicaId| self.keys.tag(NodeId::Replica(*id), &message);
            let tags = self.replicas.iter().map(tag).collect::<Option<_>>();
            Proof::Authenticator(tags.expect("every replica has a key"))
        };
        Verified(Signed {
            signer: self.me(),
            bytes,
            proof,
            content,
        })
    }

    /// Checks one message.
    pub fn verify<M: Content>(&self, signed: Signed<M>) -> Option<Verified<M>> {
        let holds = self.holds(&[signed.claim(&self.cluster)]);
        holds.then_some(Verified(signed))
    }

    /// Checks messages all in one go; drops those whose proofs do not hold.
    pub fn verify_all<M: Content>(&self, messages: Vec<Signed<M>>) -> Vec<Verified<M>> {
        let claims: Vec<_> = messages.iter().map(|message| self.claim(message)).collect();
        let holds = self.sift(&claims);
        let checked = messages.into_iter().zip(holds);
        let good = checked.filter_map(|(message, holds)| holds.then_some(Verified(message)));
        good.collect()
    }

    /// What is to be checked about a message.
    pub(super) fn claim<'a, M: Content>(&self, signed: &'a Signed<M>) -> Claim<'a> {
        signed.claim(&self.cluster)
    }

    /// Whether all the claims hold.
    pub(super) fn holds(&self, claims: &[Claim<'_>]) -> bool {
        let mut statements = Vec::with_capacity(claims.len());
        for claim in claims {
            match claim.proof {
                Proof::Signature(signature)
                    if claim.transferable || self.mode == AuthenticationMode::Signatures =>
                {
                    statements.push(Statement {
                        signer: claim.signer,
                        message: &claim.message,
                        signature,
                    });
                }
                Proof::Authenticator(tags)
                    if !claim.transferable && self.mode == AuthenticationMode::Authenticators =>
                {
                    if !self.tag_holds(claim, tags) {
                        return false;
                    }
                }
                _ => return false,
            }
        }
        statements.is_empty() || self.keys.verify(&statements)
    }

    fn tag_holds(&self, claim: &Claim<'_>, tags: &[Tag]) -> bool {
        let me = self.me().as_replica();
        let place = me.and_then(|me| self.replicas.binary_search(&me).ok());
        let tag = place.and_then(|place| tags.get(place));
        tags.len() == self.replicas.len()
            && tag.is_some_and(|tag| self.keys.verify_tag(claim.signer, &claim.message, tag))
    }

    /// Which of the claims hold: all in one go, and halves of what does not hold, so that k bad ones among n cost
    /// k log n checks.
    pub(super) fn sift(&self, claims: &[Claim<'_>]) -> Vec<bool> {
        if claims.is_empty() || self.holds(claims) {
            return vec![true; claims.len()];
        }
        if claims.len() == 1 {
            return vec![false];
        }
        let (left, right) = claims.split_at(claims.len() / 2);
        let mut found = self.sift(left);
        found.extend(self.sift(right));
        found
    }
}

fn encode(content: &impl Serialize) -> Bytes {
    let bytes = postcard::to_stdvec(content);
    Bytes::from(bytes.expect("a vector takes all that is written to it"))
}

/// What is signed: the cluster, the kind, the sender, the view and the sequence number, each in a place of its own,
/// and the content.
fn preimage<M: Content>(cluster: &Digest, signer: NodeId, content: &M, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(96 + bytes.len());
    message.extend_from_slice(DOMAIN);
    message.extend_from_slice(cluster.as_bytes());
    for text in [M::KIND, &signer.to_string()] {
        message.push(u8::try_from(text.len()).expect("names are short"));
        message.extend_from_slice(text.as_bytes());
    }
    for number in [
        content.view().map(|view| view.epoch.0),
        content.view().map(|view| view.number),
        content.sequence_number().map(|number| number.0),
    ] {
        message.push(u8::from(number.is_some()));
        message.extend_from_slice(&number.unwrap_or(0).to_le_bytes());
    }
    message.extend_from_slice(bytes);
    message
}

#[cfg(test)]
mod tests {
    use super::super::keys::KeyedHash;
    use super::super::message::Checkpoint;
    use super::*;

    #[test]
    fn sifting_finds_exactly_what_does_not_hold() {
        let replicas: Vec<_> = (0..4).map(ReplicaId).collect();
        let keys = KeyedHash::keys(1, NodeId::replica(0));
        let mode = AuthenticationMode::Signatures;
        let keys = Authentication::new(super::super::message::NULL_DIGEST, keys, replicas, mode);
        for bad in 0u32..128 {
            let message = |place| {
                let content = Checkpoint {
                    sequence_number: SequenceNumber(place),
                    digest: super::super::message::NULL_DIGEST,
                };
                let mut signed = keys.sign(content).into_signed();
                if bad >> place & 1 == 1 {
                    signed.proof = Proof::Signature(Signature([9; 64]));
                }
                signed
            };
            let messages: Vec<_> = (0..7).map(message).collect();
            let claims: Vec<_> = messages.iter().map(|message| keys.claim(message)).collect();
            let expected: Vec<_> = (0..7).map(|place| bad >> place & 1 == 0).collect();
            assert_eq!(keys.sift(&claims), expected);
        }
    }
}
