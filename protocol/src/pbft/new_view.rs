//! New views (TOCS §4.5.2): what the primary chooses from the view changes, and how backups check it.
//!
//! Everybody who has the same view changes comes to the same choice ([`choose`]), so a backup computes it anew and
//! compares.

use std::cmp::Reverse;

use super::durable::PbftRecord;
use super::log::Assigned;
use super::message::{
    Checkpoint, NULL_DIGEST, NewView, NewViewProposal, PbftMessage, SequenceNumber, ViewChange,
    ViewEntry,
};
use super::quorum::ByzantineQuorum;
use super::replica::{PbftEffects, PbftReplica, Phase, drop_message};
use super::signed::{Signed, Verified};
use crate::{Digest, Service, ViewNumber};

/// X of a new view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Where the view starts.
    pub checkpoint: Checkpoint,
    /// What stands in each place after it.
    pub chosen: Vec<Digest>,
}

/// The decision procedure (TOCS §4.5.2, figure 4). None as long as the view changes do not suffice: others are to be
/// waited for. `window` is L.
pub fn choose(quorum: ByzantineQuorum, window: u64, of: &[&ViewChange]) -> Option<Choice> {
    let checkpoint = choose_checkpoint(quorum, of)?;
    let first = checkpoint.sequence_number;
    let high = first.0.saturating_add(window);
    let entries = of.iter().flat_map(|message| &message.prepared);
    let numbers = entries.map(|entry| entry.sequence_number.0);
    // Beyond H nothing is committed: a quorum of S had no water mark that lets it vote there.
    let last = numbers.filter(|number| *number <= high).max().unwrap_or(0);
    let mut chosen = Vec::new();
    for number in first.0.saturating_add(1)..=last {
        chosen.push(choose_digest(quorum, SequenceNumber(number), of)?);
    }
    while chosen.last() == Some(&NULL_DIGEST) {
        chosen.pop();
    }
    Some(Choice { checkpoint, chosen })
}

/// The latest checkpoint that f+1 have and that a quorum of all has not passed: some correct replica can hand out its
/// state, and nothing after it is forgotten.
fn choose_checkpoint(quorum: ByzantineQuorum, of: &[&ViewChange]) -> Option<Checkpoint> {
    let candidates = of.iter().flat_map(|message| &message.checkpoints);
    let suits = |candidate: &&Checkpoint| {
        let at_most = |message: &&&ViewChange| message.low_water_mark <= candidate.sequence_number;
        let holds = |message: &&&ViewChange| message.checkpoints.contains(candidate);
        of.iter().filter(at_most).count() >= quorum.quorum()
            && of.iter().filter(holds).count() >= quorum.weak()
    };
    candidates.filter(suits).max().copied()
}

/// What stands at `number`: condition A, or a null request by condition B.
fn choose_digest(
    quorum: ByzantineQuorum,
    number: SequenceNumber,
    of: &[&ViewChange],
) -> Option<Digest> {
    let at = |entries: &[ViewEntry]| -> Vec<ViewEntry> {
        let here = entries
            .iter()
            .filter(|entry| entry.sequence_number == number);
        here.copied().collect()
    };
    // Each that could have prepared something here, and what it has.
    let votes: Vec<(Option<ViewEntry>, Vec<ViewEntry>)> = of
        .iter()
        .filter(|message| message.low_water_mark < number)
        .map(|message| {
            (
                at(&message.prepared).first().copied(),
                at(&message.pre_prepared),
            )
        })
        .collect();
    let mut candidates: Vec<ViewEntry> =
        votes.iter().filter_map(|(prepared, _)| *prepared).collect();
    candidates.sort_unstable_by_key(|entry| Reverse((entry.view, entry.digest)));
    candidates.dedup();
    for candidate in candidates {
        // A1: a quorum has nothing prepared that is as late and another, or later.
        let agrees = |(prepared, _): &&(Option<ViewEntry>, Vec<ViewEntry>)| match prepared {
            Some(entry) => entry.view < candidate.view || *entry == candidate,
            None => true,
        };
        // A2: f+1 have pre-prepared it in that view or later: a correct one vouches for it.
        let vouches = |(_, pre_prepared): &&(Option<ViewEntry>, Vec<ViewEntry>)| {
            let same = |entry: &ViewEntry| {
                entry.digest == candidate.digest && entry.view >= candidate.view
            };
            pre_prepared.iter().any(same)
        };
        if votes.iter().filter(agrees).count() >= quorum.quorum()
            && votes.iter().filter(vouches).count() >= quorum.weak()
        {
            return Some(candidate.digest);
        }
    }
    let empty = votes.iter().filter(|(prepared, _)| prepared.is_none());
    (empty.count() >= quorum.quorum()).then_some(NULL_DIGEST)
}

impl<S: Service> PbftReplica<S> {
    /// The new primary: starts its view as soon as the view changes suffice and it has what they lead to.
    pub(super) fn try_new_view(&mut self, fx: &mut PbftEffects) {
        if !matches!(self.phase, Phase::Changing(_)) || !self.is_primary_of(self.view) {
            return;
        }
        let messages: Vec<&Verified<ViewChange>> = self.view_changes_for(self.view).collect();
        if messages.len() < self.quorum.quorum() {
            return;
        }
        let contents: Vec<&ViewChange> = messages.iter().map(|message| message.content()).collect();
        let Some(choice) = choose(self.quorum, self.config.window(), &contents) else {
            return;
        };
        // A3: the primary has the batches.
        let missing = choice
            .chosen
            .iter()
            .filter(|digest| !self.log.has_batch(digest));
        let missing: Vec<Digest> = missing.copied().collect();
        if !missing.is_empty() {
            let first = matches!(&self.phase, Phase::Changing(c) if c.missing != missing);
            if let Phase::Changing(changing) = &mut self.phase {
                changing.missing = missing;
            }
            if first {
                self.send_status(fx);
            }
            return;
        }
        let named = messages
            .iter()
            .filter_map(|message| Some((message.replica()?, message.digest())));
        let new_view = NewView {
            view: self.view,
            view_changes: named.collect(),
            checkpoint: choice.checkpoint,
            chosen: choice.chosen,
        };
        let proposal = NewViewProposal {
            view_changes: messages
                .iter()
                .map(|message| message.as_signed().clone())
                .collect(),
            new_view: self.keys.sign(new_view).into_signed(),
        };
        self.enter_view(proposal, fx);
    }

    pub(super) fn on_new_view(&mut self, proposal: NewViewProposal, fx: &mut PbftEffects) {
        let drop = |fx, reason| drop_message(fx, "NewView", reason);
        let view = proposal.new_view.content().view;
        let waiting = matches!(self.phase, Phase::Changing(_));
        if view < self.view || (view == self.view && !waiting) || view.number == 0 {
            return drop(fx, "of a view that is over or has started");
        }
        let primary = self.primary_of(view);
        if self.signer_number(proposal.new_view.signer()) != Some(primary) || primary == self.me {
            return drop(fx, "not from the view's primary");
        }
        if !self.keys.holds(&[self.keys.claim(&proposal.new_view)]) {
            return drop(fx, "its signature does not hold");
        }
        match self.check_new_view(&proposal) {
            Ok(()) => self.enter_view(proposal, fx),
            Err(reason) => {
                drop(fx, reason);
                // The primary is faulty: the next view is wanted. Who does not wait for this view is not moved by it,
                // since a faulty replica would be the primary of some view far away.
                if view == self.view {
                    self.transition_to_view_change(view.next(), fx);
                }
            }
        }
    }

    /// Computes X anew from the view changes that the new view names, and compares (TOCS §4.5.2).
    fn check_new_view(&self, proposal: &NewViewProposal) -> Result<(), &'static str> {
        let NewView {
            view,
            view_changes: named,
            checkpoint,
            chosen,
        } = proposal.new_view.content();
        let messages = &proposal.view_changes;
        if named.len() < self.quorum.quorum() || named.len() != messages.len() {
            return Err("not the view changes of a quorum");
        }
        if !named.is_sorted_by(|a, b| a.0 < b.0) {
            return Err("names a replica twice");
        }
        let matches = |((replica, digest), message): (&(_, Digest), &Signed<ViewChange>)| {
            self.number_of(*replica).is_some()
                && message.replica() == Some(*replica)
                && message.digest() == *digest
        };
        if !named.iter().zip(messages).all(matches) {
            return Err("without the view changes that it names");
        }
        if !messages
            .iter()
            .all(|message| self.is_for(message.content(), *view))
        {
            return Err("with a view change that is malformed or for another view");
        }
        let known = |message: &&Signed<ViewChange>| {
            let known = self.signer_number(message.signer());
            let known = known.and_then(|number| self.view_changes[number].as_ref());
            known.is_none_or(|known| known.as_signed() != *message)
        };
        let unchecked = messages.iter().filter(known);
        let claims: Vec<_> = unchecked.map(|message| self.keys.claim(message)).collect();
        if !self.keys.holds(&claims) {
            return Err("with a view change whose signature does not hold");
        }
        let contents: Vec<&ViewChange> = messages.iter().map(Signed::content).collect();
        let choice = choose(self.quorum, self.config.window(), &contents);
        let expected = choice
            .is_some_and(|choice| choice.checkpoint == *checkpoint && choice.chosen == *chosen);
        expected
            .then_some(())
            .ok_or("chose something else than its view changes lead to")
    }

    fn is_for(&self, message: &ViewChange, view: ViewNumber) -> bool {
        message.view == view && self.is_valid(message)
    }

    /// Begins the view: what was chosen counts as pre-prepared in it, also what is executed already.
    fn enter_view(&mut self, proposal: NewViewProposal, fx: &mut PbftEffects) {
        let NewView {
            view,
            checkpoint,
            ref chosen,
            ..
        } = *proposal.new_view.content();
        assert!(view >= self.view, "views only grow");
        let last = checkpoint.sequence_number.0 + chosen.len() as u64;
        if view > self.view {
            self.leave_view(view);
        }
        self.persist(PbftRecord::NewView(Box::new(proposal.clone())), fx);
        self.persist(PbftRecord::Superblock(self.superblock(true)), fx);
        let message = PbftMessage::NewView(proposal.clone());
        self.new_view = Some(proposal);
        self.transition_to_active(checkpoint.sequence_number, SequenceNumber(last), fx);
        if self.is_primary_of(view) {
            self.broadcast(&message, self.all_records(fx), fx);
        }
        self.adopt_checkpoint(checkpoint, fx);
        self.assign_chosen(fx);
        self.relay_waiting(fx);
        self.execute_ready(fx);
    }

    /// Puts what the new view chose into those places that are between the water marks and do not have it yet.
    pub(super) fn assign_chosen(&mut self, fx: &mut PbftEffects) {
        let Some(proposal) = &self.new_view else {
            return;
        };
        let NewView {
            view,
            checkpoint,
            chosen,
            ..
        } = proposal.new_view.content();
        if *view != self.view || !matches!(self.phase, Phase::Active(_)) {
            return;
        }
        let numbers = (checkpoint.sequence_number.0 + 1..).map(SequenceNumber);
        let assigned: Vec<(SequenceNumber, Digest)> = numbers
            .zip(chosen.iter().copied())
            .filter(|(number, _)| self.log.in_window(*number))
            .collect();
        for (number, digest) in &assigned {
            let (view, place) = (self.view, self.log.place(*number));
            if place.assigned.is_none() {
                place.assigned = Some(Assigned {
                    view,
                    digest: *digest,
                    pre_prepare: None,
                    accepted: false,
                });
            }
        }
        for (number, _) in assigned {
            self.try_accept(number, fx);
        }
    }
}
