//! How QUIC is tuned to live under faults.
//!
//! | setting | with quinn's default | here |
//! |---|---|---|
//! | initial RTT | at 30% loss a handshake takes 1 s | 2.3 ms |
//! | congestion control | cubic collapses at 20% loss: p50 2.7 s | a fixed send window: 8.5 ms |
//! | keep-alive | up to as long as the outage until the first answer | under 35 ms |
//! | connection ids, reset key | a restarted peer is unnoticed for 30 s | 25 to 43 ms |

use std::any::Any;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory};
use quinn::{EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use quinn_proto::{HashedConnectionIdGenerator, RttEstimator};
use ring::hmac;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

/// How long a connection without any sign of life lasts. Failure detection belongs to the protocols' timers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an idle connection shows a sign of life.
///
/// After a partition it is the next sign of life that gets through, and whose acknowledgement shows what was lost:
/// the probe timeout has doubled too often by then.
const KEEP_ALIVE: Duration = Duration::from_millis(50);
/// What a round trip is believed to take before one was measured.
const INITIAL_RTT: Duration = Duration::from_millis(5);
/// How many bytes may be in flight, whatever is lost. It must never bind: a connection that may send no more for
/// congestion does not acknowledge what it receives either, nor show signs of life (quinn-proto 0.11.19), and after a
/// partition both ends would wait for a probe timeout that has doubled to seconds. [`SEND_WINDOW`] binds instead.
const WINDOW: u64 = 16 * SEND_WINDOW;
/// How many streams a peer may have open to us: one for messages, the others for large ones.
pub(super) const STREAMS_MAX: u32 = 8;
/// How many bytes of one stream a peer may send ahead of our reading.
const STREAM_RECEIVE_WINDOW: u32 = 1 << 20;
/// How many bytes of all its streams a peer may send ahead of our reading.
const RECEIVE_WINDOW: u32 = 4 << 20;
/// How many bytes of messages a connection has under way: sent, and not known to have arrived. What comes on top waits
/// in the peer's queue. More than a socket buffer holds is slower, not faster.
const SEND_WINDOW: u64 = 128 << 10;
/// The least time between two stateless resets.
const RESET_INTERVAL: Duration = Duration::from_millis(1);
/// What a socket's buffers should hold, each.
const SOCKET_BUFFER: usize = 4 << 20;

/// The settings of every connection.
pub(super) fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle = IdleTimeout::try_from(IDLE_TIMEOUT).expect("ten seconds are a QUIC idle timeout");
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .congestion_controller_factory(Arc::new(FixedWindow))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None);
    config
}

/// The settings of an endpoint. What is derived from `secret` is the same after a restart of the node: only so
/// does a peer's packet to its dead process meet a reset that the peer believes.
pub(super) fn endpoint_config(secret: &[u8]) -> EndpointConfig {
    let derive = |label: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), label);
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, derive(b"stateless reset").as_ref());
    let mut connection_ids = [0; 8];
    connection_ids.copy_from_slice(&derive(b"connection ids").as_ref()[..8]);
    let connection_ids = u64::from_le_bytes(connection_ids);
    let mut config = EndpointConfig::new(Arc::new(reset_key));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(connection_ids)));
    // All peers of a restarted node learn of it at once.
    config.min_reset_interval(RESET_INTERVAL);
    // A first byte of 0 is a probe's: QUIC packets keep their fixed bit.
    config.grease_quic_bit(false);
    config
}

/// Binds a socket with large buffers.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    // The limits of the system hold back those without privileges, silently: try past them first.
    if sockopt::set_socket_recv_buffer_size_force(&socket, SOCKET_BUFFER).is_err() {
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    }
    if sockopt::set_socket_send_buffer_size_force(&socket, SOCKET_BUFFER).is_err() {
        socket.set_send_buffer_size(SOCKET_BUFFER)?;
    }
    let (receive, send) = (socket.recv_buffer_size()?, socket.send_buffer_size()?);
    if receive.min(send) < SOCKET_BUFFER {
        tracing::warn!(
            receive,
            send,
            wanted = SOCKET_BUFFER,
            "small socket buffers"
        );
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Loss does not shrink this window: on loopback it is the nemesis that loses, not a queue.
#[derive(Clone, Copy, Debug)]
struct FixedWindow;

impl ControllerFactory for FixedWindow {
    fn build(self: Arc<Self>, _now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

impl Controller for FixedWindow {
    fn on_ack(&mut self, _: Instant, _: Instant, _: u64, _: bool, _: &RttEstimator) {}

    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        WINDOW
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }

    fn initial_window(&self) -> u64 {
        WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_the_buffers_that_the_system_allows() {
        let socket = Socket::from(bind("127.0.0.1:0".parse().unwrap()).unwrap());
        let small = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= small.recv_buffer_size().unwrap());
        assert!(socket.send_buffer_size().unwrap() >= small.send_buffer_size().unwrap());
    }
}
