//! Who is told what at its start: certificates, addresses, seeds and files.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use viewstorm_history::Seed;
use viewstorm_nemesis::Topology;
use viewstorm_nemesis::inject::Relay;
use viewstorm_protocol::vr::DurabilityMode;
use viewstorm_protocol::{NodeId, ReplicaId};
use viewstorm_replica::{
    Authority, ClientEndpoint, ClientHostConfig, ClientTimeouts, Credentials, ProtocolKind,
    ReplicaConfig, RunClock, ServiceKind, TAP_BUFFER_DEFAULT,
};

use super::child::ChildSpec;
use super::machine::{Machine, disk_faults};
use super::processes::{LOOPBACK, ProcessWorldOptions};
use super::timeouts;
use crate::judge::trace_file;
use crate::plan::{Cluster, Durability, Protocol, Reads};
use crate::world::WorldError;

/// All pairs of nodes that speak to one another, the one that dials first: the replica with the lower id, and
/// clients always.
pub(super) fn pairs(topology: Topology) -> impl Iterator<Item = (NodeId, NodeId)> {
    topology
        .links()
        .map(|link| (link.from, link.to))
        .filter(|pair| match pair {
            (NodeId::Replica(from), NodeId::Replica(to)) => from < to,
            (NodeId::Client(_), _) => true,
            (NodeId::Replica(_), NodeId::Client(_)) => false,
        })
}

/// What a replica's earlier starts make of its next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts {
    /// How many there were.
    pub(super) count: u64,
    /// Whether it has taken part in nothing so far: it may begin with nothing.
    pub(super) format: bool,
}

/// The plan's durability in VR's terms.
pub(super) const fn durability(plan: Durability) -> DurabilityMode {
    match plan {
        Durability::Wal => DurabilityMode::Wal,
        Durability::ViewDurable => DurabilityMode::ViewDurable,
        Durability::Diskless => DurabilityMode::Diskless,
    }
}

/// What stays the same over all starts of a run's nodes.
#[derive(Debug)]
pub(super) struct Setup {
    cluster: Cluster,
    topology: Topology,
    seed: Seed,
    folder: PathBuf,
    executable: PathBuf,
    power_loss: bool,
    clock: RunClock,
    credentials: BTreeMap<NodeId, Credentials>,
    /// Where a node sends what is for another, by sender and receiver.
    routes: BTreeMap<(NodeId, NodeId), SocketAddr>,
}

impl Setup {
    /// Makes the run's certificates and looks up the relay's addresses.
    pub(super) fn new(
        options: &ProcessWorldOptions,
        clock: RunClock,
        relay: &Relay,
    ) -> Result<Self, WorldError> {
        let topology = options.topology;
        let failed = |error: &dyn std::error::Error| WorldError::Harness {
            part: "certificates",
            reason: error.to_string(),
        };
        let authority = Authority::new().map_err(|error| failed(&error))?;
        let issue = |node| Ok((node, authority.issue(node).map_err(|error| failed(&error))?));
        let credentials = topology
            .nodes()
            .map(issue)
            .collect::<Result<_, WorldError>>()?;
        let mut routes = BTreeMap::new();
        for (dialler, acceptor) in pairs(topology) {
            let addresses = (
                relay.front(dialler, acceptor),
                relay.back(dialler, acceptor),
            );
            let (Some(front), Some(back)) = addresses else {
                unreachable!("the relay was started with this pair");
            };
            routes.insert((dialler, acceptor), front);
            routes.insert((acceptor, dialler), back);
        }
        Ok(Self {
            cluster: options.cluster.clone(),
            topology,
            seed: options.seed,
            folder: options.folder.clone(),
            executable: options.executable.clone(),
            power_loss: options.power_loss,
            clock,
            credentials,
            routes,
        })
    }

    /// What the clients' host is told.
    pub(super) fn client_host(&self) -> ClientHostConfig {
        let endpoint = |endpoint| {
            let node = NodeId::Client(endpoint);
            let dial = self.topology.replica_ids();
            ClientEndpoint {
                endpoint,
                listen: SocketAddr::new(LOOPBACK, 0),
                credentials: self.credentials[&node].clone(),
                dial: dial
                    .map(|id| (id, self.routes[&(node, NodeId::Replica(id))]))
                    .collect(),
            }
        };
        ClientHostConfig {
            protocol: self.protocol(),
            replicas: self.cluster.groups().0,
            spares: self.cluster.groups().1,
            endpoints: (0..self.topology.clients).map(endpoint).collect(),
            timeouts: ClientTimeouts {
                vr: timeouts::vr_client(&self.cluster.timeouts),
            },
            backup_reads: self.cluster.reads == Reads::Backup,
            clock: self.clock,
            seed: self.seed.stream("client host").0,
            probe_token: self.probe_token(),
            fence_incarnations: self.cluster.fence_incarnations,
            tap_buffer: TAP_BUFFER_DEFAULT,
        }
    }

    /// Writes what a replica is told into its folder.
    pub(super) fn replica(
        &self,
        id: ReplicaId,
        starts: Starts,
        machine: &Machine,
    ) -> Result<ChildSpec, WorldError> {
        let home = self.home(id);
        let storage = home.join("storage");
        fs::create_dir_all(&storage).map_err(file_error(&storage))?;
        let path = home.join("config.toml");
        let failed = |reason: String| WorldError::Start {
            replica: id,
            reason,
        };
        let written = |json: serde_json::Result<String>| json.map_err(|it| failed(it.to_string()));
        let config = ReplicaConfig {
            tap_rules: Some(written(serde_json::to_string(&machine.rules))?),
            tap_watches: Some(written(serde_json::to_string(&machine.watches))?),
            clock: machine.clock.bent(),
            disk: disk_faults(machine.disk),
            track_unsynced: self.power_loss,
            format: starts.format,
            starts: starts.count,
            ..self.config(id, storage)
        };
        let text = config.to_toml();
        let text = text.map_err(|error| failed(error.to_string()))?;
        fs::write(&path, text).map_err(file_error(&path))?;
        Ok(ChildSpec {
            executable: self.executable.clone(),
            config: path,
            log: self.log(id),
            pattern: false,
        })
    }

    fn config(&self, me: ReplicaId, directory: PathBuf) -> ReplicaConfig {
        let node = NodeId::Replica(me);
        let (mut dial, mut answer) = (BTreeMap::new(), BTreeMap::new());
        for (dialler, acceptor) in pairs(self.topology) {
            if dialler == node {
                dial.insert(acceptor, self.routes[&(node, acceptor)]);
            } else if acceptor == node {
                answer.insert(dialler, self.routes[&(node, dialler)]);
            }
        }
        // The plan has seen to it that this is a port.
        let port = self
            .cluster
            .base_port
            .map_or(0, |base| base.saturating_add(me.0));
        ReplicaConfig {
            me,
            replicas: self.topology.replica_ids().collect(),
            spares: self.cluster.groups().1,
            protocol: self.protocol(),
            service: ServiceKind::Register,
            seed: self.seed.stream(&format!("replica {me}")).0,
            listen: SocketAddr::new(LOOPBACK, port),
            directory,
            format: false,
            starts: 0,
            durability: durability(self.cluster.durability),
            trace: self.folder.join(trace_file(node)),
            clock_origin_nanos: self.clock.origin_nanos(),
            parent_pid: Some(std::process::id()),
            probe_token: self.probe_token(),
            fence_incarnations: self.cluster.fence_incarnations,
            tap_buffer: TAP_BUFFER_DEFAULT,
            tap_rules: None,
            tap_watches: None,
            disk: Default::default(),
            track_unsynced: false,
            clock: None,
            timeouts: timeouts::vr(&self.cluster.timeouts),
            checkpoints: self.cluster.checkpoints(),
            options: timeouts::vr_options(&self.cluster),
            dial,
            answer,
            credentials: self.credentials[&node].clone(),
        }
    }

    /// Where a replica's storage is.
    pub(super) fn storage(&self, id: ReplicaId) -> PathBuf {
        self.home(id).join("storage")
    }

    /// What of the unsynced a replica's machine loses with its power.
    pub(super) fn power_seed(&self, id: ReplicaId) -> Seed {
        self.seed.stream(&format!("power {id}"))
    }

    /// Where a replica's log is.
    pub(super) fn log(&self, id: ReplicaId) -> PathBuf {
        self.folder.join("replicas").join(format!("{id}.log"))
    }

    fn home(&self, id: ReplicaId) -> PathBuf {
        self.folder.join("replicas").join(id.to_string())
    }

    fn protocol(&self) -> ProtocolKind {
        match self.cluster.protocol {
            Protocol::Vr => ProtocolKind::Vr,
        }
    }

    fn probe_token(&self) -> u64 {
        self.seed.stream("probe token").0
    }
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> WorldError + use<> {
    let path = path.to_owned();
    move |source| WorldError::File {
        path: path.clone(),
        source,
    }
}
