//! The last part of a run that judges liveness of a core: a majority is healed and has to go on, and what is broken
//! outside it stays so for ever.
//!
//! TigerBeetle's simulator calls it the liveness mode. What stays are crash-stops and cut links between replicas:
//! what a protocol is to live with for ever. Loss, delay, taps, disks and clocks are healed everywhere, and so are
//! the clients' links: a client that cannot reach a primary with whom its group is content waits in vain, and no
//! correct group need notice.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use viewstorm_history::Seed;
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::hits::Hits;
use crate::known::{Known, Process};
use crate::target::list;
use crate::{Flow, Link, TapRule, Topology};

/// The replicas that are healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Core {
    members: BTreeSet<ReplicaId>,
}

impl Core {
    /// A majority of all replicas, drawn from those whose storage is whole; all of these where they are fewer.
    pub(crate) fn draw(topology: Topology, known: &Known, seed: Seed) -> Self {
        let is_whole = |id: &ReplicaId| known.get(*id).is_some_and(|it| !it.is_damaged);
        let mut whole: Vec<ReplicaId> = topology.replica_ids().filter(is_whole).collect();
        whole.shuffle(&mut ChaCha8Rng::seed_from_u64(seed.stream("core").0));
        let majority = usize::from(topology.replicas / 2 + 1);
        Self {
            members: whole.into_iter().take(majority).collect(),
        }
    }

    /// Who belongs to it.
    pub(crate) const fn members(&self) -> &BTreeSet<ReplicaId> {
        &self.members
    }

    /// Whether a cut of the link stays: it joins two replicas, and not two of the core.
    fn leaves_cut(&self, link: Link) -> bool {
        let is_in = |id| self.members.contains(&id);
        match (link.from, link.to) {
            (NodeId::Replica(from), NodeId::Replica(to)) => !(is_in(from) && is_in(to)),
            _ => false,
        }
    }

    /// Parts what a fault does into what stays and what is taken back.
    pub(crate) fn part(&self, hits: &Hits, is_restart: bool, known: &Known) -> (Hits, Hits) {
        let is_out = |id: &ReplicaId| !self.members.contains(id);
        let is_down = |id: &ReplicaId| {
            known
                .get(*id)
                .is_some_and(|it| matches!(it.process, Process::Dying | Process::Gone))
        };
        let stays_cut = |link: Link| hits.is_cut && !hits.is_lifted && self.leaves_cut(link);
        let (kept_links, links): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (hits.links.clone().into_iter()).partition(|(link, _)| stays_cut(*link));
        let (kept_touched, touched): (BTreeSet<_>, BTreeSet<_>) =
            hits.touched.iter().copied().partition(|l| stays_cut(*l));
        let (kept_ends, ends): (BTreeMap<_, _>, BTreeMap<_, _>) = (hits.ends.clone().into_iter())
            .partition(|(id, _)| !is_restart && is_out(id) && is_down(id));
        let (kept_paused, paused) = hits.paused.iter().copied().partition(is_out);
        let cut_rules = |wanted: &BTreeSet<Link>| match hits.is_cut {
            true => cut_at_taps(hits, wanted),
            false => BTreeMap::new(),
        };
        let kept = Hits {
            targets: hits.targets.clone(),
            taps: cut_rules(&kept_touched),
            touched: kept_touched,
            links: kept_links,
            is_cut: hits.is_cut,
            ends: kept_ends,
            paused: kept_paused,
            ..Hits::default()
        };
        let lifted = Hits {
            touched,
            links,
            ends,
            paused,
            ..hits.clone()
        };
        (kept, lifted)
    }
}

/// The rules at taps that cut these links and no others.
fn cut_at_taps(hits: &Hits, wanted: &BTreeSet<Link>) -> BTreeMap<NodeId, Vec<TapRule>> {
    let narrow = |node: NodeId, rule: &TapRule| {
        debug_assert_eq!(rule.flow, Flow::Send, "a partition cuts at the senders");
        let is_wanted = |to: &NodeId| {
            wanted.contains(&Link {
                from: node,
                to: *to,
            })
        };
        let peers: Vec<NodeId> = rule.peers.iter().copied().filter(is_wanted).collect();
        (!peers.is_empty()).then(|| TapRule {
            peers,
            ..rule.clone()
        })
    };
    let rules = |(node, rules): (&NodeId, &Vec<TapRule>)| {
        let narrowed: Vec<_> = rules.iter().filter_map(|it| narrow(*node, it)).collect();
        (!narrowed.is_empty()).then_some((*node, narrowed))
    };
    hits.taps.iter().filter_map(rules).collect()
}

/// What stays of a fault, in words; none if nothing does.
pub(crate) fn what_stays(kept: &Hits) -> Option<String> {
    let mut stays = Vec::new();
    if !kept.touched.is_empty() {
        stays.push(format!("cut stay {}", list(&kept.touched)));
    }
    if !kept.ends.is_empty() {
        stays.push(format!("down stays {}", list(kept.ends.keys())));
    }
    if !kept.paused.is_empty() {
        stays.push(format!("paused stays {}", list(&kept.paused)));
    }
    (!stays.is_empty()).then(|| stays.join("; "))
}
