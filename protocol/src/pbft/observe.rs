//! What a replica shows of itself.

use super::executor::CachedReply;
use super::message::SequenceNumber;
use super::replica::{PbftReplica, Phase};
use crate::{ClientId, Observe, State, Status, ViewNumber};

impl<S> PbftReplica<S> {
    /// What it is doing.
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Starting(_) => Status::Recovering,
            Phase::Active(_) => Status::Normal,
            Phase::Changing(_) => Status::ViewChange,
        }
    }

    /// Whether it is the primary of its view, which has started.
    pub fn is_primary(&self) -> bool {
        let primary = super::config::primary_index(self.view, self.config.replicas.len());
        matches!(self.phase, Phase::Active(_)) && primary == self.me
    }

    /// The view that it is in, or waits for.
    pub fn view(&self) -> ViewNumber {
        self.view
    }

    /// The latest view that has started here.
    pub fn log_view(&self) -> ViewNumber {
        self.log_view
    }

    /// h: the latest stable checkpoint.
    pub fn low_water_mark(&self) -> SequenceNumber {
        self.log.low_water_mark()
    }

    /// H: the last place for which it votes.
    pub fn high_water_mark(&self) -> SequenceNumber {
        self.log.high_water_mark()
    }

    /// Everything up to here is committed, and executed here.
    pub fn executed(&self) -> SequenceNumber {
        self.executor.executed()
    }

    /// The place that is executed and not committed yet, if there is one.
    pub fn tentative(&self) -> Option<SequenceNumber> {
        self.executor.tentative()
    }

    /// How many operations were executed, with those that are executed tentatively.
    pub fn order(&self) -> u64 {
        self.executor.state().order
    }

    /// The chained digest of all operations executed and their results.
    pub fn state_digest(&self) -> u64 {
        self.executor.state().chain
    }

    /// The service's state.
    pub fn state(&self) -> &State {
        &self.executor.state().service
    }

    /// The client's latest executed request.
    pub fn cached_reply(&self, client: ClientId) -> Option<CachedReply> {
        self.executor.reply(client).map(|(reply, _)| reply)
    }

    /// How many requests wait for their execution.
    pub fn pending_requests(&self) -> usize {
        self.requests.len()
    }

    /// Whether it fetches a state.
    pub fn is_fetching(&self) -> bool {
        self.transfer.is_some()
    }

    /// The places of which something is known, from the low water mark on.
    pub fn places(&self) -> usize {
        self.log.iter().count()
    }

    /// After which place its view begins.
    fn low_bound(&self) -> SequenceNumber {
        match &self.phase {
            Phase::Active(active) => active.low_bound,
            _ => SequenceNumber::ZERO,
        }
    }
}

impl<S> Observe for PbftReplica<S> {
    fn status(&self) -> Status {
        self.status()
    }

    fn view(&self) -> ViewNumber {
        self.view
    }

    fn log_view(&self) -> ViewNumber {
        self.log_view
    }

    fn is_primary(&self) -> bool {
        self.is_primary()
    }

    /// The last place that is filled without a gap. What lies before the view's start counts as filled.
    fn op_number(&self) -> u64 {
        let mut last = self.executor.executed().max(self.low_bound());
        while self
            .log
            .get(last.next())
            .is_some_and(|place| place.digest().is_some())
        {
            last = last.next();
        }
        last.0
    }

    fn commit_number(&self) -> u64 {
        self.executor.executed().0
    }

    fn entry_digest(&self, op: u64) -> Option<u64> {
        let number = SequenceNumber(op);
        let place = self.log.get(number)?;
        // What it once had in a place before the view's start may be something else than what was committed there.
        if number <= self.low_bound() && place.committed.is_none() {
            return None;
        }
        place.digest().map(|digest| digest.short())
    }

    fn latest_request(&self, client: ClientId) -> Option<u64> {
        self.cached_reply(client).map(|reply| reply.timestamp)
    }

    fn commits_from_disk(&self) -> bool {
        self.config.votes == super::config::VoteStorage::Durable
    }
}
