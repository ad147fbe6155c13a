//! What a replica process is told at its start, from a TOML file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use viewstorm_protocol::vr::{DurabilityMode, VrCheckpoints, VrOptions, VrTimeouts};
use viewstorm_protocol::{BentClock, NodeId, ReplicaId};

use crate::storage::DiskFaults;
use crate::{Credentials, wide};

/// How many messages a tap holds or delays if the configuration does not say.
pub const TAP_BUFFER_DEFAULT: usize = 16_384;
/// The most replicas of a group.
pub const REPLICAS_MAX: usize = 64;

/// One replica process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReplicaConfig {
    /// Which replica it is.
    pub me: ReplicaId,
    /// All replicas, ascending.
    pub replicas: Vec<ReplicaId>,
    /// Those of them that are no members of the group at first, ascending.
    #[serde(default)]
    pub spares: Vec<ReplicaId>,
    /// Which protocol it runs.
    #[serde(default)]
    pub protocol: ProtocolKind,
    /// Which service is replicated.
    #[serde(default)]
    pub service: ServiceKind,
    /// Drives the jitter of timers, of the protocol's and of the dial loop's, and nothing else.
    #[serde(with = "wide")]
    pub seed: u64,
    /// Where it listens; port 0 for any free one, which its hello then names.
    pub listen: SocketAddr,
    /// Its storage. The directory is made if it is not there.
    pub directory: PathBuf,
    /// Whether it has never taken part in anything: only then may it begin with nothing. Otherwise storage that
    /// is empty was lost, and the replica recovers from the others.
    #[serde(default)]
    pub format: bool,
    /// How often it was started before, as whoever starts it has counted. Its storage counts, too; lost storage
    /// has forgotten.
    #[serde(default)]
    pub starts: u64,
    /// What a crash leaves.
    #[serde(default)]
    pub durability: DurabilityMode,
    /// Its trace: lines are appended.
    pub trace: PathBuf,
    /// What `CLOCK_MONOTONIC` showed when the run began.
    pub clock_origin_nanos: u64,
    /// The process that started it: if it is not its parent any more, it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_pid: Option<u32>,
    /// What probes of this run carry: others are none.
    #[serde(with = "wide")]
    pub probe_token: u64,
    /// Whether messages of a peer's earlier incarnation are refused.
    #[serde(default = "yes")]
    pub fence_incarnations: bool,
    /// How many messages the tap holds or delays at most; what comes on top is lost.
    #[serde(default = "tap_buffer_default")]
    pub tap_buffer: usize,
    /// The rules that its tap begins with, as JSON: those of the latest
    /// [`Command::SetTap`](crate::control::Command::SetTap) to an earlier start of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap_rules: Option<String>,
    /// What is wrong with its disk when the process starts.
    #[serde(default)]
    pub disk: DiskFaults,
    /// Whether its storage keeps track of what a loss of power would take.
    #[serde(default)]
    pub track_unsynced: bool,
    /// How its machine's clock runs when the process starts, if not true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<BentClock>,
    /// What its tap watches for at first, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap_watches: Option<String>,
    /// How patient the protocol is.
    #[serde(default)]
    pub timeouts: VrTimeouts,
    /// When it takes checkpoints: the same on all replicas.
    #[serde(default)]
    pub checkpoints: VrCheckpoints,
    /// What the group chose.
    #[serde(default)]
    pub options: VrOptions,
    /// Where it dials the replicas with greater ids: all of them.
    #[serde(default)]
    pub dial: BTreeMap<NodeId, SocketAddr>,
    /// Where it sends probes to the nodes that dial it.
    #[serde(default)]
    pub answer: BTreeMap<NodeId, SocketAddr>,
    /// What it proves its identity with.
    pub credentials: Credentials,
}

/// A replication protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtocolKind {
    /// Viewstamped Replication Revisited.
    #[default]
    Vr,
}

/// A replicated service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// [`RegisterService`](viewstorm_workloads::RegisterService).
    #[default]
    Register,
}

/// Why a replica's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no configuration: the message shows the place and names the field.
    #[error("{path}: {source}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A field's value makes no sense beside the others.
    #[error("{field}: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration cannot be written as TOML.
    #[error("the configuration cannot be written: {0}")]
    Write(#[from] toml::ser::Error),
}

impl ReplicaConfig {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        config.check()?;
        Ok(config)
    }

    /// The file's text.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        Ok(toml::to_string(self)?)
    }

    /// Whether the fields agree with one another.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, reason| Err(ConfigError::Field { field, reason });
        let (me, replicas) = (self.me, &self.replicas);
        if replicas.is_empty() || replicas.len() > REPLICAS_MAX {
            return wrong(
                "replicas",
                format!("{} of them, not 1 to {REPLICAS_MAX}", replicas.len()),
            );
        }
        if !replicas.windows(2).all(|pair| pair[0] < pair[1]) {
            return wrong("replicas", format!("{replicas:?} is not ascending"));
        }
        if !replicas.contains(&me) {
            return wrong("me", format!("{me} is not one of the replicas"));
        }
        if let Some(stranger) = self.spares.iter().find(|id| !replicas.contains(id)) {
            return wrong("spares", format!("{stranger} is not one of the replicas"));
        }
        if !self.listen.ip().is_loopback() {
            return wrong(
                "listen",
                format!("{} is not a loopback address", self.listen),
            );
        }
        if self.checkpoints.interval == 0 || self.checkpoints.clients == 0 {
            return wrong("checkpoints", "of nothing, or for nobody".to_owned());
        }
        let dialled: Vec<_> = self.dial.keys().copied().collect();
        let expected: Vec<_> = self.dialled().map(NodeId::Replica).collect();
        if dialled != expected {
            let reason = format!("names {dialled:?}; {me} dials exactly {expected:?}");
            return wrong("dial", reason);
        }
        Ok(())
    }

    /// The group that begins.
    pub(crate) fn group(&self) -> Vec<ReplicaId> {
        let replicas = self.replicas.iter().copied();
        replicas.filter(|id| !self.spares.contains(id)).collect()
    }

    /// The replicas that this one dials: those with greater ids.
    pub(crate) fn dialled(&self) -> impl Iterator<Item = ReplicaId> {
        self.replicas.iter().copied().filter(|id| *id > self.me)
    }
}

const fn yes() -> bool {
    true
}

const fn tap_buffer_default() -> usize {
    TAP_BUFFER_DEFAULT
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use viewstorm_protocol::vr::{FailureDetector, LeaseTerms, Reads};

    use super::*;
    use crate::Authority;

    fn config() -> ReplicaConfig {
        ReplicaConfig {
            me: ReplicaId(0),
            replicas: vec![ReplicaId(0), ReplicaId(1)],
            spares: Vec::new(),
            protocol: ProtocolKind::Vr,
            service: ServiceKind::Register,
            format: true,
            starts: 0,
            durability: DurabilityMode::Wal,
            seed: u64::MAX,
            listen: "127.0.0.1:0".parse().unwrap(),
            directory: "storage".into(),
            trace: "trace/r0.jsonl".into(),
            clock_origin_nanos: 7,
            parent_pid: None,
            probe_token: u64::MAX - 1,
            fence_incarnations: true,
            tap_buffer: 5,
            tap_rules: None,
            disk: DiskFaults::default(),
            track_unsynced: false,
            clock: None,
            tap_watches: None,
            timeouts: VrTimeouts::default(),
            checkpoints: VrCheckpoints::default(),
            options: VrOptions {
                reads: Reads::Lease(LeaseTerms::default()),
                failure_detector: FailureDetector::Adaptive {
                    floor: Duration::from_millis(7),
                    cap: Duration::from_secs(1),
                },
            },
            dial: [(NodeId::replica(1), "127.0.0.1:9".parse().unwrap())].into(),
            answer: [(NodeId::Client(0), "127.0.0.1:10".parse().unwrap())].into(),
            credentials: Authority::new().unwrap().issue(NodeId::replica(0)).unwrap(),
        }
    }

    fn read(text: &str) -> Result<ReplicaConfig, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r0.toml");
        std::fs::write(&path, text).unwrap();
        ReplicaConfig::read(&path)
    }

    #[test]
    fn a_configuration_reads_back_as_it_is_written() {
        let config = config();
        let text = config.to_toml().unwrap();
        assert_eq!(read(&text).unwrap(), config, "{text}");
    }

    #[test]
    fn a_mistake_is_named_with_its_file_place_and_field() {
        let text = config().to_toml().unwrap();
        for (from, to, field) in [
            ("me = 0", "me = \"r0\"", "me"),
            ("tap-buffer = 5", "tap-bufer = 5", "tap-bufer"),
            ("seed = \"0x", "seed = \"", "seed"),
            ("heartbeat", "hartbeat", "hartbeat"),
        ] {
            let wrong = text.replacen(from, to, 1);
            assert_ne!(wrong, text, "{from}");
            let line = 1 + wrong.lines().position(|line| line.contains(field)).unwrap();
            let error = read(&wrong).unwrap_err().to_string();
            for part in ["r0.toml", &format!("line {line},"), field] {
                assert!(error.contains(part), "{part} is missing in {error}");
            }
        }
        let error = read(&text.replacen("me = 0\n", "", 1))
            .unwrap_err()
            .to_string();
        assert!(error.contains("missing field `me`"), "{error}");
    }

    #[test]
    fn fields_that_disagree_are_refused_by_name() {
        type Spoil = fn(&mut ReplicaConfig);
        let cases: [(&str, Spoil); 5] = [
            ("me", |config| config.me = ReplicaId(7)),
            ("replicas", |config| config.replicas.clear()),
            ("replicas", |config| config.replicas.reverse()),
            ("dial", |config| config.dial.clear()),
            ("listen", |config| {
                config.listen = "192.0.2.1:0".parse().unwrap()
            }),
        ];
        for (field, spoil) in cases {
            let mut config = config();
            spoil(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_configuration_or_refused(text in ".{0,200}") {
            prop_assert!(toml::from_str::<ReplicaConfig>(&text).is_err());
        }
    }
}
