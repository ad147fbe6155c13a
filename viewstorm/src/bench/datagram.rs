//! A 64-byte datagram there and back between two threads: directly, and through the nemesis' relay.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use viewstorm_history::Seed;
use viewstorm_nemesis::inject::{PairSpec, Relay};
use viewstorm_protocol::NodeId;

use super::floors::{Floor, FloorsError, Sampler};

const SIZE: usize = 64;
/// Round trips before the turn passes to the other path.
const TURN: u32 = 1000;
const GIVE_UP: Duration = Duration::from_secs(1);

/// Answers each datagram to where it came from, until it is dropped.
struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    // A lost echo shows as a time-out at the other side.
                    drop(socket.send_to(&buffer[..length], from));
                }
            }
        });
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

pub(super) fn direct_and_through_the_relay(length: Duration) -> Result<Vec<Floor>, FloorsError> {
    let error = |source| FloorsError::Io {
        what: "datagram round trip",
        source,
    };
    let echo = Echo::start().map_err(error)?;
    let (dialler, acceptor) = (NodeId::Client(0), NodeId::replica(0));
    let pair = PairSpec {
        dialler,
        acceptor,
        acceptor_address: Some(echo.address),
    };
    let relay = Relay::start(vec![pair], Seed(0), std::net::Ipv4Addr::LOCALHOST.into()).map_err(
        |reason| FloorsError::Part {
            what: "relay",
            reason: reason.to_string(),
        },
    )?;
    let front = relay
        .front(dialler, acceptor)
        .ok_or_else(|| FloorsError::Part {
            what: "relay",
            reason: "it has no socket for the pair it was given".to_owned(),
        })?;
    let direct_socket = connected(echo.address).map_err(error)?;
    let relayed_socket = connected(front).map_err(error)?;
    let (mut direct, mut relayed) = (Sampler::new(), Sampler::new());
    let start = Instant::now();
    while start.elapsed() < 2 * length {
        take_turn(&direct_socket, &mut direct).map_err(error)?;
        take_turn(&relayed_socket, &mut relayed).map_err(error)?;
    }
    Ok(vec![
        direct.floor("datagram round trip"),
        relayed.floor("datagram round trip through the relay"),
    ])
}

fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(GIVE_UP))?;
    Ok(socket)
}

fn take_turn(socket: &UdpSocket, sampler: &mut Sampler) -> io::Result<()> {
    let mut buffer = [0; SIZE];
    for _ in 0..TURN {
        sampler.time(|| {
            socket.send(&buffer)?;
            socket.recv(&mut buffer)
        })?;
    }
    Ok(())
}
