//! Digests: BLAKE3 of bytes, apart by what is digested.

use std::fmt;

use serde::{Deserialize, Serialize};

/// D(m) of the paper: 32 bytes of BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What a null request has in the place of a digest (PBFT §4.4): no batch has it, short of breaking BLAKE3.
    pub const NULL: Self = Self([0; 32]);

    /// The digest of `parts`, each preceded by its length, under the name of what they are.
    pub fn of(what: &'static str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(what);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Whether it stands for a null request.
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }

    /// Its first eight bytes: enough to tell digests apart in traces.
    pub fn short(&self) -> u64 {
        let (first, _) = self.0.split_first_chunk().expect("32 bytes");
        u64::from_be_bytes(*first)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_one_another_nor_kinds_into_kinds() {
        let one = Digest::of("a", &[b"xy", b"z"]);
        assert_ne!(one, Digest::of("a", &[b"x", b"yz"]));
        assert_ne!(one, Digest::of("b", &[b"xy", b"z"]));
        assert_eq!(one, Digest::of("a", &[b"xy", b"z"]));
    }
}
