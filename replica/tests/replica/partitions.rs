//! Links that are cut and healed.

use std::time::{Duration, Instant};

use viewstorm_protocol::{NodeId, ReplicaId};
use viewstorm_replica::ReplicaConfig;

use crate::support::clients::{Clients, session, write};
use crate::support::cluster::Cluster;
use crate::support::relay::Relay;

/// How long all links are cut.
const OUTAGE: Duration = Duration::from_secs(2);

/// A relay between all nodes of a cluster of three and its client endpoint.
fn relay(cluster: &Cluster) -> Relay {
    let pairs = [(0, 1), (0, 2), (1, 2)].map(|(a, b)| (NodeId::replica(a), NodeId::replica(b)));
    let clients = [0, 1, 2].map(|id| (NodeId::Client(0), NodeId::replica(id)));
    let with_address = |(dialler, acceptor)| (dialler, acceptor, cluster.address(acceptor));
    Relay::start(pairs.into_iter().chain(clients).map(with_address))
}

#[test]
fn a_group_answers_again_when_its_links_are_healed() {
    let mut cluster = Cluster::of(3);
    let relay = relay(&cluster);
    for id in 0..3 {
        let me = NodeId::replica(id);
        let mut config: ReplicaConfig = cluster.config(id);
        for (peer, address) in &mut config.dial {
            *address = relay.front(me, *peer);
        }
        config.answer = (0..id)
            .map(NodeId::replica)
            .chain([NodeId::Client(0)])
            .map(|dialler| (dialler, relay.back(dialler, me)))
            .collect();
        cluster.start_with(id, config);
    }
    let front = |id: ReplicaId| relay.front(NodeId::Client(0), NodeId::Replica(id));
    let clients = Clients::start_via(&cluster, 1, front);
    clients.perform(session(1), write("k", 1));
    relay.cut(true);
    clients.host.invoke(session(1), write("k", 2));
    std::thread::sleep(OUTAGE);
    relay.cut(false);
    let healed = Instant::now();
    clients.wait_for_completion(session(1));
    println!("answered {:?} after the heal", healed.elapsed());
}
