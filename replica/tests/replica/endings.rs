//! How a replica ends: told so, or because it cannot go on, and then it says why.

use std::path::Path;

use viewstorm_protocol::NodeId;
use viewstorm_replica::control::{CommandError, Report};
use viewstorm_replica::{ReplicaConfig, ReplicaError};

use crate::support::cluster::{Cluster, launch};
use crate::support::wait_for;

/// Starts a replica that cannot start, and returns its last words.
fn last_words(config: ReplicaConfig) -> String {
    let running = launch(config);
    let reason = wait_for(&running.reports, "last words", |report| match report {
        Report::Fatal { reason } => Some(reason.clone()),
        _ => None,
    });
    let (result, _) = running.end();
    assert_eq!(result.unwrap_err().to_string(), reason);
    reason
}

fn assert_names(words: &str, thing: &Path) {
    assert!(words.contains(&thing.display().to_string()), "{words}");
}

#[test]
fn what_cannot_be_opened_is_named() {
    let cluster = Cluster::of(1);
    let no_directory = cluster.directory.path().join("file");
    std::fs::write(&no_directory, "").unwrap();
    let directory = no_directory.join("r0");
    let config = ReplicaConfig {
        directory: directory.clone(),
        ..cluster.config(0)
    };
    assert_names(&last_words(config), &directory);
    let trace = no_directory.join("r0.jsonl");
    let config = ReplicaConfig {
        trace: trace.clone(),
        ..cluster.config(0)
    };
    assert_names(&last_words(config), &trace);
}

#[test]
fn a_trace_that_cannot_be_written_is_the_end() {
    let cluster = Cluster::of(1);
    let full = Path::new("/dev/full");
    let config = ReplicaConfig {
        trace: full.to_owned(),
        ..cluster.config(0)
    };
    assert_names(&last_words(config), full);
}

#[test]
fn an_address_in_use_is_named() {
    let cluster = Cluster::of(1);
    let address = cluster.address(NodeId::replica(0));
    let _taken = std::net::UdpSocket::bind(address).unwrap();
    let words = last_words(cluster.config(0));
    assert!(
        words.contains(&address.to_string()) && words.contains("in use"),
        "{words}"
    );
}

#[test]
fn credentials_of_somebody_else_are_refused() {
    let cluster = Cluster::of(2);
    let credentials = cluster.config(1).credentials;
    let words = last_words(ReplicaConfig {
        credentials,
        ..cluster.config(0)
    });
    assert!(words.contains("the certificate of r0 names r1"), "{words}");
}

#[test]
fn a_field_that_makes_no_sense_is_named() {
    let cluster = Cluster::of(2);
    let words = last_words(ReplicaConfig {
        replicas: vec![],
        ..cluster.config(0)
    });
    assert!(words.contains("replicas: 0 of them"), "{words}");
}

#[test]
fn damaged_storage_is_named() {
    let mut cluster = Cluster::of(1);
    cluster.start(0);
    cluster.wait_until_normal(0);
    cluster.stop(0);
    let storage = cluster.storage(0);
    std::fs::write(storage.join("incarnation"), "once upon a time").unwrap();
    assert_names(&last_words(cluster.config(0)), &storage);
}

#[test]
fn nonsense_on_the_control_channel_is_named() {
    let cluster = Cluster::of(1);
    let running = launch(cluster.config(0));
    let source = serde_json::from_str::<u8>("fly").unwrap_err();
    running.send(Err(CommandError::Malformed {
        line: "fly".to_owned(),
        source,
    }));
    let (result, last) = running.end();
    assert!(
        matches!(result, Err(ReplicaError::Control(_))),
        "{result:?}"
    );
    assert!(matches!(last, Some(Report::Fatal { reason }) if reason.contains("fly")));
}

#[test]
fn rules_that_the_tap_does_not_know_are_named() {
    let cluster = Cluster::of(1);
    let running = launch(cluster.config(0));
    let rules = serde_json::json!(["fly"]);
    running.send(Ok(viewstorm_replica::control::Command::SetTap { rules }));
    let (result, _) = running.end();
    assert!(result.unwrap_err().to_string().contains("set-tap"));
}
