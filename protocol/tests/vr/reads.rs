//! Reads outside the log (VRR §6.3).

use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::vr::{LeaseTerms, OpNumber, Read, Reads, VrMessage, VrOptions};
use viewstorm_protocol::{Address, ProtocolEvent, Status};

use crate::cluster::{Cluster, Flight, READ, Verdict, replica};

const TERMS: LeaseTerms = LeaseTerms {
    length: Duration::from_millis(100),
    drift_ppm: 1000,
};

fn cluster_of(members: usize, clients: usize, reads: Reads) -> Cluster {
    let options = VrOptions {
        reads,
        ..VrOptions::default()
    };
    let mut cluster = Cluster::with_options(members, clients, options);
    // The first leases are granted, or nothing changes.
    cluster.run_for(Duration::from_millis(5));
    cluster.sent.clear();
    cluster
}

fn leased(members: usize, clients: usize) -> Cluster {
    cluster_of(members, clients, Reads::Lease(TERMS))
}

fn read(cluster: &mut Cluster, client: usize) -> Bytes {
    cluster.invoke(client, Bytes::from_static(READ));
    let done = cluster.run_until(Duration::from_secs(5), |cluster| {
        cluster.sessions[client].is_idle()
    });
    assert!(done, "the read completes");
    let completions = &cluster.sessions[client].completions;
    completions.last().expect("just completed").result.clone()
}

fn drops(cluster: &Cluster, reason: &str) -> usize {
    let is_it = |note: &ProtocolEvent| matches!(note, ProtocolEvent::Dropped { reason: r, .. } if r == reason);
    cluster.notes.iter().filter(|(_, note)| is_it(note)).count()
}

/// VRR §6.3: the primary "could carry out the read ... immediately without involving other replicas".
#[test]
fn s6_3_a_leased_read_takes_two_messages_and_no_place_in_the_log() {
    for members in [1, 3, 5] {
        let mut cluster = leased(members, 1);
        cluster.client_write(0, "one");
        cluster.run_for(Duration::from_millis(25));
        let (op, now) = (cluster.core(0).op_number(), cluster.now);
        cluster.sent.clear();
        cluster.invoke(0, Bytes::from_static(READ));
        cluster.round();
        cluster.round();
        let completion = cluster.sessions[0].completions[1].clone();
        assert_eq!((&completion.result[..], completion.order), (&b"one"[..], 1));
        assert_eq!((cluster.core(0).op_number(), cluster.now), (op, now));
        assert_eq!(cluster.count(&["Request", "Reply", "Prepare"]), 2);
        cluster.everything_completes();
    }
}

#[test]
fn what_changes_something_goes_through_the_log_with_leases_too() {
    let mut cluster = leased(3, 1);
    assert_eq!(cluster.client_write(0, "one").order, 1);
    assert_eq!(cluster.client_write(0, "two").order, 2);
    assert_eq!(cluster.core(0).op_number(), OpNumber(2));
}

#[test]
fn without_a_lease_reads_go_through_the_log() {
    let mut cluster = cluster_of(3, 1, Reads::Log);
    cluster.client_write(0, "one");
    assert_eq!(read(&mut cluster, 0), "one");
    assert_eq!(cluster.core(0).op_number(), OpNumber(2));
    let mut cluster = leased(3, 1);
    cluster.client_write(0, "one");
    // Nobody renews: what was granted runs out, and the quorum that a read needs is the log's.
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Lease(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.run_for(TERMS.length);
    assert_eq!(read(&mut cluster, 0), "one");
    assert_eq!(cluster.core(0).op_number(), OpNumber(2));
}

/// VRR §6.3: the isolated primary's leases run out before another is in office, so it has nothing old to tell.
#[test]
fn s6_3_an_isolated_primary_reads_nothing_once_another_is_in_office() {
    for members in [3, 5] {
        let mut cluster = leased(members, 2);
        cluster.client_write(0, "one");
        // Client 1 reaches only the old primary, client 0 only the others.
        cluster.filter = Box::new(|flight| {
            let client = |session: u16| {
                let is_it =
                    |address| matches!(address, Address::Client(id) if id.endpoint == session);
                is_it(flight.from) || is_it(flight.to)
            };
            let apart = flight.touches(0) && flight.is_between_replicas();
            match apart || client(0) && flight.touches(0) || client(1) && !flight.touches(0) {
                true => Verdict::Drop,
                false => Verdict::Pass,
            }
        });
        let mut reads = 0;
        let mut written = false;
        for _ in 0..3000 {
            if cluster.sessions[1].is_idle() {
                reads += 1;
                cluster.invoke(1, Bytes::from_static(READ));
            }
            if cluster.sessions[0].is_idle() {
                written |= cluster.sessions[0].completions.len() > 1;
                cluster.invoke(0, Bytes::from_static(b"two"));
            }
            cluster.tick();
        }
        assert!(written && reads > 10, "{members}: {reads} reads");
        // It has read while the leases lasted, and then waited: the oracle says that none was stale.
        assert!(!cluster.sessions[1].is_idle());
        cluster.everything_completes();
    }
}

/// VRR §6.3: "the new primary ... after the leases expire": no vote leaves a granter before its lease is over.
#[test]
fn s6_3_a_granter_votes_for_nobody_until_its_lease_is_over() {
    let mut cluster = leased(3, 1);
    cluster.client_write(0, "one");
    cluster.run_for(Duration::from_millis(100));
    let granted = cluster.now;
    cluster.crash(0);
    // Both backups are asked to leave the view while their leases last.
    for to in [1, 2] {
        let ask = viewstorm_protocol::vr::StartViewChange {
            view: viewstorm_protocol::ViewNumber::new(1),
            entered: viewstorm_protocol::ViewNumber::new(1),
        };
        let from = replica(3 - to);
        cluster.deliver(Flight {
            from,
            to: replica(to),
            message: ask.into(),
        });
        assert_eq!(cluster.core(to).status(), Status::ViewChange);
    }
    let started = cluster.run_until(Duration::from_secs(1), |cluster| {
        cluster.primary() == Some(1)
    });
    assert!(started);
    let waited = cluster.now.saturating_since(granted);
    assert!(waited >= TERMS.length * 6 / 10, "{waited:?}");
    assert_eq!(read(&mut cluster, 0), "one");
    cluster.everything_completes();
}

/// Not in the paper: a new primary's executed state may lack what the old one answered for.
#[test]
fn a_new_primary_reads_alone_only_after_it_has_executed_what_it_inherited() {
    let mut cluster = leased(3, 2);
    // r1 and r2 hold the write, and do not know that it is committed and was acknowledged.
    cluster.client_write(0, "one");
    assert_eq!(cluster.core(1).commit_number(), OpNumber(0));
    cluster.crash(0);
    // The new primary's commit waits for r2's acknowledgement, which does not arrive.
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::PrepareOk(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    assert!(
        cluster.run_until(Duration::from_secs(1), |cluster| cluster.primary()
            == Some(1))
    );
    cluster.run_for(Duration::from_millis(20));
    cluster.invoke(1, Bytes::from_static(READ));
    cluster.run_for(Duration::from_millis(110));
    assert!(!cluster.sessions[1].is_idle(), "it must not read before");
    cluster.filter = Box::new(|_| Verdict::Pass);
    cluster.everything_completes();
    assert_eq!(cluster.sessions[1].completions[0].result, "one");
}

/// Not in the paper: who restarts has forgotten what it granted.
#[test]
fn a_restarted_granter_waits_a_lease_out() {
    let mut cluster = leased(3, 2);
    cluster.client_write(0, "one");
    cluster.run_for(Duration::from_millis(100));
    // The primary holds fresh leases and is cut off with client 1; both granters restart at once.
    cluster.filter = Box::new(|flight| {
        let reader = |address| matches!(address, Address::Client(id) if id.endpoint == 1);
        let writer = |address| matches!(address, Address::Client(id) if id.endpoint == 0);
        let apart = flight.touches(0) && flight.is_between_replicas()
            || flight.touches(0) && (writer(flight.from) || writer(flight.to))
            || !flight.touches(0) && (reader(flight.from) || reader(flight.to));
        match apart {
            true => Verdict::Drop,
            false => Verdict::Pass,
        }
    });
    for granter in [1, 2] {
        cluster.crash(granter);
        cluster.restart(granter);
        let entered = viewstorm_protocol::ViewNumber::new(1);
        let ask = viewstorm_protocol::vr::StartViewChange {
            view: entered,
            entered,
        };
        cluster.deliver(Flight {
            from: replica(3 - granter),
            to: replica(granter),
            message: ask.into(),
        });
    }
    cluster.invoke(0, Bytes::from_static(b"two"));
    for _ in 0..1000 {
        if cluster.sessions[1].is_idle() {
            cluster.invoke(1, Bytes::from_static(READ));
        }
        cluster.tick();
    }
    assert!(
        cluster.sessions[0].is_idle(),
        "another primary is in office"
    );
    cluster.everything_completes();
}

/// The assumption itself: clocks within it never tell, clocks beyond it do.
#[test]
fn leases_hold_with_clocks_within_the_assumption_and_break_beyond_it() {
    let stale = |drift_ppm: i64, assumed: u32| {
        let terms = LeaseTerms {
            drift_ppm: assumed,
            ..TERMS
        };
        let options = VrOptions {
            reads: Reads::Lease(terms),
            ..VrOptions::default()
        };
        let mut cluster = Cluster::unstarted_with(3, 2, 7, options);
        cluster.nodes[0].drift_ppm = -drift_ppm;
        for index in [1, 2] {
            cluster.nodes[index].drift_ppm = drift_ppm;
        }
        for index in 0..3 {
            cluster.restart(index);
        }
        cluster.run_for(Duration::from_millis(400));
        cluster.client_write(0, "one");
        cluster.filter = Box::new(|flight| {
            let is =
                |address, number| matches!(address, Address::Client(id) if id.endpoint == number);
            let by = |number| is(flight.from, number) || is(flight.to, number);
            let apart = flight.touches(0) && (flight.is_between_replicas() || by(0))
                || !flight.touches(0) && by(1);
            match apart {
                true => Verdict::Drop,
                false => Verdict::Pass,
            }
        });
        let mut stale = 0;
        let mut told = 1;
        for _ in 0..1500 {
            if cluster.sessions[1].is_idle() {
                if let Some(last) = cluster.sessions[1].completions.last() {
                    stale += usize::from(last.order < told);
                }
                told = cluster.sessions[0]
                    .completions
                    .last()
                    .map_or(0, |last| last.order);
                cluster.invoke(1, Bytes::from_static(READ));
            }
            if cluster.sessions[0].is_idle() {
                cluster.invoke(0, Bytes::from_static(b"two"));
            }
            cluster.tick();
        }
        assert!(cluster.sessions[0].completions.len() > 10);
        stale
    };
    assert_eq!(stale(200_000, 200_000), 0);
    assert_eq!(stale(1000, 1000), 0);
    assert!(stale(600_000, 1000) > 0);
}

fn at_backups(clients: usize) -> Cluster {
    cluster_of(3, clients, Reads::Backup)
}

/// VRR §6.3: a read at a backup needs two messages, and not the primary.
#[test]
fn s6_3_a_backup_answers_reads() {
    let mut cluster = at_backups(3);
    cluster.client_write(0, "one");
    cluster.run_for(Duration::from_millis(30));
    cluster.sent.clear();
    for client in 0..3 {
        assert_eq!(read(&mut cluster, client), "one");
    }
    assert_eq!(cluster.core(0).op_number(), OpNumber(1));
    assert_eq!(cluster.count(&["Read", "Reply"]), 6);
}

/// VRR §6.3: "the backup will respond to the read request only if it has executed operations at least as high".
#[test]
fn s6_3_a_backup_answers_only_when_it_has_executed_what_the_client_has_seen() {
    let mut cluster = at_backups(2);
    // Session 1 reads at r1, which has the write and does not know that it is committed.
    cluster.client_write(1, "one");
    assert_eq!(cluster.core(1).order(), 0);
    cluster.invoke(1, Bytes::from_static(READ));
    cluster.round();
    assert_eq!(cluster.core(1).order(), 0);
    assert!(!cluster.sessions[1].is_idle());
    assert!(cluster.run_until(Duration::from_millis(30), |cluster| {
        cluster.sessions[1].is_idle()
    }));
    assert_eq!(cluster.sessions[1].completions[1].result, "one");
    cluster.everything_completes();
}

/// VRR §6.3: "stale": who has seen nothing may be shown the past, and from then on not an earlier one.
#[test]
fn s6_3_a_backup_that_is_cut_off_answers_from_the_past() {
    let mut cluster = at_backups(2);
    cluster.client_write(0, "one");
    cluster.run_for(Duration::from_millis(30));
    cluster.filter = Box::new(
        |flight| match flight.touches(1) && flight.is_between_replicas() {
            true => Verdict::Drop,
            false => Verdict::Pass,
        },
    );
    cluster.client_write(0, "two");
    assert_eq!(read(&mut cluster, 1), "one");
    // Having written itself, it sees that: r1 keeps silent, and it turns to another.
    cluster.client_write(1, "three");
    assert_eq!(read(&mut cluster, 1), "three");
    cluster.everything_completes();
}

#[test]
fn a_read_answer_does_not_tell_a_client_where_the_primary_is() {
    let mut cluster = at_backups(2);
    cluster.client_write(1, "one");
    cluster.run_for(Duration::from_millis(30));
    let before = cluster.sessions[1].core.view();
    read(&mut cluster, 1);
    assert_eq!(cluster.sessions[1].core.view(), before);
}

#[test]
fn what_is_no_read_or_another_clients_is_not_answered_outside_the_log() {
    let mut cluster = at_backups(2);
    let ids = [cluster.sessions[0].id, cluster.sessions[1].id];
    let message = |operation: &'static [u8]| Read {
        client: ids[0],
        request_number: 1,
        operation: Bytes::from_static(operation),
        after: 0,
    };
    for (from, read, reason) in [
        (ids[0], message(b"change"), "it may change something"),
        (ids[1], message(READ), "speaks for another client"),
    ] {
        cluster.deliver(Flight {
            from: Address::Client(from),
            to: replica(1),
            message: read.into(),
        });
        assert_eq!(drops(&cluster, reason), 1);
    }
    let mut cluster = cluster_of(3, 1, Reads::Log);
    cluster.deliver(Flight {
        from: Address::Client(ids[0]),
        to: replica(1),
        message: message(READ).into(),
    });
    assert_eq!(drops(&cluster, "reads are not answered outside the log"), 1);
}
