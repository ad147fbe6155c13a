//! Replicas on threads. Killing one ends its loop at once, without a goodbye to anybody.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::mpsc::Sender;
use viewstorm_protocol::vr::{DurabilityMode, VrCheckpoints, VrOptions, VrTimeouts};
use viewstorm_protocol::{NodeId, ReplicaId, Status};
use viewstorm_replica::control::{COMMANDS_MAX, Command, CommandError, ControlChannel, Report};
use viewstorm_replica::{
    Authority, ProtocolKind, ReplicaConfig, ReplicaError, RunClock, ServiceKind,
    TAP_BUFFER_DEFAULT, run_replica_on,
};

use super::rules::ByKind;
use super::wait_for;

/// What probes of the tests carry.
pub(crate) const TOKEN: u64 = 0xfeed_beef_dead_cafe;

/// How many clusters this process has made: each has ports of its own.
static CLUSTERS: AtomicU16 = AtomicU16::new(0);

pub(crate) struct Cluster {
    pub(crate) authority: Authority,
    pub(crate) clock: RunClock,
    pub(crate) directory: TempDir,
    pub(crate) fence: bool,
    size: u16,
    ports: u16,
    replicas: BTreeMap<u16, Running>,
}

pub(crate) struct Running {
    commands: Sender<Result<Command, CommandError>>,
    pub(crate) reports: Receiver<Report>,
    thread: JoinHandle<Result<(), ReplicaError>>,
}

impl Cluster {
    /// A cluster of which nothing runs yet.
    pub(crate) fn of(size: u16) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter("info")
            .with_test_writer()
            .try_init();
        let directory = tempfile::tempdir().unwrap();
        for id in 0..size {
            std::fs::create_dir(directory.path().join(format!("r{id}"))).unwrap();
        }
        Self {
            authority: Authority::new().unwrap(),
            clock: RunClock::starting_now(),
            directory,
            fence: true,
            size,
            ports: 20_000 + 50 * CLUSTERS.fetch_add(1, Ordering::Relaxed),
            replicas: BTreeMap::new(),
        }
    }

    /// A cluster whose replicas all run.
    pub(crate) fn running(size: u16) -> Self {
        let mut cluster = Self::of(size);
        for id in 0..size {
            cluster.start(id);
        }
        cluster
    }

    pub(crate) fn ids(&self) -> Vec<ReplicaId> {
        (0..self.size).map(ReplicaId).collect()
    }

    /// Where a node listens: an address of this process alone, so that no other test takes its port.
    pub(crate) fn address(&self, node: NodeId) -> SocketAddr {
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let port = match node {
            NodeId::Replica(id) => self.ports + id.0,
            NodeId::Client(endpoint) => self.ports + 25 + endpoint,
        };
        (Ipv4Addr::new(127, 64 | (a & 63), b, c), port).into()
    }

    pub(crate) fn trace(&self, id: u16) -> PathBuf {
        self.directory.path().join(format!("r{id}.jsonl"))
    }

    pub(crate) fn storage(&self, id: u16) -> PathBuf {
        self.directory.path().join(format!("r{id}"))
    }

    pub(crate) fn config(&self, id: u16) -> ReplicaConfig {
        let me = NodeId::replica(id);
        let route = |node| (node, self.address(node));
        ReplicaConfig {
            format: true,
            starts: 0,
            durability: DurabilityMode::Wal,
            me: ReplicaId(id),
            replicas: self.ids(),
            spares: Vec::new(),
            protocol: ProtocolKind::Vr,
            service: ServiceKind::Register,
            seed: u64::from(id),
            listen: self.address(me),
            directory: self.storage(id),
            trace: self.trace(id),
            clock_origin_nanos: self.clock.origin_nanos(),
            parent_pid: None,
            probe_token: TOKEN,
            fence_incarnations: self.fence,
            tap_buffer: TAP_BUFFER_DEFAULT,
            tap_rules: None,
            tap_watches: None,
            disk: Default::default(),
            track_unsynced: false,
            clock: None,
            timeouts: VrTimeouts::default(),
            checkpoints: VrCheckpoints::default(),
            options: VrOptions::default(),
            dial: (id + 1..self.size)
                .map(NodeId::replica)
                .map(route)
                .collect(),
            answer: (0..id)
                .map(NodeId::replica)
                .chain((0..4).map(NodeId::Client))
                .map(route)
                .collect(),
            credentials: self.authority.issue(me).unwrap(),
        }
    }

    /// Starts a replica. Returns its hello.
    pub(crate) fn start(&mut self, id: u16) -> Report {
        self.start_with(id, self.config(id))
    }

    pub(crate) fn start_with(&mut self, id: u16, config: ReplicaConfig) -> Report {
        let running = launch(config);
        let hello = wait_for(&running.reports, "hello", |report| match report {
            Report::Hello { .. } => Some(report.clone()),
            Report::Fatal { reason } => panic!("r{id}: {reason}"),
            _ => None,
        });
        self.replicas.insert(id, running);
        hello
    }

    /// Ends a replica at once.
    pub(crate) fn kill(&mut self, id: u16) {
        let Running {
            commands, thread, ..
        } = self.replicas.remove(&id).unwrap();
        drop(commands);
        assert!(matches!(
            thread.join().unwrap(),
            Err(ReplicaError::ControlClosed)
        ));
    }

    /// Ends a replica in order.
    pub(crate) fn stop(&mut self, id: u16) {
        self.command(id, Command::Stop);
        let Running {
            reports, thread, ..
        } = self.replicas.remove(&id).unwrap();
        thread.join().unwrap().unwrap();
        assert_eq!(reports.into_iter().last(), Some(Report::Stopped));
    }

    pub(crate) fn command(&self, id: u16, command: Command) {
        self.replicas[&id]
            .commands
            .blocking_send(Ok(command))
            .unwrap();
    }

    /// Sets the rules of a replica's tap, and waits until they stand.
    pub(crate) fn set_tap(&self, id: u16, rules: serde_json::Value) {
        self.command(id, Command::SetTap { rules });
        let tap_set = |report: &Report| (*report == Report::TapSet).then_some(());
        wait_for(&self.replicas[&id].reports, "tap set", tap_set);
    }

    pub(crate) fn reports(&self, id: u16) -> &Receiver<Report> {
        &self.replicas[&id].reports
    }

    /// Waits until a replica is in normal status.
    pub(crate) fn wait_until_normal(&self, id: u16) {
        let normal = |report: &Report| {
            matches!(
                report,
                Report::Role {
                    status: Status::Normal,
                    ..
                }
            )
            .then_some(())
        };
        wait_for(self.reports(id), "normal status", normal);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (
            _,
            Running {
                commands, thread, ..
            },
        ) in std::mem::take(&mut self.replicas)
        {
            drop(commands);
            let _ = thread.join();
        }
    }
}

/// Runs a replica on a thread.
pub(crate) fn launch(config: ReplicaConfig) -> Running {
    let (commands, receiver) = tokio::sync::mpsc::channel(COMMANDS_MAX);
    let (sender, reports) = mpsc::channel();
    let channel = ControlChannel {
        commands: receiver,
        reports: Box::new(move |report| {
            // A test that has seen enough listens no more.
            let _ = sender.send(report.clone());
            Ok(())
        }),
    };
    let thread =
        std::thread::spawn(|| run_replica_on(config, Box::new(ByKind::default()), channel));
    Running {
        commands,
        reports,
        thread,
    }
}

impl Running {
    /// Waits for the end, and the last word.
    pub(crate) fn end(self) -> (Result<(), ReplicaError>, Option<Report>) {
        let result = self.thread.join().unwrap();
        (result, self.reports.into_iter().last())
    }

    pub(crate) fn send(&self, command: Result<Command, CommandError>) {
        self.commands.blocking_send(command).unwrap();
    }
}
