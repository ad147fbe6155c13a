//! How fast three replicas answer: closed-loop sessions over real sockets, certificates and syncs.
//!
//! ```text
//! cargo run --release -p viewstorm-replica --example closed_loop -- SESSIONS SECONDS [INTERVAL [DIRECTORY]]
//! ```
//!
//! `INTERVAL` is how many operations lie between two checkpoints.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bytes::Bytes;
use viewstorm_protocol::vr::{
    CHECKPOINT_INTERVAL, DurabilityMode, VrCheckpoints, VrOptions, VrTimeouts,
};
use viewstorm_protocol::{ClientId, NodeId, ReplicaId};
use viewstorm_replica::control::{Command, ControlChannel, Report};
use viewstorm_replica::{
    Authority, ClientEndpoint, ClientEvent, ClientHost, ClientHostConfig, ClientTimeouts,
    OpenTapControl, ProtocolKind, ReplicaConfig, RunClock, ServiceKind, TAP_BUFFER_DEFAULT,
    run_replica_on,
};

type Failure = Box<dyn std::error::Error>;

const REPLICAS: u16 = 3;
/// What is done before the clock starts.
const WARMUP: Duration = Duration::from_secs(1);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let sessions: u64 = arguments.next().map_or(Ok(16), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let interval: u64 = arguments
        .next()
        .map_or(Ok(CHECKPOINT_INTERVAL), |text| text.parse())?;
    let directory = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let directory = tempfile::tempdir_in(directory)?;
    let (authority, clock) = (Authority::new()?, RunClock::starting_now());
    let mut commands = Vec::new();
    let mut threads = Vec::new();
    for id in 0..REPLICAS {
        let config = replica(id, directory.path(), &authority, clock, interval)?;
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let reports = Box::new(|report: &Report| {
            if let Report::Fatal { reason } = report {
                eprintln!("{reason}");
            }
            Ok(())
        });
        let channel = ControlChannel {
            commands: receiver,
            reports,
        };
        commands.push(sender);
        threads.push(std::thread::spawn(|| {
            run_replica_on(config, Box::new(OpenTapControl), channel)
        }));
    }
    let (sender, events) = mpsc::channel();
    let host = ClientHost::start(
        clients(&authority, clock)?,
        |_| Box::new(OpenTapControl),
        move |event| drop(sender.send(event)),
    )?;
    let latencies = load(&host, &events, sessions, Duration::from_secs(seconds))?;
    report(sessions, seconds, latencies);
    drop(host);
    for sender in commands {
        sender.blocking_send(Ok(Command::Stop))?;
    }
    for thread in threads {
        thread.join().map_err(|_| "a replica panicked")??;
    }
    let trace = std::fs::metadata(directory.path().join("r0.jsonl"))?.len();
    println!("trace of r0: {} MiB", trace >> 20);
    Ok(())
}

/// Keeps every session busy. Returns the latencies after the warm-up, in nanoseconds.
fn load(
    host: &ClientHost,
    events: &Receiver<ClientEvent>,
    sessions: u64,
    duration: Duration,
) -> Result<Vec<u64>, Failure> {
    let mut began = BTreeMap::new();
    let mut latencies = Vec::new();
    let mut invoke = |number| {
        let client = ClientId {
            endpoint: 0,
            session: number,
        };
        began.insert(number, Instant::now());
        host.invoke(client, write(number));
    };
    (0..sessions).for_each(&mut invoke);
    let start = Instant::now() + WARMUP;
    while start.elapsed() < duration {
        match events.recv_timeout(Duration::from_secs(10))? {
            ClientEvent::Completed { client, .. } => {
                let now = Instant::now();
                let began = began
                    .insert(client.session, now)
                    .ok_or("an answer to nothing")?;
                if now > start {
                    latencies.push(u64::try_from((now - began).as_nanos())?);
                }
                host.invoke(client, write(client.session));
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(latencies)
}

fn report(sessions: u64, seconds: u64, mut latencies: Vec<u64>) {
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] / 1000;
    println!(
        "{sessions} sessions: {} op/s, p50 {} us, p99 {} us, max {} us",
        latencies.len() as u64 / seconds,
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// A write of 16 bytes, as the register service reads it.
fn write(number: u64) -> Bytes {
    let key = format!("k{}", number % 8);
    let operation = postcard::to_allocvec(&(1_u8, key.as_bytes(), number, &[0_u8; 8][..]));
    operation.expect("plain data").into()
}

/// An address of this process alone.
fn address(node: NodeId) -> SocketAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let port = match node {
        NodeId::Replica(id) => 20_000 + id.0,
        NodeId::Client(endpoint) => 20_100 + endpoint,
    };
    ([127, 64 | (a & 63), b, c], port).into()
}

fn replica(
    id: u16,
    directory: &Path,
    authority: &Authority,
    clock: RunClock,
    interval: u64,
) -> Result<ReplicaConfig, Failure> {
    let storage = directory.join(format!("r{id}"));
    std::fs::create_dir(&storage)?;
    let route = |id| (NodeId::replica(id), address(NodeId::replica(id)));
    Ok(ReplicaConfig {
        format: true,
        starts: 0,
        durability: DurabilityMode::Wal,
        me: ReplicaId(id),
        replicas: (0..REPLICAS).map(ReplicaId).collect(),
        spares: Vec::new(),
        protocol: ProtocolKind::Vr,
        service: ServiceKind::Register,
        seed: id.into(),
        listen: address(NodeId::replica(id)),
        directory: storage,
        trace: directory.join(format!("r{id}.jsonl")),
        clock_origin_nanos: clock.origin_nanos(),
        parent_pid: None,
        probe_token: 1,
        fence_incarnations: true,
        tap_buffer: TAP_BUFFER_DEFAULT,
        tap_rules: None,
        tap_watches: None,
        disk: Default::default(),
        track_unsynced: false,
        clock: None,
        timeouts: VrTimeouts::default(),
        checkpoints: VrCheckpoints {
            interval,
            ..VrCheckpoints::default()
        },
        options: VrOptions::default(),
        dial: (id + 1..REPLICAS).map(route).collect(),
        answer: (0..id).map(route).collect(),
        credentials: authority.issue(NodeId::replica(id))?,
    })
}

fn clients(authority: &Authority, clock: RunClock) -> Result<ClientHostConfig, Failure> {
    let replicas: Vec<_> = (0..REPLICAS).map(ReplicaId).collect();
    let route = |id: &ReplicaId| (*id, address(NodeId::Replica(*id)));
    Ok(ClientHostConfig {
        protocol: ProtocolKind::Vr,
        spares: Vec::new(),
        endpoints: vec![ClientEndpoint {
            endpoint: 0,
            listen: address(NodeId::Client(0)),
            credentials: authority.issue(NodeId::Client(0))?,
            dial: replicas.iter().map(route).collect(),
        }],
        replicas,
        timeouts: ClientTimeouts::default(),
        backup_reads: false,
        clock,
        seed: 1,
        probe_token: 1,
        fence_incarnations: true,
        tap_buffer: TAP_BUFFER_DEFAULT,
    })
}
