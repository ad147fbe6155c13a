//! Replicas that were away for longer than any log reaches.

use std::io::BufRead;
use std::path::Path;

use viewstorm_checker::Validity;
use viewstorm_protocol::{ProtocolEvent, TraceEvent, TraceRecord};

use crate::support::{Home, results};

/// The checkpoints that a replica took over from others.
fn installed(folder: &Path, replica: u16) -> Vec<u64> {
    let file = std::fs::File::open(folder.join(format!("trace/r{replica}.jsonl"))).unwrap();
    let lines = std::io::BufReader::new(file).lines().map(Result::unwrap);
    let records = lines.map(|line| serde_json::from_str::<TraceRecord>(&line).unwrap());
    records
        .filter_map(|record| match record.event {
            TraceEvent::Noted {
                note: ProtocolEvent::CheckpointInstalled { op, .. },
            } => Some(op),
            _ => None,
        })
        .collect()
}

/// `experiments/vr/long-outage.toml` does what it says: the outages are long enough, and all is well.
#[test]
fn a_long_outage_ends_with_a_checkpoint() {
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/vr/long-outage.toml");
    let home = Home::new();
    let plan = plan.to_str().unwrap();
    home.viewstorm(&["run", plan, "--seed", "5"]).expect(0);
    let folder = home.run_folder();
    assert_eq!(results(&folder).outcome.validity, Validity::Valid);
    let installed: Vec<_> = (0..3).map(|replica| installed(&folder, replica)).collect();
    assert!(!installed[2].is_empty(), "{installed:?}");
    assert!(installed.concat().len() >= 3, "{installed:?}");
    assert!(
        installed.concat().iter().all(|op| op % 64 == 0),
        "{installed:?}"
    );
}
