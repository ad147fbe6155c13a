//! Executes batches, each place once, each request at most once; tentatively, with a way back; and keeps checkpoints.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::config::{CLIENTS_MAX, RESULT_BYTES_MAX};
use super::message::{Batch, Checkpoint, Request, SequenceNumber};
use crate::{ClientId, Digest, Service, State};

/// A client's latest executed request. It is part of the state: a replica that fetches a checkpoint learns what it
/// must not execute again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedReply {
    /// t of the request.
    pub timestamp: u64,
    /// How many operations the service had executed, with this one.
    pub order: u64,
    /// The service's answer.
    pub result: Bytes,
}

/// What a checkpoint's digest is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRoot {
    /// The service's state.
    pub service: Digest,
    /// The clients' latest replies.
    pub replies: Digest,
    /// How many operations were executed.
    pub order: u64,
    /// The chained digest of all operations and results.
    pub chain: u64,
}

impl StateRoot {
    /// d of CHECKPOINT (PBFT §4.3).
    pub fn digest(&self) -> Digest {
        Digest::of_parts(
            "Checkpoint",
            &[
                self.service.as_bytes(),
                self.replies.as_bytes(),
                &self.order.to_le_bytes(),
                &self.chain.to_le_bytes(),
            ],
        )
    }
}

/// Everything that execution changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) service: State,
    pub(super) replies: State,
    pub(super) order: u64,
    pub(super) chain: u64,
}

impl Snapshot {
    pub(super) fn root(&self) -> StateRoot {
        StateRoot {
            service: self.service.digest(),
            replies: self.replies.digest(),
            order: self.order,
            chain: self.chain,
        }
    }

    pub(super) fn reply(&self, client: ClientId) -> Option<CachedReply> {
        let bytes = self.replies.get(&client_key(client))?;
        Some(postcard::from_bytes(bytes).expect("the executor wrote it"))
    }
}

/// An operation that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Execution {
    pub(super) client: ClientId,
    pub(super) reply: CachedReply,
    pub(super) chain: u64,
}

/// A batch that is executed and not committed yet.
#[derive(Debug)]
struct Tentative {
    number: SequenceNumber,
    digest: Digest,
    before: Snapshot,
    executions: Vec<Execution>,
}

/// The service, its state, and the checkpoints of it.
#[derive(Debug)]
pub(super) struct Executor<S> {
    service: S,
    /// With what is executed tentatively.
    state: Snapshot,
    /// Everything up to here is executed for good.
    executed: SequenceNumber,
    tentative: Option<Tentative>,
    checkpoints: BTreeMap<SequenceNumber, (Digest, Snapshot)>,
}

impl<S: Service> Executor<S> {
    pub(super) fn new(service: S) -> Self {
        let state = Snapshot::default();
        let first = (state.root().digest(), state.clone());
        Self {
            service,
            state,
            executed: SequenceNumber::ZERO,
            tentative: None,
            checkpoints: [(SequenceNumber::ZERO, first)].into(),
        }
    }

    /// Executes the batch of the place after the last, before it is committed (TOCS §5.1.2).
    pub(super) fn execute_tentatively(
        &mut self,
        number: SequenceNumber,
        digest: Digest,
        batch: &Batch,
    ) -> Vec<Execution> {
        assert_eq!(number, self.executed.next(), "in the order of the places");
        assert!(self.tentative.is_none(), "one at a time");
        let before = self.state.clone();
        let executions = self.run(batch);
        self.tentative = Some(Tentative {
            number,
            digest,
            before,
            executions: executions.clone(),
        });
        executions
    }

    /// The batch of the place after the last is committed. Returns what was executed, and whether that was before.
    pub(super) fn execute(
        &mut self,
        number: SequenceNumber,
        digest: Digest,
        batch: &Batch,
    ) -> (Vec<Execution>, bool) {
        assert_eq!(number, self.executed.next(), "in the order of the places");
        self.executed = number;
        match self.tentative.take() {
            Some(tentative) if tentative.digest == digest => {
                assert_eq!(tentative.number, number);
                (tentative.executions, true)
            }
            Some(tentative) => {
                self.state = tentative.before;
                (self.run(batch), false)
            }
            None => (self.run(batch), false),
        }
    }

    fn run(&mut self, batch: &Batch) -> Vec<Execution> {
        let requests = batch.requests().iter();
        requests
            .filter_map(|request| self.run_request(request.content()))
            .collect()
    }

    /// Nothing happens to a request that is not newer than the client's latest (PBFT §4.1: at most once).
    fn run_request(&mut self, request: &Request) -> Option<Execution> {
        let state = &mut self.state;
        match state.reply(request.client) {
            Some(last) if request.timestamp <= last.timestamp => return None,
            None if state.replies.len() >= CLIENTS_MAX => return None,
            _ => {}
        }
        let result = self.service.execute(&mut state.service, &request.operation);
        assert!(
            result.len() <= RESULT_BYTES_MAX,
            "a service bounds its answers"
        );
        state.order += 1;
        let mut words = Vec::with_capacity(26 + request.operation.len() + result.len());
        words.extend_from_slice(&client_key(request.client));
        words.extend_from_slice(&request.timestamp.to_le_bytes());
        words.extend_from_slice(&(request.operation.len() as u64).to_le_bytes());
        words.extend_from_slice(&request.operation);
        words.extend_from_slice(&result);
        state.chain = xxh3_64_with_seed(&words, state.chain);
        let reply = CachedReply {
            timestamp: request.timestamp,
            order: state.order,
            result,
        };
        let bytes = postcard::to_stdvec(&reply).expect("a vector takes all that is written to it");
        state.replies.put(client_key(request.client), bytes.into());
        Some(Execution {
            client: request.client,
            reply,
            chain: state.chain,
        })
    }
}

impl<S> Executor<S> {
    /// Everything up to here is executed for good.
    pub(super) fn executed(&self) -> SequenceNumber {
        self.executed
    }

    pub(super) fn tentative(&self) -> Option<SequenceNumber> {
        self.tentative.as_ref().map(|tentative| tentative.number)
    }

    pub(super) fn state(&self) -> &Snapshot {
        &self.state
    }

    /// The client's latest executed request, and whether it is executed for good.
    pub(super) fn reply(&self, client: ClientId) -> Option<(CachedReply, bool)> {
        let reply = self.state.reply(client)?;
        let pending = self
            .tentative
            .iter()
            .flat_map(|tentative| &tentative.executions);
        let tentative = pending
            .into_iter()
            .any(|execution| execution.client == client);
        Some((reply, !tentative))
    }

    /// Undoes what was executed tentatively (TOCS §5.1.2: "aborted").
    pub(super) fn roll_back(&mut self) {
        if let Some(tentative) = self.tentative.take() {
            self.state = tentative.before;
        }
    }

    /// Keeps the state as it is after the last place as a checkpoint.
    pub(super) fn take_checkpoint(&mut self) -> Checkpoint {
        assert!(
            self.tentative.is_none(),
            "a checkpoint is of committed batches"
        );
        let digest = self.state.root().digest();
        let number = self.executed;
        self.checkpoints
            .insert(number, (digest, self.state.clone()));
        Checkpoint {
            sequence_number: number,
            digest,
        }
    }

    /// The checkpoints that are held, ascending (C of a view change).
    pub(super) fn checkpoints(&self) -> impl DoubleEndedIterator<Item = Checkpoint> + '_ {
        let checkpoint =
            |(number, (digest, _)): (&SequenceNumber, &(Digest, Snapshot))| Checkpoint {
                sequence_number: *number,
                digest: *digest,
            };
        self.checkpoints.iter().map(checkpoint)
    }

    /// The state of a checkpoint that is held.
    pub(super) fn checkpoint(&self, number: SequenceNumber) -> Option<(Digest, &Snapshot)> {
        let (digest, snapshot) = self.checkpoints.get(&number)?;
        Some((*digest, snapshot))
    }

    /// Forgets the checkpoints before `number`.
    pub(super) fn forget_before(&mut self, number: SequenceNumber) {
        self.checkpoints = self.checkpoints.split_off(&number);
    }

    /// Takes over the state of a checkpoint that lies ahead.
    pub(super) fn install(&mut self, checkpoint: Checkpoint, snapshot: Snapshot) {
        assert!(checkpoint.sequence_number > self.executed, "it lies ahead");
        assert_eq!(snapshot.root().digest(), checkpoint.digest);
        self.tentative = None;
        self.executed = checkpoint.sequence_number;
        self.state = snapshot.clone();
        let kept = (checkpoint.digest, snapshot);
        self.checkpoints.insert(checkpoint.sequence_number, kept);
    }
}

fn client_key(client: ClientId) -> Bytes {
    let mut key = Vec::with_capacity(10);
    key.extend_from_slice(&client.endpoint.to_be_bytes());
    key.extend_from_slice(&client.session.to_be_bytes());
    key.into()
}
