//! What the traces say is what happened.

use std::collections::BTreeMap;

use viewstorm_protocol::{
    Address, MessageLabel, NodeId, ProtocolEvent, ReplicaId, TraceEvent, TraceRecord,
};

use crate::support::clients::{Clients, session, write};
use crate::support::cluster::Cluster;

fn read_trace(cluster: &Cluster, id: u16) -> Vec<TraceRecord> {
    let text = std::fs::read_to_string(cluster.trace(id)).unwrap();
    assert!(text.ends_with('\n'), "no line is cut off");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Runs some operations over two incarnations of the primary. Returns the traces.
fn traces() -> BTreeMap<u16, Vec<TraceRecord>> {
    let mut cluster = Cluster::running(3);
    {
        let clients = Clients::start(&cluster, 1);
        for number in 0..20 {
            clients.perform(session(1), write("k", number));
            if number == 10 {
                cluster.kill(0);
                cluster.start(0);
            }
        }
    }
    for id in 0..3 {
        cluster.stop(id);
    }
    (0..3).map(|id| (id, read_trace(&cluster, id))).collect()
}

#[test]
fn every_receipt_has_its_sending_and_time_goes_on() {
    let traces = traces();
    type Sending = (NodeId, u64, u64, Address, MessageLabel);
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    let key = |sending: &Sending| format!("{sending:?}");
    for record in traces.values().flatten() {
        if let TraceEvent::Sent { to, message } = &record.event {
            let sending = (
                record.node,
                record.incarnation.0,
                record.lamport,
                *to,
                message.clone(),
            );
            *sent.entry(key(&sending)).or_default() += 1;
        }
    }
    assert!(
        sent.values().all(|count| *count == 1),
        "a stamp names one sending"
    );
    let mut receipts = 0;
    for (id, trace) in &traces {
        for record in trace {
            let TraceEvent::Received {
                from: Address::Replica(from),
                stamp,
                message,
            } = &record.event
            else {
                continue;
            };
            assert!(record.lamport > *stamp);
            let found = (1..=2).any(|incarnation| {
                let to = Address::Replica(ReplicaId(*id));
                let from = NodeId::Replica(*from);
                sent.contains_key(&key(&(from, incarnation, *stamp, to, message.clone())))
            });
            assert!(found, "r{id} received what nobody sent: {record:?}");
            receipts += 1;
        }
        for pair in trace.windows(2) {
            let [before, after] = pair else {
                unreachable!("windows of two")
            };
            assert!(before.incarnation <= after.incarnation);
            assert!(before.time <= after.time);
            if before.incarnation == after.incarnation {
                assert!(before.lamport <= after.lamport, "{before:?} {after:?}");
            }
        }
    }
    assert!(receipts > 40, "{receipts}");
}

#[test]
fn an_incarnation_begins_with_its_start_and_ends_in_order_or_is_cut_off() {
    let traces = traces();
    for (id, trace) in &traces {
        let starts = trace
            .iter()
            .filter(|record| record.event == TraceEvent::Started)
            .count();
        assert_eq!(starts, if *id == 0 { 2 } else { 1 });
        assert_eq!(trace[0].event, TraceEvent::Started);
        assert_eq!(trace[0].lamport, 1);
        assert_eq!(trace.last().unwrap().event, TraceEvent::Stopped);
        let stops = trace
            .iter()
            .filter(|record| record.event == TraceEvent::Stopped)
            .count();
        assert_eq!(stops, 1, "a killed replica does not say that it stopped");
    }
}

#[test]
fn all_replicas_execute_the_same() {
    let traces = traces();
    let executed = |trace: &[TraceRecord]| -> BTreeMap<u64, u64> {
        let note = |record: &TraceRecord| match &record.event {
            TraceEvent::Noted {
                note: ProtocolEvent::Executed { order, digest, .. },
            } => Some((*order, *digest)),
            _ => None,
        };
        trace.iter().filter_map(note).collect()
    };
    let [first, second, third] = [0, 1, 2].map(|id| executed(&traces[&id]));
    assert!(first.len() >= 11);
    for other in [second, third] {
        let both = first.iter().filter(|(order, _)| other.contains_key(order));
        assert!(both.clone().count() >= 11);
        assert!(
            both.into_iter()
                .all(|(order, digest)| other[order] == *digest)
        );
    }
}
