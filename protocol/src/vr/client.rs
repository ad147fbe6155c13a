//! The client's half (VRR §4.1): one request at a time, to the primary it believes in, then to all.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::config::OPERATION_BYTES_MAX;
use super::configuration::Configuration;
use super::message::{Request, VrMessage};
use crate::{Client, ClientEffects, ClientId, Completion, Instant, ReplicaId, ViewNumber};

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VrClientTimeouts {
    /// A request that is unanswered for this long goes to all replicas, again and again.
    pub resend: Duration,
}

impl Default for VrClientTimeouts {
    fn default() -> Self {
        Self {
            resend: Duration::from_millis(100),
        }
    }
}

/// One client session.
#[derive(Debug)]
pub struct VrClient {
    id: ClientId,
    configuration: Configuration,
    timeouts: VrClientTimeouts,
    /// Steers where a request goes first and nothing else: a replica that lives in a view of its own must not
    /// make the client deaf to the others.
    view: ViewNumber,
    request_number: u64,
    outstanding: Option<Outstanding>,
}

/// The request that waits for its answer.
#[derive(Debug)]
struct Outstanding {
    operation: Bytes,
    resend_at: Instant,
}

impl VrClient {
    /// A new session with the group `replicas`, ascending.
    pub fn new(id: ClientId, replicas: Vec<ReplicaId>, timeouts: VrClientTimeouts) -> Self {
        assert!(!replicas.is_empty(), "a group has at least one member");
        Self {
            id,
            configuration: Configuration::first(replicas),
            timeouts,
            view: ViewNumber::new(0),
            request_number: 0,
            outstanding: None,
        }
    }

    /// The number of the latest request.
    pub fn request_number(&self) -> u64 {
        self.request_number
    }

    /// The view that the latest answer came from.
    pub fn view(&self) -> ViewNumber {
        self.view
    }

    fn request(&self, operation: &Bytes) -> VrMessage {
        VrMessage::Request(Request {
            epoch: self.view.epoch,
            client: self.id,
            request_number: self.request_number,
            operation: operation.clone().into(),
        })
    }
}

impl Client for VrClient {
    type Message = VrMessage;

    fn invoke(&mut self, now: Instant, operation: Bytes, effects: &mut ClientEffects<VrMessage>) {
        assert!(self.outstanding.is_none(), "one request at a time");
        assert!(
            operation.len() <= OPERATION_BYTES_MAX,
            "no replica takes an operation of {} bytes",
            operation.len()
        );
        self.request_number += 1;
        let primary = self.configuration.members[self.configuration.primary(self.view)];
        effects.sends.push((primary, self.request(&operation)));
        self.outstanding = Some(Outstanding {
            operation,
            resend_at: now + self.timeouts.resend,
        });
    }

    fn receive(
        &mut self,
        _now: Instant,
        from: ReplicaId,
        message: VrMessage,
        effects: &mut ClientEffects<VrMessage>,
    ) {
        let VrMessage::Reply(reply) = message else {
            return;
        };
        if !self.configuration.has(from) {
            return;
        }
        if reply.request_number != self.request_number || self.outstanding.take().is_none() {
            return; // An answer to an earlier request, or once more.
        }
        self.view = reply.view;
        effects.completion = Some(Completion {
            result: reply.result,
            order: reply.order,
        });
    }

    fn timeout(&mut self, now: Instant, effects: &mut ClientEffects<VrMessage>) {
        let Some(outstanding) = &mut self.outstanding else {
            return;
        };
        if now < outstanding.resend_at {
            return;
        }
        outstanding.resend_at = now + self.timeouts.resend;
        let operation = outstanding.operation.clone();
        // VRR §4.1: "If a client doesn't receive a timely response to a request, it re-sends the request to
        // all replicas."
        for replica in &self.configuration.members {
            effects.sends.push((*replica, self.request(&operation)));
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|request| request.resend_at)
    }
}
