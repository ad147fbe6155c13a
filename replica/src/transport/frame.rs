//! Frames on a stream: a length of four bytes, little-endian, and as many bytes of postcard.
//!
//! A peer's bytes never panic us and never make us allocate more than a limit: the length is checked before
//! anything is allocated, and what is allocated follows what has arrived.

use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use viewstorm_protocol::{Incarnation, NodeId};

/// The longest frame that travels among the others; a longer one has a stream of its own.
pub(super) const ORDINARY_MAX: usize = 64 << 10;
/// The longest frame.
pub(super) const LARGE_MAX: usize = 16 << 20;
/// The longest hello.
pub(super) const HELLO_MAX: usize = 64;

const LENGTH_BYTES: usize = 4;
/// The empty frame: a sign of life.
pub(super) const PING: &[u8] = &[0; LENGTH_BYTES];
/// What tells this format from others.
const VERSION: u16 = 1;

/// The first frame of a connection, in each direction. Every other one is a
/// [`Parcel`](crate::passenger::Parcel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    version: u16,
    /// Who speaks: what the certificate says.
    pub(super) node: NodeId,
    /// Which start of it.
    pub(super) incarnation: Incarnation,
}

impl Hello {
    pub(super) const fn new(node: NodeId, incarnation: Incarnation) -> Self {
        Self {
            version: VERSION,
            node,
            incarnation,
        }
    }

    pub(super) const fn is_understood(&self) -> bool {
        self.version == VERSION
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {length} bytes where {limit} are the most")]
    TooLong { length: usize, limit: usize },
    #[error("a frame that does not end")]
    Truncated,
    #[error("a frame that says nothing")]
    Unreadable,
}

/// Appends `content` as a frame.
pub(super) fn encode(content: &impl Serialize, buffer: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; LENGTH_BYTES]);
    postcard::to_io(content, &mut *buffer).expect("a vector takes all that is written to it");
    let length = buffer.len() - start - LENGTH_BYTES;
    if length > LARGE_MAX {
        buffer.truncate(start);
        return Err(FrameError::TooLong {
            length,
            limit: LARGE_MAX,
        });
    }
    let prefix = u32::try_from(length)
        .expect("below the limit")
        .to_le_bytes();
    buffer[start..start + LENGTH_BYTES].copy_from_slice(&prefix);
    Ok(())
}

/// Whether a frame of so many bytes, with its length, travels among the others.
pub(super) const fn is_ordinary(frame_bytes: usize) -> bool {
    frame_bytes <= LENGTH_BYTES + ORDINARY_MAX
}

/// Reads what a frame holds, which must be all of it.
pub(super) fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(frame) {
        Ok((content, [])) => Ok(content),
        _ => Err(FrameError::Unreadable),
    }
}

/// Cuts the bytes of a stream into frames.
#[derive(Debug)]
pub(super) struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

impl Decoder {
    /// A decoder of frames of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
        }
    }

    /// From now on frames have at most `limit` bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes what arrived. The caller takes all whole frames out before it comes again.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, without its length.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        if length > self.limit {
            return Err(FrameError::TooLong {
                length,
                limit: self.limit,
            });
        }
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        let frame = self.buffer.split_to(LENGTH_BYTES + length).freeze();
        Ok(Some(frame.slice(LENGTH_BYTES..)))
    }

    /// The stream has ended: nothing may be left.
    pub(super) fn finish(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() {
            Ok(())
        } else {
            Err(FrameError::Truncated)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use viewstorm_protocol::vr::{Commit, OpNumber, VrMessage};
    use viewstorm_protocol::{Address, Envelope, ReplicaId, ViewNumber};

    use super::*;
    use crate::passenger::Parcel;

    fn parcel(view: u64) -> Parcel<VrMessage> {
        let message = Commit {
            view: ViewNumber::new(view),
            commit_number: OpNumber(3),
        }
        .into();
        Parcel {
            from: Address::Replica(ReplicaId(0)),
            to: Address::Replica(ReplicaId(1)),
            envelope: Envelope {
                lamport: 9,
                incarnation: Incarnation(2),
                message,
            },
        }
    }

    #[test]
    fn a_frame_at_the_limit_passes_and_one_beyond_is_refused_by_its_length_alone() {
        let mut decoder = Decoder::new(3);
        decoder.push(&[3, 0, 0, 0, 7, 8, 9, 4, 0, 0, 0]);
        assert_eq!(decoder.next().unwrap().unwrap(), &[7, 8, 9][..]);
        assert_eq!(
            decoder.next(),
            Err(FrameError::TooLong {
                length: 4,
                limit: 3
            })
        );
    }

    #[test]
    fn a_message_beyond_the_limit_is_not_encoded() {
        let mut buffer = vec![1, 2];
        let large = vec![0_u8; LARGE_MAX];
        assert!(matches!(
            encode(&large, &mut buffer),
            Err(FrameError::TooLong { .. })
        ));
        assert_eq!(buffer, [1, 2]);
    }

    #[test]
    fn a_hello_fits_its_limit_and_trailing_bytes_are_refused() {
        let hello = Hello::new(NodeId::replica(u16::MAX), Incarnation(u64::MAX));
        let mut buffer = Vec::new();
        encode(&hello, &mut buffer).unwrap();
        let frame = &buffer[LENGTH_BYTES..];
        assert!(frame.len() <= HELLO_MAX);
        assert_eq!(decode::<Hello>(frame), Ok(hello));
        assert_eq!(
            decode::<Hello>(&[frame, &[0]].concat()),
            Err(FrameError::Unreadable)
        );
    }

    proptest! {
        #[test]
        fn frames_survive_any_cuts(
            views in proptest::collection::vec(any::<u64>(), 0..20),
            cut in 1_usize..50,
        ) {
            let mut bytes = Vec::new();
            for view in &views {
                encode(&parcel(*view), &mut bytes).unwrap();
            }
            let mut decoder = Decoder::new(ORDINARY_MAX);
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.next().unwrap() {
                    found.push(decode::<Parcel<VrMessage>>(&frame).unwrap());
                }
            }
            decoder.finish().unwrap();
            let expected: Vec<_> = views.iter().map(|view| parcel(*view)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_are_frames_or_refused_and_nothing_grows_beyond_the_limit(
            pieces in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..100), 0..20,
            ),
            limit in 0_usize..200,
        ) {
            let mut decoder = Decoder::new(limit);
            'stream: for piece in &pieces {
                decoder.push(piece);
                loop {
                    match decoder.next() {
                        Ok(Some(frame)) => {
                            prop_assert!(frame.len() <= limit);
                            let _ = decode::<Parcel<VrMessage>>(&frame);
                            let _ = decode::<Hello>(&frame);
                        }
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
                prop_assert!(decoder.buffer.len() < LENGTH_BYTES + limit.max(1));
            }
        }

        #[test]
        fn a_damaged_message_is_read_as_another_or_refused(
            view in any::<u64>(), at in any::<proptest::sample::Index>(), bit in 0..8,
        ) {
            let mut bytes = Vec::new();
            encode(&parcel(view), &mut bytes).unwrap();
            let at = at.index(bytes.len() - LENGTH_BYTES) + LENGTH_BYTES;
            bytes[at] ^= 1_u8 << bit;
            let read = decode::<Parcel<VrMessage>>(&bytes[LENGTH_BYTES..]);
            prop_assert_ne!(read, Ok(parcel(view)));
        }
    }
}
