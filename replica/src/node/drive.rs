//! The drive loop: waits until something is ready, and makes a turn of it.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;
use viewstorm_protocol::{Instant, Protocol, RecordId, TraceEvent};

use super::ReplicaError;
use super::channel_end::ChannelEnd;
use super::turn::Node;
use crate::RunClock;
use crate::control::{Command, Report};
use crate::transport::{Arrival, PROBES_MAX, ProbeArrival};

/// The most messages of one turn.
const TURN_MAX: usize = 256;
/// A timer that rings so late rings in a process that was stopped.
const LATE: Duration = Duration::from_millis(20);
/// How often the runtime goes round, so that what waits for a process that was stopped comes before its timer.
const CATCH_UP_ROUNDS: usize = 8;

/// What storage has done.
#[derive(Clone, Debug)]
pub(super) enum Durable {
    /// These records are durable, up to this one; none yet.
    UpTo(Option<RecordId>),
    /// A write or a sync failed: nothing may be assumed durable any more.
    Failed(String),
}

/// Where everything comes from.
pub(super) struct Inbox<M> {
    pub(super) durable: watch::Receiver<Durable>,
    /// What the core was told of it.
    pub(super) told: Option<RecordId>,
    pub(super) arrivals: mpsc::Receiver<Arrival<M>>,
    pub(super) probes: mpsc::Receiver<ProbeArrival>,
    pub(super) clock: RunClock,
}

/// What ended the wait.
enum Ready {
    Command(Command),
    Durable,
    Arrivals,
    Probe(ProbeArrival),
    Timer,
}

/// Drives the node until it is told to stop, and stops it.
pub(super) async fn drive<P>(
    mut node: Node<P>,
    inbox: &mut Inbox<P::Message>,
    channel: &mut ChannelEnd<'_>,
) -> Result<(), ReplicaError>
where
    P: Protocol,
    P::Message: Send + 'static,
{
    let mut timer = Box::pin(tokio::time::sleep(Duration::ZERO));
    let mut batch = Vec::with_capacity(TURN_MAX);
    loop {
        let deadline = node.next_deadline();
        let ready = inbox
            .wait(channel, deadline, timer.as_mut(), &mut batch)
            .await?;
        node.begin_turn(inbox.clock.now());
        match ready {
            Ready::Command(Command::Stop) => return stop(node, inbox, channel).await,
            Ready::Command(command) => node.on_command(command)?,
            Ready::Probe(probe) => node.on_probe(probe),
            Ready::Durable | Ready::Arrivals | Ready::Timer => {}
        }
        for arrival in batch.drain(..) {
            node.on_arrival(arrival);
        }
        if let Some(record) = inbox.newly_durable()? {
            node.on_persisted(record);
        }
        for probe in inbox.waiting_probes() {
            node.on_probe(probe);
        }
        node.check_timeout();
        let mut has_retired = false;
        for report in node.end_turn()? {
            has_retired |= report.is_retirement();
            channel.report(&report)?;
        }
        if has_retired {
            return stop(node, inbox, channel).await;
        }
        if let Some(fuse) = node.burnt.take() {
            channel.report(&Report::Crashed { fuse })?;
            return Err(end_at_once());
        }
    }
}

/// Ends the process as a kill from outside would: nothing is flushed, nobody is told.
fn end_at_once() -> ReplicaError {
    let me = rustix::process::getpid();
    match rustix::process::kill_process(me, rustix::process::Signal::KILL) {
        // The signal is on its way to this thread too.
        Ok(()) => loop {
            std::thread::park();
        },
        Err(error) => ReplicaError::System {
            what: "to end itself".to_owned(),
            source: error.into(),
        },
    }
}

impl<M> Inbox<M> {
    /// Waits until something is ready or `deadline` has passed. Messages go into `batch`.
    async fn wait(
        &mut self,
        channel: &mut ChannelEnd<'_>,
        deadline: Option<Instant>,
        mut timer: Pin<&mut Sleep>,
        batch: &mut Vec<Arrival<M>>,
    ) -> Result<Ready, ReplicaError> {
        if let Some(deadline) = deadline {
            let wait = deadline.saturating_since(self.clock.now());
            timer.as_mut().reset(tokio::time::Instant::now() + wait);
        }
        let ready = tokio::select! {
            biased;
            command = channel.command() => Ready::Command(command?),
            changed = self.durable.changed() => match changed {
                Ok(()) => Ready::Durable,
                Err(_) => return Err(ReplicaError::StorageFailed("its thread is gone".to_owned())),
            },
            _ = self.arrivals.recv_many(batch, TURN_MAX) => Ready::Arrivals,
            Some(probe) = self.probes.recv() => Ready::Probe(probe),
            () = timer, if deadline.is_some() => Ready::Timer,
        };
        if let (Ready::Timer, Some(deadline)) = (&ready, deadline)
            && self.clock.now().saturating_since(deadline) > LATE
        {
            self.catch_up(batch).await;
        }
        Ok(ready)
    }

    /// The process was stopped for a while: first it learns what waited for it, then that its timer is due.
    async fn catch_up(&mut self, batch: &mut Vec<Arrival<M>>) {
        for _ in 0..CATCH_UP_ROUNDS {
            tokio::task::yield_now().await;
        }
        while batch.len() < TURN_MAX
            && let Ok(arrival) = self.arrivals.try_recv()
        {
            batch.push(arrival);
        }
    }

    /// The probes that wait: a flood of messages must not keep them waiting.
    fn waiting_probes(&mut self) -> impl Iterator<Item = ProbeArrival> {
        std::iter::from_fn(|| self.probes.try_recv().ok()).take(PROBES_MAX)
    }

    /// Up to where records are durable that were not when this was last asked.
    fn newly_durable(&mut self) -> Result<Option<RecordId>, ReplicaError> {
        match &*self.durable.borrow_and_update() {
            Durable::UpTo(record) if *record > self.told => {
                self.told = *record;
                Ok(*record)
            }
            Durable::UpTo(_) => Ok(None),
            Durable::Failed(reason) => Err(ReplicaError::StorageFailed(reason.clone())),
        }
    }
}

/// Stops in order: no message is taken any more, what was submitted becomes durable, the peers are told.
async fn stop<P>(
    node: Node<P>,
    inbox: &mut Inbox<P::Message>,
    channel: &mut ChannelEnd<'_>,
) -> Result<(), ReplicaError>
where
    P: Protocol,
    P::Message: Send + 'static,
{
    let Node {
        storage,
        mut outward,
        transport,
        gate,
        ..
    } = node;
    let stopped = storage.stop();
    let durable = inbox.newly_durable()?;
    stopped?;
    if let Some(record) = durable {
        outward.lamport.tick();
        outward.record(TraceEvent::Persisted {
            record: record.get(),
        });
    }
    outward.lamport.tick();
    outward.record(TraceEvent::Stopped);
    outward.trace.write_turn()?;
    tracing::info!(tap_lost = gate.lost(), transport = %transport.counters(), "stopped");
    transport.close().await;
    channel.report(&Report::Stopped)
}
