//! The run in one number: every event goes into it, in order.

use viewstorm_protocol::ViewNumber;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The longest part of a message's kind that tells two traces apart.
const KIND_MAX: usize = 24;

/// A running hash over all events processed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TraceHash(u64);

/// What the hash is told of one event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed<'a> {
    pub(crate) time: u64,
    pub(crate) node: u16,
    pub(crate) tag: u8,
    pub(crate) kind: &'a str,
    pub(crate) view: Option<ViewNumber>,
    pub(crate) number: Option<u64>,
    pub(crate) lamport: u64,
}

impl TraceHash {
    /// Takes an event in.
    pub(crate) fn update(&mut self, event: Hashed<'_>) {
        let mut bytes = [0; 48 + KIND_MAX];
        let kind = &event.kind.as_bytes()[..event.kind.len().min(KIND_MAX)];
        let present = u8::from(event.view.is_some()) | u8::from(event.number.is_some()) << 1;
        bytes[..8].copy_from_slice(&event.time.to_le_bytes());
        bytes[8..16].copy_from_slice(&event.lamport.to_le_bytes());
        let view = event.view.unwrap_or_default();
        bytes[16..24].copy_from_slice(&view.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&event.number.unwrap_or(0).to_le_bytes());
        bytes[32..34].copy_from_slice(&event.node.to_le_bytes());
        bytes[34] = event.tag;
        bytes[35] = present;
        bytes[40..48].copy_from_slice(&view.epoch.0.to_le_bytes());
        bytes[48..48 + kind.len()].copy_from_slice(kind);
        self.0 = xxh3_64_with_seed(&bytes, self.0);
    }

    /// Takes one more number in.
    pub(crate) fn mix(&mut self, value: u64) {
        self.0 = xxh3_64_with_seed(&value.to_le_bytes(), self.0);
    }

    /// The hash so far.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}
