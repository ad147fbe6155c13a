//! Probes: the nemesis' test traffic, raw datagrams below QUIC. They say of a link what QUIC's state cannot
//! colour.
//!
//! ```text
//!   0x00  magic  token  id  sent  from  to        all little-endian
//!     1     7      8     8    8     3    3  bytes
//! ```
//!
//! The first byte has QUIC's fixed bit clear, so no QUIC packet begins so (RFC 9000 §17).

use viewstorm_protocol::{NodeId, ReplicaId};

/// How a probe begins.
const MAGIC: [u8; 8] = *b"\0vsprobe";
/// How long a probe is.
pub(crate) const PROBE_BYTES: usize = 38;

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Its name.
    pub(crate) id: u64,
    /// Whose.
    pub(crate) from: NodeId,
    /// Who it is for.
    pub(crate) to: NodeId,
    /// When it was sent, in nanoseconds on the run's clock.
    pub(crate) sent: u64,
}

/// Whether a datagram is a probe, of this run or of another.
pub(super) fn is_probe(datagram: &[u8]) -> bool {
    datagram.starts_with(&MAGIC)
}

/// The datagram of a probe.
pub(super) fn encode(probe: &Probe, token: u64) -> [u8; PROBE_BYTES] {
    let mut datagram = [0; PROBE_BYTES];
    datagram[..8].copy_from_slice(&MAGIC);
    datagram[8..16].copy_from_slice(&token.to_le_bytes());
    datagram[16..24].copy_from_slice(&probe.id.to_le_bytes());
    datagram[24..32].copy_from_slice(&probe.sent.to_le_bytes());
    datagram[32..35].copy_from_slice(&encode_node(probe.from));
    datagram[35..38].copy_from_slice(&encode_node(probe.to));
    datagram
}

/// The probe of this run that a datagram is, if it is one.
pub(super) fn decode(datagram: &[u8], token: u64) -> Option<Probe> {
    let datagram: &[u8; PROBE_BYTES] = datagram.try_into().ok()?;
    let number = |at: usize| {
        let bytes = datagram[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    let node = |at: usize| decode_node([datagram[at], datagram[at + 1], datagram[at + 2]]);
    if !is_probe(datagram) || number(8) != token {
        return None;
    }
    Some(Probe {
        id: number(16),
        sent: number(24),
        from: node(32)?,
        to: node(35)?,
    })
}

fn encode_node(node: NodeId) -> [u8; 3] {
    let (kind, index) = match node {
        NodeId::Replica(ReplicaId(index)) => (0, index),
        NodeId::Client(index) => (1, index),
    };
    let [low, high] = index.to_le_bytes();
    [kind, low, high]
}

fn decode_node([kind, low, high]: [u8; 3]) -> Option<NodeId> {
    let index = u16::from_le_bytes([low, high]);
    match kind {
        0 => Some(NodeId::replica(index)),
        1 => Some(NodeId::Client(index)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROBE: Probe = Probe {
        id: 7,
        from: NodeId::Client(300),
        to: NodeId::replica(2),
        sent: u64::MAX,
    };

    #[test]
    fn a_probe_reads_back_with_its_token_and_with_no_other() {
        let datagram = encode(&PROBE, 5);
        assert_eq!(datagram[0], 0);
        assert_eq!(decode(&datagram, 5), Some(PROBE));
        assert_eq!(decode(&datagram, 6), None);
    }

    proptest! {
        #[test]
        fn any_datagram_is_a_probe_or_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            flip in 0..PROBE_BYTES * 8,
        ) {
            if let Some(probe) = decode(&bytes, 5) {
                prop_assert_eq!(&encode(&probe, 5)[..], &bytes[..]);
            }
            let mut damaged = encode(&PROBE, 5);
            damaged[flip / 8] ^= 1 << (flip % 8);
            prop_assert_ne!(decode(&damaged, 5), Some(PROBE));
        }
    }
}
