//! State transfer (TOCS §5.3): a replica that has fallen behind fetches a checkpoint's state, from its root down, only
//! what differs, each node checked by its digest, from one donor after the other.

use bytes::Bytes;

use super::config::{FETCH_BYTES_MAX, FETCH_NODES_MAX, INSTALL_BYTES_MAX};
use super::durable::{Part, PbftRecord};
use super::executor::{Snapshot, StateRoot};
use super::message::{Checkpoint, Data, Fetch, PbftMessage};
use super::replica::{PbftEffects, PbftReplica, drop_message};
use super::timer::Timer;
use crate::state::Assembly;
use crate::{Service, State};

/// A state under way.
#[derive(Debug)]
pub(super) struct Transfer {
    /// Where to.
    pub(super) target: Checkpoint,
    /// The donor, by number.
    donor: usize,
    parts: Option<Parts>,
}

/// What the target's digest is of, and how much of it is here.
#[derive(Debug)]
struct Parts {
    root: StateRoot,
    service: Assembly,
    replies: Assembly,
}

impl Parts {
    fn part(&mut self, part: Part) -> &mut Assembly {
        match part {
            Part::Service => &mut self.service,
            Part::Replies => &mut self.replies,
        }
    }
}

impl<S: Service> PbftReplica<S> {
    /// Some correct replica has the state of this checkpoint, and this one does not.
    pub(super) fn start_fetching(&mut self, target: Checkpoint, fx: &mut PbftEffects) {
        let number = target.sequence_number;
        if number <= self.executor.executed() {
            return;
        }
        match &mut self.transfer {
            Some(transfer) if transfer.target.sequence_number >= number => return,
            // What was fetched is of use for the later one, too.
            Some(transfer) => transfer.target = target,
            None => {
                let donor = self.next_donor(self.me);
                self.transfer = Some(Transfer {
                    target,
                    donor,
                    parts: None,
                });
            }
        }
        self.fetch_more(fx);
    }

    /// The donor after `donor`.
    fn next_donor(&self, donor: usize) -> usize {
        let next = (donor + 1) % self.quorum.members();
        match next == self.me {
            true => (next + 1) % self.quorum.members(),
            false => next,
        }
    }

    /// The donor did not answer.
    pub(super) fn on_fetch_due(&mut self, fx: &mut PbftEffects) {
        let Some(transfer) = &self.transfer else {
            return;
        };
        let next = self.next_donor(transfer.donor);
        if let Some(transfer) = &mut self.transfer {
            transfer.donor = next;
        }
        self.fetch_more(fx);
    }

    /// Asks the donor for what is wanted next.
    fn fetch_more(&mut self, fx: &mut PbftEffects) {
        let executed = self.executor.executed();
        self.transfer
            .take_if(|transfer| transfer.target.sequence_number <= executed);
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        let mut nodes = Vec::new();
        if let Some(parts) = transfer.parts.as_mut()
            && parts.root.digest() == transfer.target.digest
        {
            for part in [Part::Service, Part::Replies] {
                let room = FETCH_NODES_MAX - nodes.len();
                let wanted = parts.part(part).wanted(room);
                nodes.extend(wanted.into_iter().map(|path| (part, path)));
            }
        }
        let fetch = Fetch {
            sequence_number: transfer.target.sequence_number,
            nodes,
        };
        let donor = transfer.donor;
        self.send(donor, PbftMessage::Fetch(fetch), None, fx);
        let at = self.now + self.jitter.stretch(self.config.timeouts.fetch);
        self.timers.set(Timer::Fetch, at);
    }

    pub(super) fn on_fetch(&mut self, from: usize, fetch: &Fetch, fx: &mut PbftEffects) {
        if fetch.nodes.len() > FETCH_NODES_MAX {
            return drop_message(fx, "Fetch", "asks for too much");
        }
        let Some((_, snapshot)) = self.executor.checkpoint(fetch.sequence_number) else {
            // It is older than what is held here: the proof of a later one helps.
            if fetch.sequence_number < self.log.low_water_mark()
                && let Some(certificate) = &self.stable
            {
                let message = PbftMessage::StableCheckpoint(certificate.clone());
                self.send(from, message, None, fx);
            }
            return;
        };
        let mut data = Data {
            sequence_number: fetch.sequence_number,
            root: snapshot.root(),
            nodes: Vec::new(),
        };
        let mut bytes = 0;
        for (part, path) in &fetch.nodes {
            let state = match part {
                Part::Service => &snapshot.service,
                Part::Replies => &snapshot.replies,
            };
            let Some(node) = state.node(path) else {
                continue;
            };
            bytes += node.bytes();
            if !data.nodes.is_empty() && bytes > FETCH_BYTES_MAX {
                break;
            }
            data.nodes.push((*part, path.clone(), node));
        }
        self.send(from, PbftMessage::Data(data), None, fx);
    }

    pub(super) fn on_data(&mut self, from: usize, data: Data, fx: &mut PbftEffects) {
        let drop = |fx, reason| drop_message(fx, "Data", reason);
        let Some(transfer) = &mut self.transfer else {
            return drop(fx, "nothing is fetched");
        };
        if from != transfer.donor || data.sequence_number != transfer.target.sequence_number {
            return drop(fx, "not from the donor, or of another checkpoint");
        }
        if data.root.digest() != transfer.target.digest {
            drop(fx, "not the checkpoint's root");
            return self.on_fetch_due(fx);
        }
        // An answer without nodes helps once: it says what the digest is of.
        let known = transfer.parts.as_ref().map(|parts| parts.root);
        let mut useful = known != Some(data.root);
        let state = self.executor.state();
        let parts = transfer.parts.get_or_insert_with(|| Parts {
            root: data.root,
            service: Assembly::new(state.service.clone(), data.root.service),
            replies: Assembly::new(state.replies.clone(), data.root.replies),
        });
        parts.root = data.root;
        parts.service.aim(data.root.service);
        parts.replies.aim(data.root.replies);
        let mut wrong = false;
        for (part, path, node) in data.nodes {
            match parts.part(part).take(&path, node) {
                Ok(()) => useful = true,
                Err(_) => wrong = true,
            }
        }
        if wrong {
            drop(fx, "a node that is not the checkpoint's");
        }
        self.on_parts(useful && !wrong, fx);
    }

    /// Finishes the transfer if nothing is wanted any more, or goes on with it.
    fn on_parts(&mut self, useful: bool, fx: &mut PbftEffects) {
        let Some(transfer) = &self.transfer else {
            return;
        };
        let parts = transfer.parts.as_ref().expect("just filled");
        let complete = parts.service.wanted(1).is_empty() && parts.replies.wanted(1).is_empty();
        match complete {
            true => self.finish_transfer(fx),
            false if useful => self.fetch_more(fx),
            false => self.on_fetch_due(fx),
        }
    }

    fn finish_transfer(&mut self, fx: &mut PbftEffects) {
        let Some(transfer) = self.transfer.take() else {
            return;
        };
        self.timers.clear(Timer::Fetch);
        let Some(parts) = transfer.parts else {
            return;
        };
        let (Some(service), Some(replies)) = (parts.service.state(), parts.replies.state()) else {
            return drop_message(fx, "Data", "the checkpoint's digest is of no state");
        };
        let snapshot = Snapshot {
            service,
            replies,
            order: parts.root.order,
            chain: parts.root.chain,
        };
        if transfer.target.sequence_number <= self.executor.executed() {
            return; // It got there by itself.
        }
        self.install(transfer.target, parts.root, snapshot, fx);
    }

    /// The state is this replica's own. It has executed everything up to there, by others' hands.
    fn install(
        &mut self,
        target: Checkpoint,
        root: StateRoot,
        snapshot: Snapshot,
        fx: &mut PbftEffects,
    ) {
        self.persist_snapshot(target, root, &snapshot, fx);
        self.executor.install(target, snapshot);
        fx.note(crate::ProtocolEvent::Committed {
            op: target.sequence_number.0,
            view: self.view,
        });
        let served: Vec<_> = (self.requests.iter())
            .filter_map(|pending| {
                let client = pending.request.content().client;
                Some((client, self.executor.reply(client)?.0.timestamp))
            })
            .collect();
        for (client, timestamp) in served {
            self.requests.executed(client, timestamp);
        }
        self.announce_checkpoint(target, fx);
        let certificate = self.ahead.as_ref().map(|ahead| ahead.certificate.clone());
        let certificate = certificate.filter(|proof| proof.checkpoint() == target);
        self.stabilise(target, certificate, fx);
        self.execute_ready(fx);
    }

    /// Writes the state down, piece by piece, and that it is whole.
    fn persist_snapshot(
        &self,
        checkpoint: Checkpoint,
        root: StateRoot,
        snapshot: &Snapshot,
        fx: &mut PbftEffects,
    ) {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        let parts: [(Part, &State); 2] = [
            (Part::Service, &snapshot.service),
            (Part::Replies, &snapshot.replies),
        ];
        for (part, state) in parts {
            for (key, value) in state.iter() {
                let entry: (Part, Bytes, Bytes) = (part, key.clone(), value.clone());
                bytes += key.len() + value.len();
                piece.push(entry);
                if bytes > INSTALL_BYTES_MAX {
                    self.persist(PbftRecord::Fetched(std::mem::take(&mut piece)), fx);
                    bytes = 0;
                }
            }
        }
        self.persist(PbftRecord::Fetched(piece), fx);
        self.persist(PbftRecord::Installed { checkpoint, root }, fx);
    }
}
