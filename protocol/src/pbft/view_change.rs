//! View changes (TOCS §4.5): how replicas leave a view, and say what they have.
//!
//! ```text
//!   timer, or f+1 others left --> Superblock{v+1} durable --> ViewChange{h, C, P, Q} --> to all
//!     --> a quorum's are here: the patience with the new primary begins
//! ```

use super::message::{Checkpoint, PbftMessage, SequenceNumber, ViewChange, ViewEntry};
use super::replica::{PbftEffects, PbftReplica, Phase, drop_message};
use super::signed::{Signed, Verified};
use super::timer::Timer;
use crate::{Service, ViewNumber};

impl<S: Service> PbftReplica<S> {
    /// What this replica has, for the primary of its view (TOCS §4.5.1): P and Q are kept as batches are pre-prepared
    /// and prepared.
    fn view_change(&self) -> ViewChange {
        let places = || self.log.iter().map(|(_, place)| place);
        let mut pre_prepared: Vec<ViewEntry> =
            places().flat_map(|place| &place.q).copied().collect();
        pre_prepared.sort_by_key(|entry| (entry.sequence_number, entry.digest));
        ViewChange {
            view: self.view,
            low_water_mark: self.log.low_water_mark(),
            checkpoints: self.executor.checkpoints().collect(),
            prepared: places().filter_map(|place| place.p).collect(),
            pre_prepared,
        }
    }

    /// Says that it has left for its view, once it cannot come back.
    pub(super) fn send_view_change(&mut self, fx: &mut PbftEffects) {
        let own = self.keys.sign(self.view_change());
        let message = PbftMessage::ViewChange(own.as_signed().clone());
        self.broadcast(&message, self.all_records(fx), fx);
        self.view_changes[self.me] = Some(own);
    }

    pub(super) fn on_view_change(&mut self, message: Signed<ViewChange>, fx: &mut PbftEffects) {
        let drop = |fx, reason| drop_message(fx, "ViewChange", reason);
        let signer = self.signer_number(message.signer());
        let Some(signer) = signer.filter(|signer| *signer != self.me) else {
            return drop(fx, "not of another member");
        };
        let view = message.content().view;
        if view < self.view || (view == self.view && matches!(self.phase, Phase::Active(_))) {
            return drop(fx, "of a view that is over or has started");
        }
        let known = self.view_changes[signer].as_ref();
        if known.is_some_and(|known| known.content().view >= view) {
            return;
        }
        if !self.is_valid(message.content()) {
            return drop(fx, "malformed");
        }
        match self.keys.verify(message) {
            Some(message) => self.view_changes[signer] = Some(message),
            None => return drop(fx, "its signature does not hold"),
        }
        self.on_view_changes_changed(fx);
    }

    /// Whether a correct replica could have sent it: everything is between its water marks, of earlier views, in order
    /// and in bounds.
    pub(super) fn is_valid(&self, message: &ViewChange) -> bool {
        let ViewChange {
            view,
            low_water_mark: low,
            checkpoints,
            prepared,
            pre_prepared,
        } = message;
        let Some(high) = low.0.checked_add(self.config.window()) else {
            return false;
        };
        let is_held = |checkpoint: &Checkpoint| {
            let number = checkpoint.sequence_number;
            *low <= number && number.0 <= high && self.config.is_checkpoint(number)
        };
        let is_earlier = |entry: &ViewEntry| {
            let number = entry.sequence_number;
            *low < number && number.0 <= high && entry.view < *view
        };
        let place = |entry: &ViewEntry| entry.sequence_number;
        let most = self.quorum.faults() + 2;
        view.number > 0
            && checkpoints.iter().all(is_held)
            && prepared.iter().chain(pre_prepared).all(is_earlier)
            && checkpoints.is_sorted_by(|a, b| a.sequence_number < b.sequence_number)
            && prepared.is_sorted_by(|a, b| place(a) < place(b))
            && pre_prepared.is_sorted_by(|a, b| (place(a), a.digest) < (place(b), b.digest))
            && pre_prepared
                .chunk_by(|a, b| place(a) == place(b))
                .all(|same| same.len() <= most)
    }

    /// Some replica has left for a view.
    pub(super) fn on_view_changes_changed(&mut self, fx: &mut PbftEffects) {
        if let Some(view) = self.view_to_join() {
            return self.transition_to_view_change(view, fx);
        }
        if !matches!(self.phase, Phase::Changing(_)) {
            return;
        }
        let here = self.view_changes_for(self.view).count();
        if here >= self.quorum.quorum() && !self.timers.is_set(Timer::NewView) {
            let patience = self.patience();
            self.timers.set(Timer::NewView, self.now + patience);
        }
        self.try_new_view(fx);
    }

    /// The view to leave for, if others have given reason to. "If a replica receives a set of f+1 valid view-change
    /// messages from other replicas for views greater than its current view, it sends a view-change message for the
    /// smallest view in the set" (PBFT §4.5.2): here of the f+1 with the greatest, so that f faulty ones with small
    /// views hold nobody back. And nobody waits for a primary that has left its own view.
    fn view_to_join(&self) -> Option<ViewNumber> {
        let left = |index: &usize| {
            let message = self.view_changes[*index].as_ref()?;
            let view = message.content().view;
            (view > self.view).then_some(view)
        };
        let mut views: Vec<ViewNumber> = self.others().filter_map(|index| left(&index)).collect();
        views.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(view) = views.get(self.quorum.weak() - 1) {
            return Some(*view);
        }
        let primary = self.primary_of(self.view);
        let active = matches!(self.phase, Phase::Active(_)) && primary != self.me;
        (active && left(&primary).is_some()).then(|| self.view.next())
    }

    /// The view changes for `view` that are here, in the order of the replicas.
    pub(super) fn view_changes_for(
        &self,
        view: ViewNumber,
    ) -> impl Iterator<Item = &Verified<ViewChange>> {
        let all = self.view_changes.iter().flatten();
        all.filter(move |message| message.content().view == view)
    }

    /// The checkpoint that a view starts from, as far as this replica has not come.
    pub(super) fn adopt_checkpoint(&mut self, checkpoint: Checkpoint, fx: &mut PbftEffects) {
        let number: SequenceNumber = checkpoint.sequence_number;
        if number <= self.log.low_water_mark() {
            return;
        }
        match self.executor.checkpoint(number) {
            Some((digest, _)) if digest == checkpoint.digest => {
                self.stabilise(checkpoint, None, fx);
            }
            Some(_) => drop_message(fx, "NewView", super::checkpoint::DIVERGED),
            None => self.start_fetching(checkpoint, fx),
        }
    }
}
