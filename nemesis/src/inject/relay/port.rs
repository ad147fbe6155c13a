//! One socket of the relay.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt;
use socket2::SockRef;

/// What is asked for as the send and the receive buffer of each socket.
const BUFFER_BYTES: usize = 4 << 20;

/// A socket, never connected: so the system's notes of unreachable peers do not reach it.
#[derive(Debug)]
pub(super) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    pub(super) address: SocketAddr,
    pub(super) granted_buffer: usize,
}

impl Port {
    /// Binds a port that the system chooses.
    pub(super) fn bind(ip: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        let granted_buffer = enlarge_buffers(&socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            state,
            address,
            granted_buffer,
        })
    }

    pub(super) fn most_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    pub(super) fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // Without a mark or a batch there is nothing to tell the system but where to: that is quicker told plainly.
        if transmit.ecn.is_none() && transmit.segment_size.is_none() {
            let sent = self.socket.send_to(transmit.contents, transmit.destination);
            return sent.map(drop);
        }
        self.state.try_send((&self.socket).into(), transmit)
    }

    /// Reads what is there: nothing is no error.
    pub(super) fn receive(
        &self,
        slices: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        match self.state.recv((&self.socket).into(), slices, metas) {
            Err(error) if passes(&error) => Ok(0),
            result => result,
        }
    }
}

/// Asks for large buffers and reads back what there is: the kernel caps them silently, and tells twice what it
/// granted.
fn enlarge_buffers(socket: &UdpSocket) -> io::Result<usize> {
    let buffers = SockRef::from(socket);
    // Who is privileged gets past the system's limits.
    if sockopt::set_socket_recv_buffer_size_force(socket, BUFFER_BYTES).is_err() {
        buffers.set_recv_buffer_size(BUFFER_BYTES)?;
    }
    if sockopt::set_socket_send_buffer_size_force(socket, BUFFER_BYTES).is_err() {
        buffers.set_send_buffer_size(BUFFER_BYTES)?;
    }
    Ok(buffers.recv_buffer_size()?.min(buffers.send_buffer_size()?) / 2)
}

/// Whether the next read may well succeed.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::OutOfMemory
    )
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
