//! Gathers equally long datagrams, so that one system call sends many. Each stays a datagram of its own.

use std::io;
use std::net::SocketAddr;

use quinn_udp::{EcnCodepoint, Transmit};

use super::port::Port;
use crate::LinkCounters;

/// What the kernel takes in one go, the headers of IPv6 included.
const BATCH_BYTES: usize = 65_487;

/// The way out of a wire.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    pub(super) port: &'a Port,
    /// Unknown until the node has been heard of.
    pub(super) to: Option<SocketAddr>,
}

/// What is about to leave, all by one route: flush it before the route changes.
pub(super) struct Outbox {
    bytes: Vec<u8>,
    count: usize,
    /// The length of all of them but the last, which may be shorter.
    segment: usize,
    ecn: Option<EcnCodepoint>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(BATCH_BYTES),
            count: 0,
            segment: 0,
            ecn: None,
        }
    }

    /// Adds a datagram; sends what was there if the two do not fit together.
    pub(super) fn push(
        &mut self,
        contents: &[u8],
        ecn: Option<EcnCodepoint>,
        route: Route<'_>,
        counters: &mut LinkCounters,
    ) {
        if !self.takes(contents, ecn, route.port) {
            self.flush(route, counters);
        }
        if self.count == 0 {
            self.segment = contents.len();
            self.ecn = ecn;
        }
        self.bytes.extend_from_slice(contents);
        self.count += 1;
    }

    fn takes(&self, contents: &[u8], ecn: Option<EcnCodepoint>, port: &Port) -> bool {
        self.count == 0
            || (self.count < port.most_segments()
                && self.ecn == ecn
                // An empty one would leave no trace among others.
                && !contents.is_empty()
                && contents.len() <= self.segment
                && self.bytes.len() == self.count * self.segment
                && self.bytes.len() + contents.len() <= BATCH_BYTES)
    }

    /// Sends all. What the system refuses is counted and gone.
    pub(super) fn flush(&mut self, route: Route<'_>, counters: &mut LinkCounters) {
        if self.count > 0 {
            match self.send(route, &self.bytes) {
                Ok(()) => counters.forwarded += self.count as u64,
                Err(error) if self.count > 1 && refuses_batches(&error) => {
                    self.send_one_by_one(route, counters);
                }
                Err(_) => counters.overflowed += self.count as u64,
            }
        }
        self.bytes.clear();
        self.count = 0;
    }

    fn send_one_by_one(&self, route: Route<'_>, counters: &mut LinkCounters) {
        for datagram in self.bytes.chunks(self.segment) {
            match self.send(route, datagram) {
                Ok(()) => counters.forwarded += 1,
                Err(_) => counters.overflowed += 1,
            }
        }
    }

    fn send(&self, route: Route<'_>, contents: &[u8]) -> io::Result<()> {
        let destination = route.to.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let segment_size = (contents.len() > self.segment).then_some(self.segment);
        let ecn = self.ecn;
        route.port.send(&Transmit {
            destination,
            ecn,
            contents,
            segment_size,
            src_ip: None,
        })
    }
}

/// Whether each may still pass alone: the system knows no segmentation, or not of this size.
fn refuses_batches(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let batch_errors = [Errno::IO, Errno::INVAL, Errno::MSGSIZE];
    Errno::from_io_error(error).is_some_and(|errno| batch_errors.contains(&errno))
}
