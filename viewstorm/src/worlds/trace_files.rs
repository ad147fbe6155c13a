//! The trace files of a simulated run: the same lines that replica processes write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use viewstorm_history::Timestamp;
use viewstorm_nemesis::Topology;
use viewstorm_protocol::{Incarnation, MessageLabel, NodeId, TraceEvent, TraceRecord};
use viewstorm_simulator::{TraceEvent as Simulated, TraceSink};

use crate::judge::trace_file;

/// One file for each replica.
#[derive(Debug)]
pub(super) struct TraceFiles {
    nodes: BTreeMap<NodeId, Node>,
}

#[derive(Debug)]
struct Node {
    file: BufWriter<File>,
    incarnation: Incarnation,
}

impl TraceFiles {
    /// Makes the files in a run's folder.
    pub(super) fn create(folder: &Path, topology: Topology) -> io::Result<Self> {
        let mut nodes = BTreeMap::new();
        for node in topology.replica_ids().map(NodeId::Replica) {
            let file = BufWriter::new(File::create_new(folder.join(trace_file(node)))?);
            nodes.insert(
                node,
                Node {
                    file,
                    incarnation: Incarnation(0),
                },
            );
        }
        Ok(Self { nodes })
    }
}

impl TraceSink for TraceFiles {
    fn record(&mut self, time: Timestamp, at: NodeId, lamport: u64, event: Simulated<'_>) {
        let Some(node) = self.nodes.get_mut(&at) else {
            return;
        };
        let label = |kind: &'static str, view, number| MessageLabel {
            kind: kind.into(),
            view,
            number,
        };
        let event = match event {
            Simulated::Started(incarnation) => {
                node.incarnation = incarnation;
                TraceEvent::Started
            }
            // A process that is killed writes no last line.
            Simulated::Exited(_) => return,
            Simulated::Sent {
                to,
                kind,
                view,
                number,
            } => TraceEvent::Sent {
                to,
                message: label(kind, view, number),
            },
            Simulated::Received {
                from,
                stamp,
                kind,
                view,
                number,
            } => TraceEvent::Received {
                from,
                stamp,
                message: label(kind, view, number),
            },
            Simulated::Persisted(record) => TraceEvent::Persisted { record },
            Simulated::Noted(note) => TraceEvent::Noted { note: note.clone() },
        };
        let time = time.as_nanos();
        let record = TraceRecord {
            time,
            lamport,
            node: at,
            incarnation: node.incarnation,
            event,
        };
        // A full disk shows where the run's other files are written; a broken trace is read up to its break.
        drop(serde_json::to_writer(&mut node.file, &record));
        drop(node.file.write_all(b"\n"));
    }
}
