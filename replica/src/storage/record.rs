//! One record of the log, as bytes.
//!
//! ```text
//!   0        8          12         16         24       32       36        40          padded to 8
//!   | magic  | checksum | previous | sequence | synced | length | content | the content ... |
//!              |          |                     |                 |
//!              |          |                     |                 its checksum
//!              |          |                     the last durable record when this one was written
//!              |          the checksum of the record before: the chain
//!              of everything to the right of it in the header
//! ```
//!
//! Numbers are little-endian, checksums CRC-32C. The header has its own, so that a record whose
//! content is damaged still says which one it is, and what was durable before it.

use super::Damage;

/// The longest content that is written, or read: twice a full pipeline of 64 KiB operations.
pub const RECORD_BYTES_MAX: usize = 32 << 20;

/// How long a header is.
pub(super) const HEADER_BYTES: usize = 40;

/// Records start at multiples of this.
pub(super) const ALIGNMENT: usize = 8;

const MAGIC: &[u8; 8] = b"vs-entry";

/// The end of the log: what the next record follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChainEnd {
    /// The last record's place in the log, from 1; 0 if there is none.
    pub(super) sequence: u64,
    /// Its checksum.
    pub(super) checksum: u32,
}

/// What precedes a record's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sequence: u64,
    pub(super) synced: u64,
    length: usize,
    previous: u32,
    content: u32,
    checksum: u32,
}

impl Header {
    /// The end of the log once this record is in it.
    pub(super) fn chain_end(&self) -> ChainEnd {
        ChainEnd {
            sequence: self.sequence,
            checksum: self.checksum,
        }
    }

    /// How far the next record is from this one.
    pub(super) fn span(&self) -> usize {
        span(self.length)
    }

    /// Reads a header that is whole.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(Damage::Beyond)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(Damage::Unwritten);
        }
        let checksum = u32_at(bytes, 8);
        let length = u32_at(bytes, 32) as usize;
        if !bytes.starts_with(MAGIC)
            || checksum != crc32c::crc32c(&bytes[12..])
            || length > RECORD_BYTES_MAX
        {
            return Err(Damage::Header);
        }
        Ok(Self {
            sequence: u64_at(bytes, 16),
            synced: u64_at(bytes, 24),
            length,
            previous: u32_at(bytes, 12),
            content: u32_at(bytes, 36),
            checksum,
        })
    }
}

/// How much room a record with that much content takes.
pub(super) const fn span(length: usize) -> usize {
    (HEADER_BYTES + length).next_multiple_of(ALIGNMENT)
}

/// Appends a record to `bytes`. Returns the new end of the log.
pub(super) fn encode(
    after: ChainEnd,
    synced: u64,
    content: &[u8],
    bytes: &mut Vec<u8>,
) -> ChainEnd {
    assert!(content.len() <= RECORD_BYTES_MAX, "checked by the caller");
    let start = bytes.len();
    assert!(start.is_multiple_of(ALIGNMENT), "records are aligned");
    let sequence = after.sequence + 1;
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&after.checksum.to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&synced.to_le_bytes());
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(content).to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[start + 12..]);
    bytes[start + 8..start + 12].copy_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(start + span(content.len()), 0);
    ChainEnd { sequence, checksum }
}

/// Reads the record that follows `after`, at the start of `bytes`.
pub(super) fn decode(after: ChainEnd, bytes: &[u8]) -> Result<(Header, &[u8]), Damage> {
    let header = Header::decode(bytes)?;
    if header.sequence != after.sequence + 1 || header.previous != after.checksum {
        return Err(Damage::Chain);
    }
    let content = bytes
        .get(HEADER_BYTES..HEADER_BYTES + header.length)
        .ok_or(Damage::Beyond)?;
    if header.content != crc32c::crc32c(content) {
        return Err(Damage::Content);
    }
    Ok((header, content))
}

/// All whole headers at aligned places of `bytes`, whatever lies between them.
pub(super) fn find_headers(bytes: &[u8]) -> impl Iterator<Item = Header> {
    (0..bytes.len())
        .step_by(ALIGNMENT)
        .filter(|offset| bytes[*offset..].starts_with(MAGIC))
        .filter_map(|offset| Header::decode(&bytes[offset..]).ok())
}

/// The number at `offset`. Panics if `bytes` ends before it.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let bytes = bytes[offset..offset + 4].try_into();
    u32::from_le_bytes(bytes.expect("four bytes"))
}

/// The number at `offset`. Panics if `bytes` ends before it.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let bytes = bytes[offset..offset + 8].try_into();
    u64::from_le_bytes(bytes.expect("eight bytes"))
}
