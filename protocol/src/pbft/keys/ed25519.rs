//! Ed25519 signatures and message authentication codes.
//!
//! One rule says what a signature is, whether it is checked alone, among others or later by somebody else:
//!
//! ```text
//!   R decodes and is not of small order, 0 <= s < l, [8](sB - kA - R) = 0, k = SHA-512(R || A || M)
//! ```
//!
//! It is the verification equation of RFC 8032 §5.1.7 with the cofactor, as ZIP-215 has it. The equation without the
//! cofactor, which `verify_strict` checks, differs from every batch on signatures with a component of small order: a
//! faulty replica could make correct ones disagree on whether it has signed (Chalkias, Garillot and Nikolaenko,
//! "Taming the many EdDSAs", 2020).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha512};

use super::scheme::{Authenticator, Keys, Signature, Statement, Tag};
use crate::NodeId;

/// What a tag's key is derived under.
const TAG_KEY: &str = "viewstorm PBFT authenticator key 1";
/// What a batch's coefficients are derived under.
const COEFFICIENTS: &str = "viewstorm PBFT batch coefficients 1";

/// The secret half of a node's key: the 32 bytes of RFC 8032.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretKey(pub [u8; 32]);

/// The public half of a node's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub [u8; 32]);

/// Why keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no point of the curve, or one of small order.
    #[error("the public key of {0} is none")]
    Unusable(NodeId),
    /// The node's own public key is not the one of its secret key.
    #[error("the public key of {0} is not that of its secret key")]
    Foreign(NodeId),
}

impl SecretKey {
    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(SigningKey::from_bytes(&self.0).verifying_key().to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// One node's Ed25519 key and everybody's public keys.
pub struct Ed25519 {
    me: NodeId,
    signing: SigningKey,
    members: BTreeMap<NodeId, Member>,
}

/// What is known of a node.
struct Member {
    point: EdwardsPoint,
    encoded: [u8; 32],
    /// The key that this node shares with it.
    shared: [u8; 32],
}

impl Ed25519 {
    /// The keys of `me`, whose own public key is among `members`.
    pub fn keys(
        me: NodeId,
        secret: &SecretKey,
        members: &BTreeMap<NodeId, PublicKey>,
    ) -> Result<Keys, KeyError> {
        if members.get(&me) != Some(&secret.public()) {
            return Err(KeyError::Foreign(me));
        }
        let signing = SigningKey::from_bytes(&secret.0);
        let member = |(node, key): (&NodeId, &PublicKey)| {
            let point = CompressedEdwardsY(key.0).decompress();
            let point = point.filter(|point| !point.is_small_order());
            let point = point.ok_or(KeyError::Unusable(*node))?;
            let known = Member {
                point,
                encoded: key.0,
                shared: shared_key(&signing, &point),
            };
            Ok((*node, known))
        };
        let members = members.iter().map(member).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            me,
            signing,
            members,
        }))
    }

    fn tag_with(&self, shared: &[u8; 32], from: NodeId, message: &[u8]) -> Tag {
        // Both directions share a key: the sender's name keeps a tag from being turned round.
        let mut hasher = blake3::Hasher::new_keyed(shared);
        hasher.update(from.to_string().as_bytes());
        hasher.update(b":");
        hasher.update(message);
        let (tag, _) = (hasher.finalize().as_bytes().split_first_chunk())
            .map(|(tag, rest)| (*tag, rest.len()))
            .expect("32 bytes");
        Tag(tag)
    }
}

/// Diffie-Hellman between the two nodes' keys (an Ed25519 key is one of X25519 in another form; Thormarker, "On using
/// the same key pair for Ed25519 and an X25519 based KEM", 2021), hashed.
fn shared_key(signing: &SigningKey, peer: &EdwardsPoint) -> [u8; 32] {
    let shared = peer.to_montgomery() * signing.to_scalar();
    blake3::derive_key(TAG_KEY, shared.as_bytes())
}

/// A statement taken apart.
struct Equation {
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

impl Member {
    /// The parts of the statement's equation; none if it cannot hold.
    fn equation(&self, statement: &Statement<'_>) -> Option<Equation> {
        let (r_bytes, s_bytes) = statement.signature.0.split_first_chunk::<32>()?;
        let s_bytes: [u8; 32] = s_bytes.try_into().ok()?;
        let s = Option::from(Scalar::from_canonical_bytes(s_bytes))?;
        let r = CompressedEdwardsY(*r_bytes).decompress()?;
        if r.is_small_order() {
            return None;
        }
        let mut hash = Sha512::new();
        hash.update(r_bytes);
        hash.update(self.encoded);
        hash.update(statement.message);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        Some(Equation { r, s, k })
    }
}

impl Authenticator for Ed25519 {
    fn me(&self) -> NodeId {
        self.me
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.signing.sign(message).to_bytes())
    }

    /// The sum of all equations, each times a coefficient that nobody can choose. What one signer has signed shares
    /// one multiplication of its key.
    fn verify(&self, statements: &[Statement<'_>]) -> bool {
        let mut equations = Vec::with_capacity(statements.len());
        for statement in statements {
            let member = self.members.get(&statement.signer);
            match member.and_then(|member| member.equation(statement)) {
                Some(equation) => equations.push(equation),
                None => return false,
            }
        }
        let mut base = Scalar::ZERO;
        let mut keys: BTreeMap<NodeId, Scalar> = BTreeMap::new();
        let mut scalars = Vec::with_capacity(2 * equations.len() + 1);
        let mut points = Vec::with_capacity(2 * equations.len() + 1);
        let coefficients = coefficients(statements, &equations);
        for ((statement, equation), z) in statements.iter().zip(&equations).zip(coefficients) {
            base += z * equation.s;
            *keys.entry(statement.signer).or_insert(Scalar::ZERO) += z * equation.k;
            scalars.push(z);
            points.push(equation.r);
        }
        for (signer, scalar) in keys {
            scalars.push(scalar);
            points.push(self.members[&signer].point);
        }
        scalars.push(-base);
        points.push(ED25519_BASEPOINT_POINT);
        let sum = EdwardsPoint::vartime_multiscalar_mul(scalars, points);
        sum.mul_by_cofactor().is_identity()
    }

    fn tag(&self, to: NodeId, message: &[u8]) -> Option<Tag> {
        let member = self.members.get(&to)?;
        Some(self.tag_with(&member.shared, self.me, message))
    }

    fn verify_tag(&self, from: NodeId, message: &[u8], tag: &Tag) -> bool {
        let Some(member) = self.members.get(&from) else {
            return false;
        };
        let expected = self.tag_with(&member.shared, from, message);
        // In constant time: blake3's hashes compare so.
        blake3::Hash::from(pad(expected.0)) == blake3::Hash::from(pad(tag.0))
    }
}

fn pad(tag: [u8; 16]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&tag);
    bytes
}

/// 128 bits for each statement, which hang on all of them: whoever changes one changes all (Bernstein and others,
/// "High-speed high-security signatures", 2011, §5, with a hash in the place of the random source).
fn coefficients(statements: &[Statement<'_>], equations: &[Equation]) -> Vec<Scalar> {
    if equations.len() == 1 {
        return vec![Scalar::ONE];
    }
    let mut hasher = blake3::Hasher::new_derive_key(COEFFICIENTS);
    for (statement, equation) in statements.iter().zip(equations) {
        // k covers the key, the message and R.
        hasher.update(equation.k.as_bytes());
        hasher.update(&statement.signature.0);
    }
    let mut stream = hasher.finalize_xof();
    let draw = |_: &Equation| {
        let mut bytes = [0; 16];
        stream.fill(&mut bytes);
        Scalar::from(u128::from_le_bytes(bytes))
    };
    equations.iter().map(draw).collect()
}

impl fmt::Debug for Ed25519 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519")
            .field("me", &self.me)
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}
