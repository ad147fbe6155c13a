//! Authentication: who can have said what. Keys come in as values.
//!
//! | file | what it is |
//! |---|---|
//! | `scheme` | what the protocol asks of a node's keys |
//! | `ed25519` | Ed25519 signatures, one rule for one and for many; message authentication codes |
//! | `keyed_hash` | a cheap stand-in for simulations, with the same failures |

mod ed25519;
mod keyed_hash;
mod scheme;

pub use ed25519::{Ed25519, KeyError, PublicKey, SecretKey};
pub use keyed_hash::KeyedHash;
pub use scheme::{Authenticator, Keys, Signature, Statement, Tag};
