//! `results.json`: everything a run came to, in one file that other tools can read.
//!
//! The types are plain. Units stand in the names; times are nanoseconds on the run's one clock, as
//! in the history. A field that is added later has a default; a change of meaning raises
//! [`SCHEMA_VERSION`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use viewstorm_checker::{CheckResult, Validity, Verdict, Violation};
use viewstorm_history::Seed;

use crate::{
    Bound, Counts, FaultRecord, FaultTotals, HarnessLag, KindMeasures, Latency, PhaseMeasures,
    Recovery, ViewChange,
};

/// The version of `results.json` that this crate writes, and the only one that it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA_VERSION`] when it was written.
    pub schema_version: u32,
    /// Which run.
    pub run: Identity,
    /// How it ended, against what was expected.
    pub outcome: Outcome,
    /// What the checks said.
    pub verdict: Verdict,
    /// Why the run does not count as valid besides its checks: unconfirmed faults, harness lag, an
    /// interruption. One sentence each.
    #[serde(default)]
    pub reservations: Vec<String>,
    /// Timing bounds of the plan, met or missed.
    #[serde(default)]
    pub bounds: Vec<Bound>,
    /// How the operations ended.
    pub counts: Counts,
    /// Acknowledged operations a second, over the measured part of the run.
    pub throughput_ops_per_s: f64,
    /// Latency of all acknowledged operations in the measured part of the run.
    pub latency: Latency,
    /// The same per kind of operation.
    #[serde(default)]
    pub kinds: Vec<KindMeasures>,
    /// The same per phase of the run, in the order of time.
    #[serde(default)]
    pub phases: Vec<PhaseMeasures>,
    /// Every fault of the schedule, in the order of the plan.
    #[serde(default)]
    pub faults: Vec<FaultRecord>,
    /// How many of them came and went as planned.
    #[serde(default)]
    pub fault_totals: FaultTotals,
    /// How the system came back.
    #[serde(default)]
    pub recovery: Recovery,
    /// View changes as the replicas noted them, in the order of time.
    #[serde(default)]
    pub views: Vec<ViewChange>,
    /// The commands that run it again, the most exact first.
    #[serde(default)]
    pub reproduce: Vec<String>,
    /// Facts about the host: processor, cores, kernel, load, ...
    #[serde(default)]
    pub machine: BTreeMap<String, String>,
    /// How far the harness itself fell behind its schedule, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harness_lag: Option<HarnessLag>,
    /// What this machine can do at best, measured without a protocol; units stand in the names
    /// (`udp_echo_p50_us`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub floors: BTreeMap<String, f64>,
}

/// Which run it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The plan's name.
    pub experiment: String,
    /// What the plan says about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What fixed its random choices.
    pub seed: Seed,
    /// The world it ran in: `processes` or `simulated`.
    pub world: String,
    /// `vr`, `pbft`, ...
    pub protocol: String,
    /// How many replicas it began with.
    pub replicas: u32,
    /// How many clients drove it.
    pub clients: u32,
    /// The version of viewstorm.
    pub version: String,
    /// The commit it was built from, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it began, by the wall clock (RFC 3339).
    pub started: String,
    /// How long it took, on its own clock.
    pub duration_ns: u64,
}

/// How the run ended, against what was expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict over all: the checks', and unknown at best if there are reservations.
    pub validity: Validity,
    /// What the plan expects.
    pub expected: Expectation,
    /// Whether it came so.
    pub as_expected: bool,
    /// What the process exits with.
    pub exit: Exit,
}

/// What the plan's `[expect]` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The verdict.
    pub validity: Validity,
    /// For an expected violation: of which property.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
}

/// An exit code and its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The code.
    pub code: u8,
    /// What it says.
    pub meaning: String,
}

impl Exit {
    /// The code with the meaning that viewstorm gives it.
    pub fn from_code(code: u8) -> Self {
        let meaning = match code {
            0 => "as expected",
            1 => "invalid, or an expected violation did not come",
            2 => "unknown",
            3 => "bad plan or usage",
            4 => "the harness failed",
            _ => "not a code of viewstorm",
        };
        Self {
            code,
            meaning: meaning.to_owned(),
        }
    }
}

/// Why a `results.json` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadResultsError {
    /// The file is not there, or the system does not hand it out.
    #[error("{path}: cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not JSON, or a field is missing or of another type.
    #[error("{path}: is not a results file: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error(
        "{path}: has schema version {found}; this viewstorm reads version {SCHEMA_VERSION} \
         (check the run again, or use the version that wrote it)"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it names.
        found: u32,
    },
}

impl Results {
    /// Reads a `results.json`. The version is looked at first: a file of another one may be
    /// anything.
    pub fn read(path: &Path) -> Result<Self, ReadResultsError> {
        #[derive(Deserialize)]
        struct Probe {
            schema_version: u32,
        }
        let io = |source| ReadResultsError::Io {
            path: path.to_owned(),
            source,
        };
        let malformed = |source| ReadResultsError::Malformed {
            path: path.to_owned(),
            source,
        };
        let text = fs::read(path).map_err(io)?;
        let probe: Probe = serde_json::from_slice(&text).map_err(malformed)?;
        if probe.schema_version != SCHEMA_VERSION {
            return Err(ReadResultsError::Version {
                path: path.to_owned(),
                found: probe.schema_version,
            });
        }
        serde_json::from_slice(&text).map_err(malformed)
    }

    /// The names of the checks that do not hold, and of the missed bounds that decide the run.
    pub fn broken(&self) -> Vec<String> {
        let checks = self.verdict.checks.iter();
        let checks = checks.filter(|check| check.validity != Validity::Valid);
        let names = checks.map(|check| check.check.clone());
        names
            .chain(self.missed().map(|bound| bound.name.clone()))
            .collect()
    }

    /// Why the run did not come out valid, one sentence each: violations, missed bounds, reservations.
    pub fn reasons(&self) -> Vec<String> {
        let checks = self.verdict.checks.iter();
        let checks = checks.filter(|check| check.validity != Validity::Valid);
        let stories = checks.flat_map(|check| {
            let violations = check.violations.iter().map(|v| v.summary.clone());
            check.reason.clone().into_iter().chain(violations)
        });
        let missed = self.missed().map(|bound| {
            let measured = bound.measured.as_deref().unwrap_or("nothing to measure");
            format!(
                "{} is bounded by {}, measured {measured}",
                bound.name, bound.limit
            )
        });
        stories
            .chain(missed)
            .chain(self.reservations.iter().cloned())
            .collect()
    }

    fn missed(&self) -> impl Iterator<Item = &Bound> {
        self.bounds
            .iter()
            .filter(|bound| bound.judged && !bound.met)
    }

    /// The first contradiction and the check that found it: the earliest that is certain.
    pub fn first_violation(&self) -> Option<(&CheckResult, &Violation)> {
        let all = self.verdict.checks.iter().flat_map(|check| {
            let violations = check.violations.iter();
            violations.map(move |violation| (check, violation))
        });
        all.min_by_key(|(_, violation)| (violation.window.1, violation.window.0))
    }
}

#[cfg(test)]
mod tests;
