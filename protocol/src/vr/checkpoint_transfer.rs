//! Catching up through a checkpoint (VRR §5.2), when no log reaches back far enough any more.
//!
//! ```text
//!   GetState --> NewCheckpoint{name} --> GetPages, Pages, ... down the trees, only where they differ
//!     --> all nodes, Sealed, the log from there on --> GetState for what follows
//! ```
//!
//! What a checkpoint reflects is committed, so fetching one is no business of any status or view: a replica does
//! it in whatever status it finds out that it must, and goes on when its status changes. Its view, log_view and
//! own entries stay as they are until all is there; those that the checkpoint does not reflect stay then, too,
//! unless they follow something else than what was committed. (VRR §5.2 sets the view to that of the checkpoint
//! first. A replica with a high view and a short log wins a view change and loses what others have committed:
//! Vanlightly's finding once more.)
//!
//! Any replica may answer, and a node is the right one if it has the right digest. So donors take turns; one that
//! has gone on to a later checkpoint says so, and the transfer turns to that and keeps what still fits.

use super::checkpoint::{Checkpoint, Snapshot, Tree};
use super::config::{CHUNK_BYTES_MAX, FETCH_ROUNDS_MAX, PAGES_MAX};
use super::log::{Entries, Log};
use super::message::{GetPages, NewCheckpoint, Pages};
use super::replica::{Phase, VrEffects, VrReplica, drop_message};
use super::timer::Timer;
use crate::state::{Assembly, WrongNode};
use crate::{Address, ProtocolEvent, ReplicaId, Service, ViewNumber};

/// A checkpoint that is being fetched.
#[derive(Debug)]
pub(super) struct Fetch {
    checkpoint: Checkpoint,
    service: Assembly,
    clients: Assembly,
    /// Who is asked.
    donor: ReplicaId,
    /// How many questions in a row brought nothing.
    unanswered: u32,
}

impl Fetch {
    fn assembly(&mut self, tree: Tree) -> &mut Assembly {
        match tree {
            Tree::Service => &mut self.service,
            Tree::Clients => &mut self.clients,
        }
    }

    /// Nobody has it any more, as it seems: any other will do.
    fn is_stale(&self) -> bool {
        self.unanswered >= FETCH_ROUNDS_MAX
    }

    fn aim(&mut self, checkpoint: Checkpoint) {
        self.checkpoint = checkpoint;
        for tree in [Tree::Service, Tree::Clients] {
            self.assembly(tree).aim(checkpoint.root(tree));
        }
        self.unanswered = 0;
    }

    /// The next question, if anything is missing.
    fn question(&self, view: ViewNumber) -> Option<GetPages> {
        let trees = [
            (Tree::Service, &self.service),
            (Tree::Clients, &self.clients),
        ];
        trees.into_iter().find_map(|(tree, assembly)| {
            let paths = assembly.wanted(PAGES_MAX);
            (!paths.is_empty()).then_some(GetPages {
                view,
                checkpoint: self.checkpoint.op,
                tree,
                paths,
            })
        })
    }

    fn snapshot(&self) -> Option<Snapshot> {
        Some(Snapshot {
            checkpoint: self.checkpoint,
            service: self.service.state()?,
            clients: self.clients.state()?,
        })
    }
}

impl<S: Service> VrReplica<S> {
    /// Offers the latest checkpoint instead of entries after `after` that the log does not hold any more.
    pub(super) fn offer_checkpoint(&self, to: ReplicaId, fx: &mut VrEffects) {
        let Some(snapshot) = self.checkpoints.latest() else {
            return drop_message(fx, "GetState", "asks for what is gone");
        };
        let offer = NewCheckpoint {
            view: self.view,
            checkpoint: snapshot.checkpoint,
        };
        fx.send(Address::Replica(to), offer.into(), None);
    }

    /// Whether a checkpoint is being fetched that can be hoped for: nobody needs to be asked for entries meanwhile.
    pub(super) fn fetches_checkpoint(&self) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| !fetch.is_stale())
    }

    pub(super) fn on_new_checkpoint(
        &mut self,
        from: ReplicaId,
        message: NewCheckpoint,
        fx: &mut VrEffects,
    ) {
        let drop = |fx, reason| drop_message(fx, "NewCheckpoint", reason);
        let checkpoint = message.checkpoint;
        // Whoever stays in an earlier view would acknowledge there what was committed without it later.
        let known = self.latest_response().max(Some(self.known_view()));
        let acknowledges = !matches!(self.phase, Phase::Replaced(_));
        if acknowledges && Some(message.view) > known {
            return drop(fx, "of a later view");
        }
        let wanted = match &self.phase {
            Phase::Backup(_) => self.lacks_entries(),
            Phase::ViewChange(phase) => phase.installing.is_none(),
            Phase::StateTransfer(_) => true,
            Phase::Recovering(phase) => !phase.is_installing(),
            Phase::Transition(_) | Phase::Replaced(_) => {
                self.commit_number < self.configuration.start
            }
            _ => false,
        };
        if !wanted || checkpoint.op <= self.commit_number {
            return drop(fx, "not needed");
        }
        // The log has it all, and did not know it.
        if self.log.checksum(checkpoint.op) == Some(checkpoint.log_checksum) {
            self.advance_commit(checkpoint.op, fx);
            return self.checkpoint_arrived(from, fx);
        }
        match &mut self.fetch {
            Some(fetch) if checkpoint.op <= fetch.checkpoint.op && !fetch.is_stale() => return,
            Some(fetch) => fetch.aim(checkpoint),
            None => {
                let own = self.executor.state().snapshot();
                let table = self.executor.table_rows();
                self.fetch = Some(Fetch {
                    checkpoint,
                    service: Assembly::new(own, checkpoint.service),
                    clients: Assembly::new(table, checkpoint.clients),
                    donor: from,
                    unanswered: 0,
                });
            }
        }
        self.continue_fetch(from, fx);
    }

    /// Asks `donor` for more, or installs what is complete.
    fn continue_fetch(&mut self, donor: ReplicaId, fx: &mut VrEffects) {
        let view = self.known_view();
        let Some(fetch) = &mut self.fetch else {
            return;
        };
        fetch.donor = donor;
        match fetch.question(view) {
            Some(question) => {
                fx.send(Address::Replica(donor), question.into(), None);
                self.set_fetch();
            }
            None => self.install_checkpoint(fx),
        }
    }

    /// Nobody answered: asks another.
    pub(super) fn retry_fetch(&mut self, fx: &mut VrEffects) {
        let donor = self.any_donor();
        if let Some(fetch) = &mut self.fetch {
            fetch.unanswered = fetch.unanswered.saturating_add(1);
            self.continue_fetch(donor, fx);
        }
    }

    /// Some other replica that may have what is missing.
    fn any_donor(&mut self) -> ReplicaId {
        let (me, configuration) = (self.config.me, &self.configuration);
        let donors: Vec<_> = match self.phase {
            Phase::Transition(_) | Phase::Replaced(_) => configuration.donors().collect(),
            _ => configuration.members.clone(),
        };
        let others: Vec<_> = donors.into_iter().filter(|donor| *donor != me).collect();
        others[self.jitter.below(others.len())]
    }

    /// Hands out nodes of a checkpoint, in any status.
    pub(super) fn on_get_pages(&self, from: ReplicaId, message: &GetPages, fx: &mut VrEffects) {
        if message.paths.len() > PAGES_MAX {
            return drop_message(fx, "GetPages", "asks for too much");
        }
        let Some(snapshot) = self.checkpoints.served(message.checkpoint) else {
            return self.offer_checkpoint(from, fx);
        };
        let mut bytes = 0;
        let nodes = message.paths.iter().map_while(|path| {
            let node = snapshot.node(message.tree, path)?;
            let first = bytes == 0;
            bytes += node.bytes();
            (first || bytes <= CHUNK_BYTES_MAX).then(|| (path.clone(), node))
        });
        let pages = Pages {
            view: self.view,
            checkpoint: message.checkpoint,
            tree: message.tree,
            nodes: nodes.collect(),
        };
        fx.send(Address::Replica(from), pages.into(), None);
    }

    pub(super) fn on_pages(&mut self, from: ReplicaId, message: Pages, fx: &mut VrEffects) {
        let drop = |fx, reason| drop_message(fx, "Pages", reason);
        let Some(fetch) = &mut self.fetch else {
            return drop(fx, "not asked for");
        };
        if message.checkpoint != fetch.checkpoint.op {
            return drop(fx, "of another checkpoint");
        }
        let mut progress = false;
        for (path, node) in message.nodes {
            match fetch.assembly(message.tree).take(&path, node) {
                Ok(()) => progress = true,
                // It came twice.
                Err(WrongNode::Unwanted) => {}
                Err(WrongNode::Digest | WrongNode::Unsound) => return drop(fx, "a wrong node"),
            }
        }
        if !progress {
            return;
        }
        fetch.unanswered = 0;
        if matches!(self.phase, Phase::StateTransfer(_)) {
            self.set_suspicion();
        }
        self.continue_fetch(from, fx);
    }

    /// Takes the checkpoint over. A crash on the way leaves the state as it was, or the checkpoint in force and
    /// the log to be begun anew with it, which the next start sees to.
    fn install_checkpoint(&mut self, fx: &mut VrEffects) {
        let chosen = match &self.phase {
            Phase::ViewChange(phase) => phase.installing.is_some(),
            Phase::Recovering(phase) => phase.is_installing(),
            Phase::Transition(phase) => phase.installing.is_some(),
            Phase::Primary(_) => true,
            _ => false,
        };
        if chosen {
            return; // Its log has all that it needs.
        }
        let Some(fetch) = self.fetch.take() else {
            return;
        };
        self.timers.clear(Timer::Fetch);
        if fetch.checkpoint.op <= self.commit_number {
            return; // The log was faster.
        }
        let checkpoint = fetch.checkpoint;
        // The log has grown to where it shows that it holds all that was committed.
        if self.log.checksum(checkpoint.op) == Some(checkpoint.log_checksum) {
            self.advance_commit(checkpoint.op, fx);
            return self.checkpoint_arrived(fetch.donor, fx);
        }
        let Some(snapshot) = fetch.snapshot() else {
            return drop_message(fx, "Pages", "they make no state");
        };
        if !self.executor.restore(&snapshot) {
            return drop_message(fx, "Pages", "they make no client table");
        }
        self.leave_view_for_transfer(fx);
        // What the log holds after this place, if anything, follows something else than what was committed, and so
        // was never committed itself.
        self.log = Log::after(checkpoint.op, checkpoint.log_checksum);
        self.commit_number = checkpoint.op;
        self.persist_checkpoint(snapshot, fx);
        let (op, none) = (checkpoint.op, Entries::default());
        if matches!(self.phase, Phase::Backup(_)) {
            self.persist_log(op, none, op, fx);
        } else {
            self.persist_change(op, none, op, fx);
        }
        fx.note(ProtocolEvent::CheckpointInstalled {
            op: checkpoint.op.0,
            digest: checkpoint.digest(),
        });
        fx.note(ProtocolEvent::Committed {
            op: checkpoint.op.0,
            view: self.view,
        });
        self.checkpoint_arrived(fetch.donor, fx);
    }

    /// What comes before some place is here: on with what follows.
    fn checkpoint_arrived(&mut self, donor: ReplicaId, fx: &mut VrEffects) {
        match &self.phase {
            Phase::Backup(_) => {
                self.accept_held(fx);
                self.send_prepare_ok(fx);
                self.request_missing(fx);
            }
            Phase::ViewChange(_) => self.committed_arrived(fx),
            Phase::Recovering(_) => self.recovered_prefix_arrived(fx),
            Phase::Transition(_) | Phase::Replaced(_) => {
                self.timers.clear(Timer::Repair);
                self.continue_transition(fx);
            }
            Phase::StateTransfer(_) => {
                self.set_suspicion();
                match self.configuration.number_of(donor) {
                    Some(donor) => self.request_state(donor, fx),
                    None => self.retry_state_transfer(fx),
                }
            }
            _ => {}
        }
    }
}
