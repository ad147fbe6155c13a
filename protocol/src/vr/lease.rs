//! Leases, with which a primary answers reads by itself (VRR §6.3).
//!
//! ```text
//!   primary   GetLease{sent} ---------------------------------> holds it until sent + length
//!   backup             \--> grants: votes in no later view until now + length, stretched by the clocks' drift
//! ```
//!
//! A primary that holds f leases shares a member with every quorum that could elect another: that member votes
//! only when the lease is over. The paper has the new primary wait; here each granter's `DoViewChange` does, so
//! that a quorum of votes is proof enough. Three things the paper does not say: a new primary reads nothing
//! before it has executed what it inherited, a restarted granter waits a lease out because it has forgotten
//! which it gave, and all of it rests on the rate of clocks ([`LeaseTerms::drift_ppm`]) and on nothing else.

use super::log::OpNumber;
use super::message::{GetLease, Lease};
use super::options::{LeaseTerms, Reads};
use super::replica::{Phase, VrEffects, VrReplica, drop_message};
use super::timer::Timer;
use crate::{Instant, Service};

/// How many times a primary asks for each lease while it lasts.
const RENEWALS: u32 = 3;

/// What a replica has promised, and what it was promised as the primary of its view.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// Until when this replica helps no other primary into office.
    granted_until: Option<Instant>,
    /// Until when each other replica's lease is good, by replica number.
    held_until: Vec<Option<Instant>>,
    /// What the primary must have executed before it answers reads.
    inherited: OpNumber,
}

impl<S: Service> VrReplica<S> {
    /// The terms of leases, where there are any.
    fn lease_terms(&self) -> Option<LeaseTerms> {
        match self.config.options.reads {
            Reads::Lease(terms) => Some(terms),
            Reads::Log | Reads::Backup => None,
        }
    }

    /// An incarnation that may have granted a lease and does not know.
    pub(super) fn wait_out_forgotten_lease(&mut self) {
        if let Some(terms) = self.lease_terms() {
            self.leases.granted_until = Some(self.now + terms.wait());
        }
    }

    /// The primary of a new view holds no lease and asks for some.
    pub(super) fn begin_leases(&mut self, fx: &mut VrEffects) {
        self.leases.held_until = vec![None; self.configuration.members.len()];
        self.leases.inherited = self.log.op_number();
        self.request_leases(fx);
    }

    /// Asks all for leases, again and again.
    pub(super) fn request_leases(&mut self, fx: &mut VrEffects) {
        let Some(terms) = self.lease_terms() else {
            return;
        };
        let request = GetLease {
            view: self.view,
            sent: self.now.as_nanos(),
        };
        self.broadcast(request, fx);
        self.timers
            .set(Timer::Lease, self.now + terms.length / RENEWALS);
    }

    pub(super) fn on_get_lease(&mut self, from: usize, message: GetLease, fx: &mut VrEffects) {
        let drop = |fx, reason| drop_message(fx, "GetLease", reason);
        let Some(terms) = self.lease_terms() else {
            return drop(fx, "no leases here");
        };
        if message.view != self.view || from != self.primary_of(message.view) {
            return drop(fx, "not from this view's primary");
        }
        match &self.phase {
            Phase::Backup(backup) if !backup.suspects => {}
            _ => return drop(fx, "no backup that trusts its primary"),
        }
        let until = self.now + terms.wait();
        self.leases.granted_until = self.leases.granted_until.max(Some(until));
        let lease = Lease {
            view: message.view,
            sent: message.sent,
        };
        self.send(from, lease, None, fx);
    }

    pub(super) fn on_lease(&mut self, from: usize, message: Lease, fx: &mut VrEffects) {
        let drop = |fx, reason| drop_message(fx, "Lease", reason);
        let Some(terms) = self.lease_terms() else {
            return drop(fx, "no leases here");
        };
        if message.view != self.view || !matches!(self.phase, Phase::Primary(_)) {
            return drop(fx, "of another view");
        }
        let sent = Instant::from_nanos(message.sent);
        if sent > self.now {
            return drop(fx, "never asked for");
        }
        // It began with the question: the answer may have been on its way for long.
        if let Some(held) = self.leases.held_until.get_mut(from) {
            *held = (*held).max(Some(sent + terms.length));
        }
    }

    /// Whether no other primary can be in office, so that what is executed here is all that anybody was told.
    pub(super) fn may_read_alone(&self) -> bool {
        if self.lease_terms().is_none() || !matches!(self.phase, Phase::Primary(_)) {
            return false;
        }
        let good = |until: &&Option<Instant>| until.is_some_and(|until| self.now < until);
        let leases = self.leases.held_until.iter().filter(good).count();
        leases + 1 >= self.quorum.majority() && self.commit_number >= self.leases.inherited
    }

    /// Whether a lease that this replica gave, or may have given, forbids it to vote. The vote goes out when it
    /// no longer does.
    pub(super) fn is_bound_by_lease(&mut self) -> bool {
        match self.leases.granted_until {
            Some(until) if self.now < until => {
                self.timers.set(Timer::Lease, until);
                true
            }
            _ => false,
        }
    }

    /// The lease is over: the vote that it held back may go.
    pub(super) fn on_lease_over(&mut self, fx: &mut VrEffects) {
        self.send_do_view_change(fx);
        self.try_start_view(fx);
    }
}
