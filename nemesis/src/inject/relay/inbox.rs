//! Where datagrams are read to, many at a time.

use std::io::{self, IoSliceMut};

use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta};

use super::port::Port;

/// As much as one read of one socket can bring: with receive offload 64 datagrams, never more than 64 KiB.
const MESSAGE_BYTES: usize = 64 << 10;

/// Equally long datagrams from one sender (the last may be shorter), one after the other.
pub(super) struct Message<'a> {
    pub(super) from: std::net::SocketAddr,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) bytes: &'a mut [u8],
    /// How long each is; 0 if there is a single empty one.
    pub(super) stride: usize,
}

/// The buffers of one thread.
pub(super) struct Inbox {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH_SIZE * MESSAGE_BYTES],
            metas: [RecvMeta::default(); BATCH_SIZE],
        }
    }

    /// Reads what is there, up to a limit: none if there is nothing. One that asks for a single message spares the
    /// system the look for a second, which costs as much as the first where there is none.
    pub(super) fn read(
        &mut self,
        port: &Port,
        is_single: bool,
    ) -> io::Result<impl Iterator<Item = Message<'_>>> {
        let mut parts = self.bytes.chunks_exact_mut(MESSAGE_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
        let most = if is_single { 1 } else { BATCH_SIZE };
        let count = port.receive(&mut slices[..most], &mut self.metas)?;
        let messages = self.bytes.chunks_exact_mut(MESSAGE_BYTES).zip(&self.metas);
        Ok(messages.take(count).map(|(bytes, meta)| Message {
            from: meta.addr,
            ecn: meta.ecn,
            bytes: &mut bytes[..meta.len],
            stride: meta.stride,
        }))
    }
}
