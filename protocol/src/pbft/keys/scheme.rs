//! What the protocol asks of a node's keys.

use std::fmt::{self, Debug};
use std::sync::Arc;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::NodeId;

/// A node's keys, shared by all that it signs and verifies with.
pub type Keys = Arc<dyn Authenticator>;

/// One node's secret and everybody's public keys.
pub trait Authenticator: Debug + Send + Sync {
    /// Whose secret it holds.
    fn me(&self) -> NodeId;

    /// Signs as [`me`](Self::me): anybody can check it, and show it to others.
    fn sign(&self, message: &[u8]) -> Signature;

    /// Whether each of the statements is signed by whom it names. All together it costs less than one by one, and
    /// says the same: a set is true exactly if each of its members is.
    fn verify(&self, statements: &[Statement<'_>]) -> bool;

    /// Authenticates a message to `to` alone; none if it is nobody that is known.
    fn tag(&self, to: NodeId, message: &[u8]) -> Option<Tag>;

    /// Whether `from` made this tag for [`me`](Self::me).
    fn verify_tag(&self, from: NodeId, message: &[u8], tag: &Tag) -> bool;
}

/// That somebody has signed a message.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Who.
    pub signer: NodeId,
    /// What.
    pub message: &'a [u8],
    /// The evidence.
    pub signature: &'a Signature,
}

/// A signature: 64 bytes, whatever made it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; Self::BYTES]);

impl Signature {
    /// How long it is.
    pub const BYTES: usize = 64;
}

impl Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}..", self.0[0], self.0[1])
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(Self::BYTES)?;
        for byte in &self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Signature;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} bytes", Signature::BYTES)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Signature, A::Error> {
                let mut bytes = [0; Signature::BYTES];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    let next = sequence.next_element()?;
                    *byte = next.ok_or_else(|| A::Error::invalid_length(index, &self))?;
                }
                Ok(Signature(bytes))
            }
        }
        deserializer.deserialize_tuple(Self::BYTES, Bytes)
    }
}

/// A message authentication code for one receiver: 16 bytes. The paper's are 8 (PBFT §5.2), of a cheaper function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag(pub [u8; 16]);
