//! Who wants another primary, and when that is enough (VRR §4.2 step 1).
//!
//! A replica that suspects its primary broadcasts `StartViewChange` and stays in its view. It leaves for a
//! view only when a quorum asks for that view or a later one. So a replica that can speak but not hear does not
//! drag the others from view to view (tigerbeetle#476). It is safe where views are durable: a replica
//! never works in an earlier view than the one its `DoViewChange` names. Where they are not, it leaves first.
//! `entered` and a `DoViewChange` prove
//! that a quorum has asked, so they alone suffice.

use super::config::BACKOFF_MAX;
use super::message::StartViewChange;
use super::replica::{Phase, VrEffects, VrReplica, drop_message};
use super::timer::Timer;
use crate::{Instant, ProtocolEvent, Service, ViewNumber};

/// The latest view that a replica asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    view: ViewNumber,
    at: Instant,
}

impl<S: Service> VrReplica<S> {
    /// A backup has lost patience with its primary.
    pub(super) fn suspect(&mut self, fx: &mut VrEffects) {
        if let Phase::Backup(backup) = &mut self.phase {
            backup.suspects = true;
        }
        self.ask_for(self.view_after(), fx);
    }

    /// Asks all for `view`, until the primary is heard or a view is entered.
    pub(super) fn ask_for(&mut self, view: ViewNumber, fx: &mut VrEffects) {
        fx.note(ProtocolEvent::ViewChangeSuspected { view });
        if !self.config.durability.keeps_views() {
            // VRR §8.2: with nothing on a disk, who asks has left. Otherwise its vote could outlive its memory of
            // having given up the old view.
            return self.transition_to_view_change(view, fx);
        }
        self.asks[self.me] = Some(Ask { view, at: self.now });
        self.broadcast(self.own_ask(view), fx);
        self.set_resend();
        self.enter_asked_view(fx);
    }

    /// Asks again.
    pub(super) fn resend_ask(&mut self, fx: &mut VrEffects) {
        self.set_resend();
        if let Some(ask) = &mut self.asks[self.me] {
            ask.at = self.now;
            let view = ask.view;
            self.broadcast(self.own_ask(view), fx);
            self.enter_asked_view(fx);
        }
    }

    /// Asks for the view just entered, unless that was what it had asked for.
    pub(super) fn send_start_view_change_once(&mut self, fx: &mut VrEffects) {
        let asked = self.asks[self.me].is_some_and(|ask| ask.view == self.view);
        self.asks[self.me] = Some(Ask {
            view: self.view,
            at: self.now,
        });
        if !asked {
            self.broadcast(self.own_ask(self.view), fx);
        }
    }

    pub(super) fn on_start_view_change(
        &mut self,
        from: usize,
        message: StartViewChange,
        fx: &mut VrEffects,
    ) {
        if message.entered > message.view {
            return drop_message(fx, "StartViewChange", "malformed");
        }
        self.asks[from] = Some(Ask {
            view: message.view,
            at: self.now,
        });
        if message.entered > self.known_view() {
            self.transition_to_view_change(message.entered, fx);
        } else if message.entered < self.view && matches!(self.phase, Phase::Primary(_)) {
            self.send_start_view(from, self.commit_number, fx);
        } else if message.view > self.view && self.has_doubts() {
            self.suspect(fx);
        }
        self.enter_asked_view(fx);
        self.vote_when_asked(message.view, fx);
    }

    /// VRR §4.2 step 2: votes "when replica i receives STARTVIEWCHANGE messages for its view-number from f other
    /// replicas". That f+1 replicas know of the view takes the place of writing it down (§8.2); where it is
    /// written down nobody need wait for them.
    pub(super) fn may_vote(&self) -> bool {
        let asks = |index: &usize| self.asks[*index].is_some_and(|ask| ask.view >= self.view);
        self.config.durability.keeps_views()
            || self.others().filter(asks).count() + 1 >= self.quorum.majority()
    }

    /// One more asks for the view that this replica has left its own for.
    fn vote_when_asked(&mut self, asked: ViewNumber, fx: &mut VrEffects) {
        let waits = matches!(self.phase, Phase::ViewChange(_)) && asked == self.view;
        if waits && !self.config.durability.keeps_views() && self.may_vote() {
            self.send_do_view_change(fx);
            self.try_start_view(fx);
        }
    }

    /// A replica no longer stands by an ask for a view after `remembered`.
    pub(super) fn withdraw_ask(&mut self, index: usize, remembered: ViewNumber) {
        self.asks[index].take_if(|ask| ask.view > remembered);
    }

    /// Whether a backup has waited long enough for its primary to join others that suspect it.
    fn has_doubts(&self) -> bool {
        let Phase::Backup(backup) = &self.phase else {
            return false;
        };
        let silence = self.now.saturating_since(backup.heard);
        !backup.suspects && silence >= self.detector.patience() / 2
    }

    /// Enters the latest view that a quorum asks for, if it is later than this one.
    fn enter_asked_view(&mut self, fx: &mut VrEffects) {
        // An ask that is not repeated is withdrawn.
        let lifetime = self.config.timeouts.suspicion * 2;
        let live = |ask: &&Ask| self.now.saturating_since(ask.at) <= lifetime;
        let asks = || self.asks.iter().flatten().filter(live);
        let supporters = |view| asks().filter(|ask| ask.view >= view).count();
        let asked = asks()
            .map(|ask| ask.view)
            .filter(|view| supporters(*view) >= self.quorum.majority())
            .max();
        if let Some(view) = asked
            && view > self.known_view()
        {
            self.transition_to_view_change(view, fx);
        }
    }

    /// Sets how long to wait for the view just entered to start: twice as long each time.
    pub(super) fn set_election_patience(&mut self) {
        let doublings = self.attempts.saturating_sub(1).min(BACKOFF_MAX);
        let patience = self.config.timeouts.suspicion * (1 << doublings);
        let at = self.now + self.jitter.stretch(patience);
        self.timers.set(Timer::Suspicion, at);
    }
}
