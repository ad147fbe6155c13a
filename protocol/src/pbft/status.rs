//! Retransmission (TOCS §5.2): a replica says where it is, now and then; whoever is further sends what it lacks. Nothing
//! else is ever sent twice.

use super::config::{MISSING_MAX, RESEND_PLACES_MAX, WINDOW_MAX};
use super::message::{NULL_DIGEST, PbftMessage, PlaceStatus, Proposal, SequenceNumber, Status};
use super::replica::{PbftEffects, PbftReplica, Phase, drop_message};
use super::timer::Timer;
use crate::{Digest, Service, ViewNumber};

impl<S: Service> PbftReplica<S> {
    pub(super) fn set_status_timer(&mut self) {
        let at = self.now + self.jitter.stretch(self.config.timeouts.status);
        self.timers.set(Timer::Status, at);
    }

    pub(super) fn on_status_due(&mut self, fx: &mut PbftEffects) {
        self.rounds += 1;
        self.send_status(fx);
        self.set_status_timer();
        if let Some(ahead) = &mut self.ahead
            && std::mem::replace(&mut ahead.missed, true)
        {
            let checkpoint = ahead.certificate.checkpoint();
            self.start_fetching(checkpoint, fx);
        }
    }

    pub(super) fn send_status(&mut self, fx: &mut PbftEffects) {
        let message = PbftMessage::Status(self.own_status());
        self.broadcast(&message, None, fx);
    }

    fn own_status(&self) -> Status {
        let executed = self.executor.executed();
        // Also what is executed: in a later view it is agreed on once more, for the sake of those who have not.
        let first = self.log.low_water_mark().0 + 1;
        let last = self.log.last().map_or(0, |last| last.0);
        let place = |number| {
            let number = SequenceNumber(number);
            let place = self.log.get(number);
            let assigned = place.and_then(|place| place.assigned.as_ref());
            PlaceStatus {
                pre_prepared: assigned.is_some_and(|assigned| assigned.accepted),
                prepared: place.is_some_and(|place| place.prepared),
                committed: place.is_some_and(|place| place.committed.is_some()),
            }
        };
        let view_of = |message: &Option<_>| match message {
            Some(message) => view_of(message),
            None => ViewNumber::default(),
        };
        let mut missing: Vec<Digest> = match &self.phase {
            Phase::Changing(changing) => changing.missing.clone(),
            _ => Vec::new(),
        };
        missing.extend(self.log.missing().take(MISSING_MAX));
        missing.truncate(MISSING_MAX);
        Status {
            view: self.view,
            active: matches!(self.phase, Phase::Active(_)),
            low_water_mark: self.log.low_water_mark(),
            executed,
            places: (first..=last).map(place).collect(),
            view_changes: self.view_changes.iter().map(view_of).collect(),
            missing,
        }
    }

    pub(super) fn on_status(&mut self, from: usize, status: Status, fx: &mut PbftEffects) {
        if status.places.len() as u64 > WINDOW_MAX
            || status.view_changes.len() != self.quorum.members()
            || status.missing.len() > MISSING_MAX
        {
            return drop_message(fx, "Status", "malformed");
        }
        self.resend_view(from, &status, fx);
        self.resend_checkpoints(from, &status, fx);
        for digest in status
            .missing
            .iter()
            .filter(|digest| **digest != NULL_DIGEST)
        {
            if let Some(batch) = self.log.batch(digest) {
                self.send(from, PbftMessage::Batch(batch), None, fx);
            }
        }
        if matches!(self.phase, Phase::Active(_)) || status.view <= self.view {
            self.resend_places(from, &status, fx);
        }
    }

    /// It is in an earlier view, or waits for this one.
    fn resend_view(&mut self, from: usize, status: &Status, fx: &mut PbftEffects) {
        let behind = status.view < self.view || (status.view == self.view && !status.active);
        if !behind {
            return;
        }
        let active = matches!(self.phase, Phase::Active(_));
        match &self.new_view {
            Some(proposal) if active && self.is_turn_to_help(from) => {
                let message = PbftMessage::NewView(proposal.clone());
                self.send(from, message, self.all_records(fx), fx);
            }
            _ if active => {}
            _ => {
                let own = self.view_changes[self.me].as_ref();
                let own = own.filter(|own| own.content().view == self.view);
                if let Some(own) = own.filter(|own| status.view_changes[self.me] < view_of(own)) {
                    let message = PbftMessage::ViewChange(own.as_signed().clone());
                    self.send(from, message, self.all_records(fx), fx);
                }
            }
        }
    }

    /// What is long is sent by the primary, and by one other in turn: the primary may be faulty.
    fn is_turn_to_help(&self, from: usize) -> bool {
        self.is_primary_of(self.view) || (self.rounds + self.me) % self.quorum.members() == from
    }

    /// It has not reached the latest stable checkpoint, or has not heard of this replica's.
    fn resend_checkpoints(&mut self, from: usize, status: &Status, fx: &mut PbftEffects) {
        if status.low_water_mark < self.log.low_water_mark()
            && let Some(certificate) = &self.stable
        {
            let message = PbftMessage::StableCheckpoint(certificate.clone());
            self.send(from, message, None, fx);
        }
        for own in self.checkpoints.own() {
            if own.content().sequence_number > status.low_water_mark {
                let message = PbftMessage::Checkpoint(own.as_signed().clone());
                self.send(from, message, self.all_records(fx), fx);
            }
        }
    }

    /// This replica's own words about the places that are not finished there, and the primary's.
    fn resend_places(&mut self, from: usize, status: &Status, fx: &mut PbftEffects) {
        let after = self.all_records(fx);
        let helps = self.is_turn_to_help(from);
        let same_view = status.view == self.view && status.active;
        let low = status.low_water_mark;
        let known = |number: SequenceNumber| {
            let index = usize::try_from(number.0 - low.0 - 1).ok();
            let known = index.and_then(|index| status.places.get(index)).copied();
            known.unwrap_or_default()
        };
        let finished = PlaceStatus {
            pre_prepared: true,
            prepared: true,
            committed: true,
        };
        let above = self.log.iter().filter(|(number, _)| *number > low);
        let unfinished = above.map(|(number, place)| (known(number), place));
        let unfinished = unfinished.filter(|(known, _)| *known != finished);
        for (known, place) in unfinished.take(RESEND_PLACES_MAX) {
            let mut messages = Vec::new();
            if same_view && !known.pre_prepared && helps {
                let assigned = place.assigned.as_ref();
                let pre_prepare = assigned.and_then(|assigned| assigned.pre_prepare.clone());
                let batch = assigned.and_then(|assigned| self.log.batch(&assigned.digest));
                if let (Some(pre_prepare), Some(batch)) = (pre_prepare, batch) {
                    messages.push(PbftMessage::PrePrepare(Proposal { pre_prepare, batch }));
                }
            }
            if same_view
                && !known.prepared
                && let Some(prepare) = &place.own_prepare
            {
                messages.push(PbftMessage::Prepare(prepare.as_signed().clone()));
            }
            if !known.committed
                && let Some(commit) = &place.own_commit
            {
                messages.push(PbftMessage::Commit(commit.as_signed().clone()));
            }
            for message in messages {
                self.send(from, message, after, fx);
            }
        }
    }
}

fn view_of(message: &super::signed::Verified<super::message::ViewChange>) -> ViewNumber {
    message.content().view
}
