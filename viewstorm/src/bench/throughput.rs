//! How many datagrams a second go through the relay, and how many would if it had a core to itself.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quinn_udp::{Transmit, UdpSocketState};
use serde::Serialize;
use viewstorm_history::Seed;
use viewstorm_nemesis::Link;
use viewstorm_nemesis::inject::{PairSpec, Relay};
use viewstorm_protocol::NodeId;

use super::floors::FloorsError;

/// As long as a small message of QUIC.
const SIZE: usize = 64;
/// How many leave the sender in one system call.
const BATCH: usize = 32;
/// How many may be under way: more would only overflow a buffer.
const AHEAD: u64 = 1_024;

/// A rate through the relay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelayRate {
    /// Datagrams that went through.
    pub datagrams: u64,
    /// In this many seconds.
    pub seconds: f64,
    /// And this much of the relay thread's time on a core, in seconds.
    pub relay_core_seconds: f64,
}

impl RelayRate {
    /// Datagrams a second, with sender and receiver on the same cores.
    pub fn per_second(&self) -> f64 {
        self.datagrams as f64 / self.seconds
    }

    /// Datagrams for each second of the relay's own time: what one core carries.
    pub fn per_core_second(&self) -> f64 {
        self.datagrams as f64 / self.relay_core_seconds.max(f64::EPSILON)
    }
}

/// Sends as fast as the relay carries, for `length`.
pub fn relay_rate(length: Duration) -> Result<RelayRate, FloorsError> {
    let error = |source| FloorsError::Io {
        what: "relay throughput",
        source,
    };
    let part = |reason: String| FloorsError::Part {
        what: "relay throughput",
        reason,
    };
    let sink = UdpSocket::bind("127.0.0.1:0").map_err(error)?;
    sink.set_read_timeout(Some(Duration::from_millis(50)))
        .map_err(error)?;
    let (dialler, acceptor) = (NodeId::Client(0), NodeId::replica(0));
    let pair = PairSpec {
        dialler,
        acceptor,
        acceptor_address: Some(sink.local_addr().map_err(error)?),
    };
    let localhost = std::net::Ipv4Addr::LOCALHOST.into();
    let relay = Relay::start(vec![pair], Seed(0), localhost).map_err(|it| part(it.to_string()))?;
    let front = relay.front(dialler, acceptor);
    let front = front.ok_or_else(|| part("it has no socket for its pair".to_owned()))?;
    let stop = Arc::new(AtomicBool::new(false));
    let drain = drain(sink, Arc::clone(&stop)).map_err(error)?;
    let link = Link {
        from: dialler,
        to: acceptor,
    };
    let sender = UdpSocket::bind("127.0.0.1:0").map_err(error)?;
    let state = UdpSocketState::new((&sender).into()).map_err(error)?;
    let contents = [7; SIZE * BATCH];
    let transmit = Transmit {
        destination: front,
        ecn: None,
        contents: &contents,
        segment_size: Some(SIZE),
        src_ip: None,
    };
    let (start, before) = (Instant::now(), relay_time().map_err(error)?);
    let mut sent = 0;
    while start.elapsed() < length {
        // A full send buffer is no error: the next time round it has room.
        match state.try_send((&sender).into(), &transmit) {
            Ok(()) => sent += BATCH as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(source) => return Err(error(source)),
        }
        while sent > relay.counters(link).offered + AHEAD && start.elapsed() < length {
            std::thread::yield_now();
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let relay_core_seconds = (relay_time().map_err(error)? - before).as_secs_f64();
    let datagrams = relay.counters(link).forwarded;
    stop.store(true, Ordering::Relaxed);
    // It ends by itself; what it counted is not needed.
    drop(drain.join());
    Ok(RelayRate {
        datagrams,
        seconds,
        relay_core_seconds,
    })
}

/// Reads what arrives and forgets it.
fn drain(sink: UdpSocket, stop: Arc<AtomicBool>) -> io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name("sink".to_owned())
        .spawn(move || {
            let mut buffer = [0; 2_048];
            while !stop.load(Ordering::Relaxed) {
                // Nothing within the time-out is a reason to look at the flag.
                drop(sink.recv_from(&mut buffer));
            }
        })
}

/// The time that this process's relay threads have had on a core.
fn relay_time() -> io::Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // A thread that has ended meanwhile has no files.
        let read = |name| std::fs::read_to_string(task.join(name)).unwrap_or_default();
        if read("comm").trim() == "relay" {
            let on_core = read("schedstat");
            let on_core = on_core
                .split(' ')
                .next()
                .and_then(|it| it.parse::<u64>().ok());
            nanos += on_core.unwrap_or_default();
        }
    }
    Ok(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_measured_and_the_relays_own_time() {
        let rate = relay_rate(Duration::from_millis(200)).unwrap();
        assert!(rate.datagrams > 0 && rate.seconds >= 0.2, "{rate:?}");
        assert!(rate.relay_core_seconds < 2.0, "{rate:?}");
    }
}
