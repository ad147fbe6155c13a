//! Replica processes and client sessions for a measurement: no relay, no faults but a kill.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use bytes::Bytes;
use viewstorm_history::Seed;
use viewstorm_protocol::vr::{DurabilityMode, VrCheckpoints, VrOptions, VrTimeouts};
use viewstorm_protocol::{ClientId, NodeId, ReplicaId, Status, ViewNumber};
use viewstorm_replica::control::Report;
use viewstorm_replica::{
    Authority, ClientEndpoint, ClientEvent, ClientHost, ClientHostConfig, ClientTimeouts,
    OpenTapControl, ProtocolKind, ReplicaConfig, RunClock, ServiceKind, TAP_BUFFER_DEFAULT,
};
use viewstorm_workloads::{Register, RegisterMix, RegisterOptions, Workload};

use super::vr::BenchError;
use crate::worlds::{Child, ChildEvent, ChildSpec};

/// The bytes of a written value, with its number.
const VALUE_BYTES: usize = 128;
/// How long anything may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(20);
/// No answer for so long: what was on its way when a replica ended has arrived.
const SILENCE: Duration = Duration::from_millis(20);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// How many replicas.
    pub(super) replicas: u16,
    /// What they run: VR in this mode, or the message pattern alone.
    pub(super) runs: Runs,
}

/// What the replicas run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    Pattern,
    Vr(DurabilityMode),
}

/// How it went under load.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    /// Of every operation, in nanoseconds, ascending.
    pub(super) latencies: Vec<u64>,
    pub(super) length: Duration,
}

/// Running replicas and a host of sessions.
pub(super) struct Group {
    children: BTreeMap<ReplicaId, Child>,
    specs: BTreeMap<ReplicaId, ChildSpec>,
    told: (Sender<Told>, Receiver<Told>),
    host: ClientHost,
    events: Receiver<ClientEvent>,
    operations: Register,
    /// When each session's operation began.
    began: BTreeMap<u64, Instant>,
    next_session: u64,
    /// Who said that it is primary, of the latest view.
    primary: Option<(ViewNumber, ReplicaId)>,
    _home: tempfile::TempDir,
}

/// What a replica's process said.
type Told = (ReplicaId, ChildEvent);

impl Group {
    /// Starts everything, storage below `beside`.
    pub(super) fn start(
        shape: Shape,
        executable: &Path,
        beside: &Path,
    ) -> Result<Self, BenchError> {
        let failed =
            |what: &'static str| move |error: &dyn std::error::Error| BenchError::new(what, error);
        let home = tempfile::Builder::new()
            .prefix(".viewstorm-bench-")
            .tempdir_in(beside)
            .map_err(|error| failed("a folder")(&error))?;
        let authority = Authority::new().map_err(|error| failed("certificates")(&error))?;
        let clock = RunClock::starting_now();
        let setup = Setup {
            shape,
            executable,
            home: home.path(),
            authority: &authority,
            clock,
        };
        let ids: Vec<_> = (0..shape.replicas).map(ReplicaId).collect();
        let specs = ids
            .iter()
            .map(|id| Ok((*id, setup.replica(*id)?)))
            .collect::<Result<_, BenchError>>()?;
        let (sender, events) = mpsc::channel();
        let host = ClientHost::start(
            setup.clients()?,
            |_| Box::new(OpenTapControl),
            move |event| drop(sender.send(event)),
        )
        .map_err(|error| failed("the client host")(&error))?;
        let options = RegisterOptions {
            keys: 64,
            mix: RegisterMix {
                read: 0,
                write: 1,
                cas: 0,
            },
            padding: VALUE_BYTES - size_of::<u64>(),
        };
        let mut group = Self {
            children: BTreeMap::new(),
            specs,
            told: mpsc::channel(),
            host,
            events,
            operations: Register::new(options, Seed(1)),
            began: BTreeMap::new(),
            next_session: 0,
            primary: None,
            _home: home,
        };
        for id in ids {
            group.start_replica(id)?;
        }
        Ok(group)
    }

    /// Starts a replica and waits until it listens; with VR, until it works.
    pub(super) fn start_replica(&mut self, id: ReplicaId) -> Result<(), BenchError> {
        let sender = self.told.0.clone();
        let tell = move |event| drop(sender.send((id, event)));
        let child = Child::start(&self.specs[&id], tell);
        let child = child.map_err(|reason| BenchError::said("a replica", reason))?;
        self.children.insert(id, child);
        self.wait_for(|who, event| {
            who == id && matches!(event, ChildEvent::Report(Report::Hello { .. }))
        })
    }

    /// Waits until the replica is in normal status.
    pub(super) fn wait_until_normal(&mut self, id: ReplicaId) -> Result<(), BenchError> {
        self.wait_for(|who, event| {
            let ChildEvent::Report(Report::Role { status, .. }) = event else {
                return false;
            };
            who == id && *status == Status::Normal
        })
    }

    fn wait_for(
        &mut self,
        is_it: impl Fn(ReplicaId, &ChildEvent) -> bool,
    ) -> Result<(), BenchError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let told = self.told.1.recv_timeout(left);
            let (who, event) = told.map_err(|error| BenchError::new("a replica", &error))?;
            self.remember(who, &event);
            if is_it(who, &event) {
                return Ok(());
            }
            if let ChildEvent::Report(Report::Fatal { reason }) = event {
                return Err(BenchError::said("a replica", format!("{who}: {reason}")));
            }
        }
    }

    /// Keeps `sessions` fresh sessions busy, and measures after `warmup`.
    pub(super) fn load(
        &mut self,
        sessions: u64,
        warmup: Duration,
        length: Duration,
    ) -> Result<Load, BenchError> {
        self.open(sessions);
        let start = Instant::now() + warmup;
        let mut load = Load {
            length,
            ..Load::default()
        };
        while start.elapsed() < length {
            let (began, ended) = self.complete(PATIENCE)?;
            if ended > start {
                let nanos = (ended - began).as_nanos();
                load.latencies
                    .push(u64::try_from(nanos).unwrap_or(u64::MAX));
            }
        }
        self.finish()?;
        load.latencies.sort_unstable();
        Ok(load)
    }

    /// Kills the primary while `sessions` sessions are busy, again and again. Returns how long it took each time
    /// until somebody was answered.
    pub(super) fn failovers(
        &mut self,
        sessions: u64,
        kills: u32,
    ) -> Result<Vec<Duration>, BenchError> {
        let mut took = Vec::new();
        self.open(sessions);
        for _ in 0..kills {
            let until = Instant::now() + Duration::from_millis(300);
            while Instant::now() < until {
                self.complete(PATIENCE)?;
            }
            let primary = self.primary()?;
            let child = self.children.remove(&primary).expect("it runs");
            let killed = Instant::now();
            child
                .kill()
                .map_err(|error| BenchError::new("a kill", &error))?;
            while self.try_complete(SILENCE)?.is_some() {}
            self.complete(PATIENCE)?;
            took.push(killed.elapsed());
            drop(child);
            self.start_replica(primary)?;
            self.wait_until_normal(primary)?;
        }
        self.finish()?;
        Ok(took)
    }

    /// The replica that said last that it is primary.
    fn primary(&mut self) -> Result<ReplicaId, BenchError> {
        while let Ok((who, event)) = self.told.1.try_recv() {
            self.remember(who, &event);
        }
        match self.primary {
            Some((_, who)) if self.children.contains_key(&who) => Ok(who),
            _ => Err(BenchError::said(
                "a failover",
                "there is no primary".to_owned(),
            )),
        }
    }

    fn remember(&mut self, who: ReplicaId, event: &ChildEvent) {
        if let ChildEvent::Report(Report::Role {
            view,
            primary: true,
            ..
        }) = event
        {
            self.primary = self.primary.max(Some((*view, who)));
        }
    }

    fn open(&mut self, sessions: u64) {
        for _ in 0..sessions {
            self.next_session += 1;
            self.invoke(self.next_session);
        }
    }

    fn invoke(&mut self, session: u64) {
        let operation: Bytes = self.operations.next().operation;
        self.began.insert(session, Instant::now());
        self.host.invoke(
            ClientId {
                endpoint: 0,
                session,
            },
            operation,
        );
    }

    /// The next answer: when it was asked and when it came. The session asks again.
    fn complete(&mut self, patience: Duration) -> Result<(Instant, Instant), BenchError> {
        let answer = self.try_complete(patience)?;
        answer.ok_or_else(|| BenchError::said("load", "no operation completes".to_owned()))
    }

    fn try_complete(
        &mut self,
        patience: Duration,
    ) -> Result<Option<(Instant, Instant)>, BenchError> {
        let Some((session, began)) = self.answer(patience)? else {
            return Ok(None);
        };
        let ended = Instant::now();
        self.invoke(session);
        Ok(Some((began, ended)))
    }

    fn answer(&mut self, patience: Duration) -> Result<Option<(u64, Instant)>, BenchError> {
        match self.events.recv_timeout(patience) {
            Ok(ClientEvent::Completed { client, .. }) => {
                let began = self.began.remove(&client.session);
                let began = began
                    .ok_or_else(|| BenchError::said("load", "an answer to nothing".to_owned()))?;
                Ok(Some((client.session, began)))
            }
            Ok(other) => Err(BenchError::said("load", format!("{other:?}"))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(BenchError::new("load", &error)),
        }
    }

    /// Lets what is under way end.
    fn finish(&mut self) -> Result<(), BenchError> {
        while !self.began.is_empty() {
            if let Some((session, _)) = self.answer(PATIENCE)? {
                self.host.retire(ClientId {
                    endpoint: 0,
                    session,
                });
            } else {
                return Err(BenchError::said("load", "an operation hangs".to_owned()));
            }
        }
        Ok(())
    }
}

/// Who is told what.
struct Setup<'a> {
    shape: Shape,
    executable: &'a Path,
    home: &'a Path,
    authority: &'a Authority,
    clock: RunClock,
}

impl Setup<'_> {
    fn replica(&self, id: ReplicaId) -> Result<ChildSpec, BenchError> {
        let folder = self.home.join(id.to_string());
        let io = |error: std::io::Error| BenchError::new("a replica's folder", &error);
        std::fs::create_dir(&folder).map_err(io)?;
        let route = |id| (NodeId::replica(id), address(NodeId::replica(id)));
        let credentials = self.authority.issue(NodeId::Replica(id));
        let config = ReplicaConfig {
            me: id,
            replicas: (0..self.shape.replicas).map(ReplicaId).collect(),
            spares: Vec::new(),
            protocol: ProtocolKind::Vr,
            durability: match self.shape.runs {
                Runs::Pattern => DurabilityMode::Diskless,
                Runs::Vr(mode) => mode,
            },
            service: ServiceKind::Register,
            seed: id.0.into(),
            format: true,
            starts: 0,
            listen: address(NodeId::Replica(id)),
            directory: folder.join("storage"),
            trace: folder.join("trace.jsonl"),
            clock_origin_nanos: self.clock.origin_nanos(),
            parent_pid: Some(std::process::id()),
            probe_token: 1,
            fence_incarnations: true,
            tap_buffer: TAP_BUFFER_DEFAULT,
            tap_rules: None,
            clock: None,
            tap_watches: None,
            disk: Default::default(),
            track_unsynced: false,
            timeouts: VrTimeouts::default(),
            checkpoints: VrCheckpoints::default(),
            options: VrOptions::default(),
            dial: (id.0 + 1..self.shape.replicas).map(route).collect(),
            answer: (0..id.0).map(route).collect(),
            credentials: credentials.map_err(|error| BenchError::new("certificates", &error))?,
        };
        let text = config
            .to_toml()
            .map_err(|error| BenchError::new("a configuration", &error))?;
        let path: PathBuf = folder.join("config.toml");
        std::fs::write(&path, text).map_err(io)?;
        Ok(ChildSpec {
            executable: self.executable.to_owned(),
            config: path,
            log: folder.join("log"),
            pattern: self.shape.runs == Runs::Pattern,
        })
    }

    fn clients(&self) -> Result<ClientHostConfig, BenchError> {
        let node = NodeId::Client(0);
        let replicas: Vec<_> = (0..self.shape.replicas).map(ReplicaId).collect();
        let route = |id: &ReplicaId| (*id, address(NodeId::Replica(*id)));
        let credentials = self.authority.issue(node);
        Ok(ClientHostConfig {
            protocol: ProtocolKind::Vr,
            endpoints: vec![ClientEndpoint {
                endpoint: 0,
                listen: address(node),
                credentials: credentials
                    .map_err(|error| BenchError::new("certificates", &error))?,
                dial: replicas.iter().map(route).collect(),
            }],
            replicas,
            spares: Vec::new(),
            timeouts: ClientTimeouts::default(),
            backup_reads: false,
            clock: self.clock,
            seed: 1,
            probe_token: 1,
            fence_incarnations: true,
            tap_buffer: TAP_BUFFER_DEFAULT,
        })
    }
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
