//! `run.json`: what is true of a run and stands in no other of its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use viewstorm_history::History;
use viewstorm_protocol::ReplicaId;

use crate::run_folder::COMMIT;
use crate::runner::{Lag, RunRecord, Stages};
use crate::world::BrokenTheorem;

/// The file's name in the run's folder.
pub const FACTS_FILE: &str = "run.json";

/// What is true of a run and stands in no other of its files. It is written when the run begins, and once
/// more when it has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The version of viewstorm.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// When the run began, by the wall clock (RFC 3339).
    pub started: String,
    /// The command that runs it again.
    pub reproduce: Vec<String>,
    /// The host.
    pub machine: BTreeMap<String, String>,
    /// How the run ended; none if it did not.
    pub ending: Option<Ending>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// When which stage began.
    pub stages: Stages,
    /// The replicas that were healed after the load, where not all were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub core: Vec<ReplicaId>,
    /// Operations that were due and found no free session in time.
    pub not_started: u64,
    /// Why it ended early, if it did.
    pub interrupted: Option<String>,
    /// Replicas whose processes ended without the nemesis' doing.
    pub unexpected_exits: Vec<String>,
    /// Answers that were none, and the like.
    pub anomalies: Vec<String>,
    /// The theorems about the replicas' states that were checked after every event; none on processes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub theorems: Vec<String>,
    /// Those of them that did not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<BrokenTheorem>,
    /// How many events the theorems were checked after.
    #[serde(default)]
    pub events: u64,
    /// What each replica was doing at the end, as far as the world could look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    /// The whole run in one number, as sixteen hexadecimal digits; none where the seed does not fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_hash: Option<String>,
    /// How far the harness fell behind its own schedule.
    pub lag: Lag,
}

impl Ending {
    /// How the run of `record` ended, and its history.
    pub fn of(record: RunRecord) -> (Self, History) {
        let ending = Self {
            stages: record.stages,
            core: record.core,
            not_started: record.not_started,
            interrupted: record.interrupted,
            unexpected_exits: record.ledger.unexpected_exits().to_vec(),
            anomalies: record.anomalies,
            theorems: record.world.theorems,
            broken: record.broken,
            events: record.world.events,
            states: record.world.states,
            trace_hash: record.world.trace_hash.map(|hash| format!("{hash:016x}")),
            lag: record.lag,
        };
        (ending, record.history)
    }
}

impl RunFacts {
    /// The facts of a run that begins now.
    pub fn begin(reproduce: Vec<String>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: COMMIT.to_owned(),
            started: Self::now(),
            reproduce,
            machine: machine(),
            ending: None,
        }
    }

    /// The wall clock's time (RFC 3339).
    pub fn now() -> String {
        humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
    }

    /// As the file has it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("plain types serialise");
        json.push(b'\n');
        json
    }
}

/// The host, as far as it tells.
fn machine() -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut note = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.insert(name.to_owned(), value);
        }
    };
    let first_line = |path: &str| Some(fs::read_to_string(path).ok()?.lines().next()?.to_owned());
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    note("processor", field("/proc/cpuinfo", "model name"));
    let cores = std::thread::available_parallelism().ok();
    note("cores", cores.map(|cores| cores.to_string()));
    note("memory", field("/proc/meminfo", "MemTotal"));
    note("kernel", first_line("/proc/sys/kernel/osrelease"));
    note("load at start", first_line("/proc/loadavg"));
    facts
}

/// Why a `run.json` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FactsError {
    /// The file.
    pub path: std::path::PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl RunFacts {
    /// Reads the facts of the run in `directory`.
    pub fn read(directory: &Path) -> Result<Self, FactsError> {
        let path = directory.join(FACTS_FILE);
        let facts = fs::read(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
        facts.map_err(|reason| FactsError { path, reason })
    }
}
