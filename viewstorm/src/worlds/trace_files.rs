//! The trace files of a simulated run: the same lines that replica processes write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use viewstorm_nemesis::Topology;
use viewstorm_protocol::{NodeId, TraceRecord};
use viewstorm_simulator::TraceSink;

use crate::judge::trace_file;

/// One file for each replica.
#[derive(Debug)]
pub(super) struct TraceFiles {
    files: BTreeMap<NodeId, BufWriter<File>>,
}

impl TraceFiles {
    /// Makes the files in a run's folder.
    pub(super) fn create(folder: &Path, topology: Topology) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for node in topology.replica_ids().map(NodeId::Replica) {
            let file = BufWriter::new(File::create_new(folder.join(trace_file(node)))?);
            files.insert(node, file);
        }
        Ok(Self { files })
    }
}

impl TraceSink for TraceFiles {
    fn record(&mut self, record: &TraceRecord) {
        let Some(file) = self.files.get_mut(&record.node) else {
            return;
        };
        // A full disk shows where the run's other files are written; a broken trace is read up to its break.
        drop(serde_json::to_writer(&mut *file, record));
        drop(file.write_all(b"\n"));
    }
}
