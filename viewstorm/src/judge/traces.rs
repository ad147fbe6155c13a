//! What the replicas' traces add to the history: whether operations of unknown outcome were executed, and
//! which replica led which view.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use viewstorm_history::{History, Kind, ProcessId, Timestamp};
use viewstorm_protocol::{NodeId, ProtocolEvent, ReplicaId, Status, TraceEvent, TraceRecord};
use viewstorm_report::ViewChange;

/// The folder of the traces in a run's folder.
pub const TRACE_FOLDER: &str = "trace";

/// A trace that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The system does not hand it out.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is no trace record.
    #[error("{path}: line {line}: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// What was taken from the traces.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// The primaries, each when it was in normal status.
    pub(super) views: Vec<ViewChange>,
    /// The places in the order of execution of those asked for.
    orders: BTreeMap<(ProcessId, u64), u64>,
}

impl Traces {
    /// Reads all traces of a run. A run without traces has none of what they would tell.
    pub fn read(directory: &Path, history: &History) -> Result<Self, TraceError> {
        let folder = directory.join(TRACE_FOLDER);
        let mut traces = Self::default();
        if !folder.is_dir() {
            return Ok(traces);
        }
        let wanted: BTreeSet<_> = unknown(history)
            .into_iter()
            .map(|(_, request)| request)
            .collect();
        let io = |source| TraceError::Io {
            path: folder.clone(),
            source,
        };
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths: Vec<_> = entries
            .map_err(io)?
            .iter()
            .map(fs::DirEntry::path)
            .collect();
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        });
        paths.sort();
        for path in paths {
            traces.read_file(&path, &wanted)?;
        }
        traces
            .views
            .sort_by_key(|view| (view.at_ns, view.epoch, view.view));
        Ok(traces)
    }

    fn read_file(
        &mut self,
        path: &Path,
        wanted: &BTreeSet<(ProcessId, u64)>,
    ) -> Result<(), TraceError> {
        let io = |source| TraceError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = BufReader::with_capacity(1 << 18, File::open(path).map_err(io)?);
        let mut text = String::new();
        for line in 1.. {
            text.clear();
            // A kill may leave half a line; whatever came before it counts.
            if file.read_line(&mut text).map_err(io)? == 0 || !text.ends_with('\n') {
                return Ok(());
            }
            let is_execution = text.contains("\"executed\"") && !wanted.is_empty();
            if !is_execution && !text.contains("\"status-changed\"") {
                continue;
            }
            let record: TraceRecord =
                serde_json::from_str(&text).map_err(|source| TraceError::Malformed {
                    path: path.to_owned(),
                    line,
                    source,
                })?;
            if let (TraceEvent::Noted { note }, Some(replica)) =
                (&record.event, record.node.as_replica())
            {
                self.note(Timestamp(record.time), replica, note, |request| {
                    wanted.contains(request)
                });
            }
        }
        Ok(())
    }

    /// Takes what a replica said, of the executions those that are wanted.
    pub fn note(
        &mut self,
        time: Timestamp,
        replica: ReplicaId,
        note: &ProtocolEvent,
        is_wanted: impl Fn(&(ProcessId, u64)) -> bool,
    ) {
        match *note {
            ProtocolEvent::Executed {
                client,
                request,
                order,
                ..
            } => {
                let request = (ProcessId(client.session), request);
                if is_wanted(&request) {
                    self.orders.insert(request, order);
                }
            }
            ProtocolEvent::StatusChanged {
                status: Status::Normal,
                view,
                primary: true,
            } => {
                let replica = u32::from(replica.0);
                self.views.push(ViewChange {
                    at_ns: time,
                    replica: Some(replica),
                    epoch: view.epoch.0,
                    view: view.number,
                    primary: replica,
                });
            }
            _ => {}
        }
    }

    /// Gives each info event of an operation that was executed its place in the order.
    pub(super) fn fill_orders(&self, history: &mut History) {
        for (index, request) in unknown(history) {
            if let Some(order) = self.orders.get(&request) {
                history.operations[index].order = Some(*order);
            }
        }
    }
}

/// The info events, each with its process and the number of its request in the session: sessions count from 1,
/// and a process is a session.
fn unknown(history: &History) -> Vec<(usize, (ProcessId, u64))> {
    let mut requests: BTreeMap<ProcessId, u64> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (index, event) in history.operations.iter().enumerate() {
        let request = requests.entry(event.process).or_default();
        match event.kind {
            Kind::Invoke => *request += 1,
            Kind::Info => unknown.push((index, (event.process, *request))),
            Kind::Ok | Kind::Fail => {}
        }
    }
    unknown
}

/// A node's trace file in a run's folder.
pub fn trace_file(node: NodeId) -> PathBuf {
    Path::new(TRACE_FOLDER).join(format!("{node}.jsonl"))
}
