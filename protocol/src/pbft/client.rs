//! The client's half (PBFT §4.1; TOCS §5.1): a request to the primary it believes in, then to all; an answer is what
//! enough replicas say.
//!
//! There are no read-only requests. Answered from a replica's state without being ordered (TOCS §5.1.3), they would make
//! every client wait for a quorum of matching replies, also for ordered requests; then a faulty primary that leaves f
//! correct replicas behind makes clients wait for ever, since only n-2f correct ones answer alike (Berger, Reiser and
//! Bessani, "Making reads in BFT state machine replication fast, linearizable, and live", SRDS'21). So reads are ordered
//! as all else, and f+1 matching replies are an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::config::{OPERATION_BYTES_MAX, primary_index};
use super::message::{PbftMessage, Reply, ReplyResult, Request};
use super::quorum::ByzantineQuorum;
use super::request::result_digest;
use super::signed::{Authentication, Signed};
use crate::{
    Client, ClientEffects, ClientId, Completion, Digest, Instant, NodeId, ReplicaId, ViewNumber,
};

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PbftClientTimeouts {
    /// A request that is unanswered for this long goes to all replicas, again and again.
    pub resend: Duration,
}

impl Default for PbftClientTimeouts {
    fn default() -> Self {
        Self {
            resend: Duration::from_millis(100),
        }
    }
}

/// One client session.
#[derive(Debug)]
pub struct PbftClient {
    id: ClientId,
    keys: Authentication,
    quorum: ByzantineQuorum,
    timeouts: PbftClientTimeouts,
    /// Steers where a request goes first and nothing else.
    view: ViewNumber,
    timestamp: u64,
    outstanding: Option<Outstanding>,
}

/// The request that waits for its answer.
#[derive(Debug)]
struct Outstanding {
    request: Signed<Request>,
    resend_at: Instant,
    /// The latest reply of each replica.
    replies: BTreeMap<ReplicaId, Said>,
    /// Results that came in full, of at most one for each replica.
    full: BTreeMap<ReplicaId, (Digest, Bytes)>,
}

/// What a replica has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    view: ViewNumber,
    tentative: bool,
    order: u64,
    result: Digest,
}

impl PbftClient {
    /// A new session, whose endpoint has these keys.
    pub fn new(id: ClientId, keys: Authentication, timeouts: PbftClientTimeouts) -> Self {
        assert_eq!(keys.me(), NodeId::Client(id.endpoint), "its own keys");
        Self {
            id,
            quorum: ByzantineQuorum::of(keys.replicas().len()),
            keys,
            timeouts,
            view: ViewNumber::default(),
            timestamp: 0,
            outstanding: None,
        }
    }

    /// The timestamp of the latest request.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The view that the latest answer came from.
    pub fn view(&self) -> ViewNumber {
        self.view
    }

    /// The answer, if enough replicas have given the same: f+1, one of which is correct, whose reply is not tentative;
    /// or a quorum in one view, whose prepared certificates every later view keeps (TOCS §5.1.2).
    fn answer(&self) -> Option<(ViewNumber, Completion)> {
        let outstanding = self.outstanding.as_ref()?;
        for said in outstanding.replies.values() {
            let same = |other: &&Said| other.order == said.order && other.result == said.result;
            let matching = || outstanding.replies.values().filter(same);
            let committed = matching().filter(|other| !other.tentative).count();
            let in_view = matching().filter(|other| other.view == said.view).count();
            if committed < self.quorum.weak() && in_view < self.quorum.quorum() {
                continue;
            }
            let full = outstanding
                .full
                .values()
                .find(|(digest, _)| *digest == said.result);
            let (_, result) = full?; // Asked for by the next retransmission.
            let completion = Completion {
                result: result.clone(),
                order: said.order,
            };
            return Some((said.view, completion));
        }
        None
    }
}

impl Client for PbftClient {
    type Message = PbftMessage;

    fn invoke(&mut self, now: Instant, operation: Bytes, effects: &mut ClientEffects<PbftMessage>) {
        assert!(self.outstanding.is_none(), "one request at a time");
        assert!(
            operation.len() <= OPERATION_BYTES_MAX,
            "no replica takes an operation of {} bytes",
            operation.len()
        );
        self.timestamp += 1;
        let request = self.keys.sign(Request {
            client: self.id,
            timestamp: self.timestamp,
            operation,
        });
        let request = request.into_signed();
        let primary = primary_index(self.view, self.quorum.members());
        let primary = self.keys.replicas()[primary];
        effects
            .sends
            .push((primary, PbftMessage::Request(request.clone())));
        self.outstanding = Some(Outstanding {
            request,
            resend_at: now + self.timeouts.resend,
            replies: BTreeMap::new(),
            full: BTreeMap::new(),
        });
    }

    fn receive(
        &mut self,
        _now: Instant,
        from: ReplicaId,
        message: PbftMessage,
        effects: &mut ClientEffects<PbftMessage>,
    ) {
        let PbftMessage::Reply(Reply {
            view,
            timestamp,
            tentative,
            order,
            result,
        }) = message
        else {
            return;
        };
        let Some(outstanding) = &mut self.outstanding else {
            return;
        };
        if self.keys.replicas().binary_search(&from).is_err() || timestamp != self.timestamp {
            return;
        }
        let digest = match result {
            ReplyResult::Digest(digest) => digest,
            ReplyResult::Full(result) => {
                let digest = result_digest(&result);
                outstanding.full.insert(from, (digest, result));
                digest
            }
        };
        let said = Said {
            view,
            tentative,
            order,
            result: digest,
        };
        outstanding.replies.insert(from, said);
        if let Some((view, completion)) = self.answer() {
            self.outstanding = None;
            self.view = view;
            effects.completion = Some(completion);
        }
    }

    fn timeout(&mut self, now: Instant, effects: &mut ClientEffects<PbftMessage>) {
        let Some(outstanding) = &mut self.outstanding else {
            return;
        };
        if now < outstanding.resend_at {
            return;
        }
        outstanding.resend_at = now + self.timeouts.resend;
        // PBFT §4.1: "If the client does not receive replies soon enough, it broadcasts the request to all replicas."
        for replica in self.keys.replicas() {
            let message = PbftMessage::Request(outstanding.request.clone());
            effects.sends.push((*replica, message));
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|request| request.resend_at)
    }
}
