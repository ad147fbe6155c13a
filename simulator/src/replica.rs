//! One replica: its machine (disk, clock) and the process on it, which comes and goes.

use std::collections::VecDeque;

use viewstorm_history::Timestamp;
use viewstorm_nemesis::{ClockBend, CrashPoint, Observation, ProcessState, WriteError};
use viewstorm_protocol::{
    Address, ClockShim, Effect, EffectLabel, Effects, Envelope, Event, Fuse, Incarnation,
    LamportClock, Message, MessageLabel, NodeId, Observe, Outbox, Protocol, ProtocolEvent,
    RecordId, Recovered, ReplicaId, Status, TraceEvent,
};

use crate::SimulationConfig;
use crate::disk::{CrashKind, Disk};
use crate::hash::Hashed;
use crate::ledger::Ledger;
use crate::medium::{Cargo, InFlight, Medium};
use crate::queue::Due;
use crate::random::Stream;
use crate::run::Run;

/// What tells a receipt from other events in the trace hash.
const RECEIVED: u8 = 4;

/// What a step needs of the world around the replica.
pub(crate) struct Around<'a, M> {
    pub(crate) config: &'a SimulationConfig,
    pub(crate) run: &'a mut Run,
    pub(crate) medium: &'a mut Medium<M>,
    pub(crate) ledger: &'a mut Option<Ledger>,
}

/// A replica and the machine it runs on.
pub(crate) struct Replica<P: Protocol> {
    id: ReplicaId,
    incarnation: Incarnation,
    process: Process<P>,
    disk: Disk<P::Record>,
    clock: ClockShim,
    start_delay: Stream,
    /// When the timer that is due first will ring; later ones may be due, and ring in vain.
    armed: Option<u64>,
    fuse: Option<Lit>,
    /// It has taken part: from now on an empty disk is a lost one.
    has_taken_part: bool,
}

enum Process<P: Protocol> {
    Gone,
    Starting,
    Running(Box<Running<P>>),
}

/// What dies with the process.
struct Running<P: Protocol> {
    core: P,
    effects: Effects<P::Message, P::Record>,
    outbox: Outbox<P::Message>,
    lamport: LamportClock,
    /// The newest incarnation met of each peer.
    met: Vec<Incarnation>,
    paused: bool,
    inbox: VecDeque<Waiting<P::Message>>,
    waiting_messages: usize,
}

/// What waits for a paused process.
enum Waiting<M> {
    Message(InFlight<M>),
    Persisted(RecordId),
}

/// What cuts a step short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The fuse has burnt down.
    Burnt,
    /// The disk does not take a write.
    Write(WriteError),
}

/// A fuse, and where it ends the process.
#[derive(Clone, Debug)]
struct Lit {
    fuse: Fuse,
    point: CrashPoint,
}

impl Lit {
    /// Whether the process ends before the effect.
    fn burns(lit: &mut Option<Self>, effect: EffectLabel<'_>) -> bool {
        lit.as_mut().is_some_and(|lit| lit.fuse.burns(effect))
    }
}

impl<P: Protocol + Observe> Replica<P> {
    /// A replica that has never run.
    pub(crate) fn new(id: ReplicaId, config: &SimulationConfig) -> Self {
        Self {
            id,
            incarnation: Incarnation(0),
            process: Process::Gone,
            disk: Disk::new(Stream::new(config.seed, &format!("disk {id}"))),
            clock: ClockShim::default(),
            start_delay: Stream::new(config.seed, &format!("start {id}")),
            armed: None,
            fuse: None,
            has_taken_part: false,
        }
    }

    pub(crate) fn core(&self) -> Option<&P> {
        match &self.process {
            Process::Running(running) => Some(&running.core),
            Process::Gone | Process::Starting => None,
        }
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(crate) fn disk(&mut self) -> &mut Disk<P::Record> {
        &mut self.disk
    }

    pub(crate) fn state(&self) -> ProcessState {
        match &self.process {
            Process::Gone => ProcessState::Gone,
            Process::Running(running) if running.paused => ProcessState::Paused,
            Process::Starting | Process::Running(_) => ProcessState::Running,
        }
    }

    /// Whether the process could send something now.
    pub(crate) fn is_awake(&self) -> bool {
        self.core().is_some() && self.state() == ProcessState::Running
    }

    /// Begins a new process, which will be up after a while.
    pub(crate) fn start(&mut self, around: &mut Around<'_, P::Message>) {
        if !matches!(self.process, Process::Gone) {
            return;
        }
        self.incarnation.0 += 1;
        self.process = Process::Starting;
        let wait = self.start_delay.nanos(around.config.start_delay);
        let run = &mut *around.run;
        run.queue.push(
            run.now.saturating_add(wait),
            Due::Started(self.id.0, self.tag()),
        );
    }

    /// The process is up: it reads its disk and takes its first step.
    pub(crate) fn started(
        &mut self,
        tag: u32,
        factory: &mut dyn FnMut(ReplicaId, Incarnation) -> P,
        around: &mut Around<'_, P::Message>,
    ) {
        if tag != self.tag() || !matches!(self.process, Process::Starting) {
            return;
        }
        let recovered = match self.disk.recover() {
            Ok(recovered) => Recovered {
                format: !self.has_taken_part,
                ..recovered
            },
            Err(place) => {
                self.exit(format!("exit code 1: {place} is corrupt"), around);
                return;
            }
        };
        if let Some(ledger) = around.ledger {
            ledger.durable(self.id, self.disk.durable());
            ledger.started(self.id);
        }
        self.process = Process::Running(Box::new(Running {
            core: factory(self.id, self.incarnation),
            effects: Effects::default(),
            outbox: Outbox::default(),
            lamport: LamportClock::default(),
            met: vec![Incarnation(0); usize::from(around.config.topology.replicas)],
            paused: false,
            inbox: VecDeque::new(),
            waiting_messages: 0,
        }));
        let (replica, incarnation) = (self.id, self.incarnation);
        let node = (NodeId::Replica(replica), incarnation);
        around.run.trace(node, 0, || TraceEvent::Started);
        around.run.observe(Observation::Started {
            replica,
            incarnation,
        });
        self.step(
            Event::Started(recovered),
            Hashed {
                tag: 1,
                ..Hashed::default()
            },
            around,
        );
    }

    /// The process, or the whole machine, stops at once.
    pub(crate) fn crash(&mut self, kind: CrashKind, around: &mut Around<'_, P::Message>) {
        let how = match kind {
            CrashKind::Process => "signal 9 (SIGKILL)",
            CrashKind::PowerLoss => "power loss",
        };
        self.end(how, kind, around);
    }

    fn end(&mut self, how: &str, kind: CrashKind, around: &mut Around<'_, P::Message>) {
        self.disk.crash(around.run.timestamp(), kind);
        if let Some(ledger) = around.ledger {
            ledger.lost(self.id, (self.disk.written(), self.disk.durable()));
        }
        if matches!(self.process, Process::Gone) {
            return;
        }
        self.exit(how.to_owned(), around);
    }

    /// The process is no more.
    fn exit(&mut self, how: String, around: &mut Around<'_, P::Message>) {
        self.process = Process::Gone;
        self.armed = None;
        self.fuse = None;
        let run = &mut *around.run;
        run.hashed(Hashed {
            node: self.id.0,
            tag: 2,
            ..Hashed::default()
        });
        run.observe(Observation::Exited {
            replica: self.id,
            how,
        });
    }

    /// Replaces the fuse.
    pub(crate) fn set_fuse(&mut self, fuse: Option<CrashPoint>) {
        self.fuse = fuse.map(|point| {
            assert!(point.effect > 0, "effects are counted from 1");
            Lit {
                fuse: point.fuse(),
                point,
            }
        });
    }

    /// Stops the process from running.
    pub(crate) fn pause(&mut self) {
        if let Process::Running(running) = &mut self.process {
            running.paused = true;
        }
    }

    /// Lets it run again: first it learns what waited for it, then that its timer is due.
    pub(crate) fn resume(&mut self, around: &mut Around<'_, P::Message>) {
        let Process::Running(running) = &mut self.process else {
            return;
        };
        if !std::mem::take(&mut running.paused) {
            return;
        }
        running.waiting_messages = 0;
        for waiting in std::mem::take(&mut running.inbox) {
            match waiting {
                Waiting::Message(flight) => self.receive(flight, around),
                Waiting::Persisted(record) => self.persisted(record, around),
            }
        }
        self.sync(around);
        self.arm(around.run);
    }

    /// Bends the clock from now on.
    pub(crate) fn bend_clock(&mut self, bend: ClockBend, run: &mut Run) {
        match bend {
            ClockBend::Jump(nanos) => self.clock.jump(run.now, nanos),
            ClockBend::Drift(ppm) => self.clock.drift(run.now, ppm),
        }
        self.armed = None;
        self.arm(run);
    }

    /// Tells the time on its clock, if its process runs.
    pub(crate) fn tell_time(&mut self, run: &mut Run) {
        if self.is_awake() {
            let (at, told) = (run.timestamp(), self.clock.tell(run.now));
            let (replica, told) = (self.id, Timestamp(told.as_nanos()));
            run.observe(Observation::Clock { replica, told, at });
        }
    }

    /// Its timer rings.
    pub(crate) fn timer(&mut self, around: &mut Around<'_, P::Message>) {
        let now = around.run.now;
        if self.armed != Some(now) {
            return;
        }
        self.armed = None;
        let Process::Running(running) = &self.process else {
            return;
        };
        if running.paused {
            return;
        }
        let due = running
            .core
            .next_timeout()
            .and_then(|at| self.clock.when(now, at));
        if due.is_some_and(|due| due <= now) {
            self.step(
                Event::Timeout,
                Hashed {
                    tag: 3,
                    ..Hashed::default()
                },
                around,
            );
        } else {
            self.arm(around.run);
        }
    }

    /// The running sync has ended.
    pub(crate) fn synced(&mut self, tag: u32, around: &mut Around<'_, P::Message>) {
        if tag != self.tag() {
            return;
        }
        let Process::Running(running) = &mut self.process else {
            return;
        };
        let Ok(record) = self.disk.finish_sync(around.run.timestamp()) else {
            // Nothing may be assumed durable after it, nor lost: the cache may have been dropped in part.
            self.disk
                .crash(around.run.timestamp(), CrashKind::PowerLoss);
            if let Some(ledger) = around.ledger {
                ledger.lost(self.id, (self.disk.written(), self.disk.durable()));
            }
            self.exit("exit code 1: sync failed (EIO)".to_owned(), around);
            return;
        };
        around.run.statistics.syncs += 1;
        if let Some(ledger) = around.ledger {
            ledger.durable(self.id, self.disk.durable());
        }
        if running.paused {
            running.inbox.push_back(Waiting::Persisted(record));
        } else {
            self.persisted(record, around);
            self.sync(around);
        }
    }

    /// Something arrives at the process, which may be gone or paused.
    pub(crate) fn receive(
        &mut self,
        flight: InFlight<P::Message>,
        around: &mut Around<'_, P::Message>,
    ) {
        let Process::Running(running) = &mut self.process else {
            around.run.statistics.dropped += 1;
            return;
        };
        if running.paused {
            if running.waiting_messages < around.config.pause_buffer {
                running.waiting_messages += 1;
                running.inbox.push_back(Waiting::Message(flight));
            } else {
                around.run.statistics.dropped += 1;
            }
            return;
        }
        let link = flight.link();
        let InFlight { from, cargo, .. } = flight;
        match cargo {
            Cargo::Probe { id, sent } => around.run.probe_arrived(id, link, sent),
            Cargo::Message(envelope) => self.receive_message(from, envelope, around),
        }
    }

    fn receive_message(
        &mut self,
        from: Address,
        envelope: Envelope<P::Message>,
        around: &mut Around<'_, P::Message>,
    ) {
        let Process::Running(running) = &mut self.process else {
            return;
        };
        if let Address::Replica(peer) = from {
            let met = &mut running.met[usize::from(peer.0)];
            if around.config.fence_incarnations && envelope.incarnation < *met {
                around.run.statistics.dropped += 1;
                return;
            }
            *met = envelope.incarnation.max(*met);
        }
        let Envelope {
            lamport: stamp,
            message,
            ..
        } = envelope;
        let before = running.lamport.now();
        let lamport = running.lamport.receive(stamp);
        let (kind, view, number) = (message.kind(), message.view(), message.number());
        let run = &mut *around.run;
        if let Some(ledger) = around.ledger {
            ledger.received(run.timestamp(), self.id, (stamp, before, lamport));
        }
        run.statistics.delivered += 1;
        let received = || TraceEvent::Received {
            from,
            stamp,
            message: MessageLabel::of(&message),
        };
        run.trace(
            (NodeId::Replica(self.id), self.incarnation),
            lamport,
            received,
        );
        let hashed = Hashed {
            tag: RECEIVED,
            kind,
            view,
            number,
            ..Hashed::default()
        };
        self.step(Event::Received { from, message }, hashed, around);
    }

    fn persisted(&mut self, record: RecordId, around: &mut Around<'_, P::Message>) {
        let Process::Running(running) = &mut self.process else {
            return;
        };
        let released = running.outbox.persisted(record);
        let node = (NodeId::Replica(self.id), self.incarnation);
        let persisted = || TraceEvent::Persisted {
            record: record.get(),
        };
        around.run.trace(node, running.lamport.now(), persisted);
        for (to, message) in released {
            if Lit::burns(&mut self.fuse, EffectLabel::Send(message.kind())) {
                self.burnt(around);
                return;
            }
            send(
                self.id,
                self.incarnation,
                &mut running.lamport,
                (to, message),
                around,
            );
        }
        let hashed = Hashed {
            tag: 5,
            number: Some(record.get()),
            ..Hashed::default()
        };
        self.step(Event::Persisted(record), hashed, around);
    }

    /// One step of the core, and what it wants done.
    fn step(
        &mut self,
        event: Event<P::Message, P::Record>,
        hashed: Hashed<'_>,
        around: &mut Around<'_, P::Message>,
    ) {
        let Process::Running(running) = &mut self.process else {
            return;
        };
        let Running {
            core,
            effects,
            lamport,
            ..
        } = &mut **running;
        if hashed.tag != RECEIVED {
            lamport.tick();
        }
        around.run.statistics.events += 1;
        around.run.hashed(Hashed {
            node: self.id.0,
            lamport: lamport.now(),
            ..hashed
        });
        core.step(self.clock.tell(around.run.now), event, effects);
        match self.carry_out(around) {
            Ok(()) => {}
            Err(Cut::Burnt) => return self.burnt(around),
            Err(Cut::Write(error)) => return self.write_failed(error, around),
        }
        self.examine(around);
        if self
            .core()
            .is_some_and(|core| core.status() == Status::Retired)
        {
            self.end("exit code 0", CrashKind::Process, around);
            return;
        }
        self.sync(around);
        self.arm(around.run);
    }

    /// Carries out what the core wants done, in its order. Says what cuts it short on the way.
    fn carry_out(&mut self, around: &mut Around<'_, P::Message>) -> Result<(), Cut> {
        let Process::Running(running) = &mut self.process else {
            return Ok(());
        };
        let Running {
            effects,
            outbox,
            lamport,
            ..
        } = &mut **running;
        for effect in effects.drain() {
            if Lit::burns(&mut self.fuse, effect.label()) {
                return Err(Cut::Burnt);
            }
            match effect {
                Effect::Persist { id, record } => {
                    around.run.statistics.records += 1;
                    self.disk.write(id, record).map_err(Cut::Write)?;
                }
                Effect::Reclaim { zone, records } => self.disk.reclaim(zone, records),
                Effect::Send { to, message, after } => {
                    if let Some(leaving) = outbox.offer(to, message, after) {
                        send(self.id, self.incarnation, lamport, leaving, around);
                    }
                }
                Effect::Note(event) => {
                    self.has_taken_part |= matches!(
                        event,
                        ProtocolEvent::StatusChanged {
                            status: Status::Normal,
                            ..
                        }
                    );
                    let node = (self.id, self.incarnation);
                    note(node, lamport.now(), &event, around);
                }
            }
        }
        Ok(())
    }

    /// Shows the core's state to the theorems.
    fn examine(&self, around: &mut Around<'_, P::Message>) {
        if let (Some(ledger), Process::Running(running)) = (around.ledger.as_mut(), &self.process) {
            let written = (self.disk.log_written(), self.disk.durable());
            ledger.stepped(around.run.timestamp(), self.id, &running.core, written);
        }
    }

    /// Its disk does not take a write: nothing may be relied on after it.
    fn write_failed(&mut self, error: WriteError, around: &mut Around<'_, P::Message>) {
        self.disk.crash(around.run.timestamp(), CrashKind::Process);
        if let Some(ledger) = around.ledger {
            ledger.lost(self.id, (self.disk.written(), self.disk.durable()));
        }
        let code = match error {
            WriteError::Device => "EIO",
            WriteError::NoSpace => "ENOSPC",
        };
        self.exit(format!("exit code 1: write failed ({code})"), around);
    }

    /// The fuse has burnt down: what was not yet carried out is lost with the process.
    fn burnt(&mut self, around: &mut Around<'_, P::Message>) {
        let Lit { point, .. } = self.fuse.take().expect("it burnt down");
        around.run.observe(Observation::Crashed {
            replica: self.id,
            point,
        });
        let kind = if point.power {
            CrashKind::PowerLoss
        } else {
            CrashKind::Process
        };
        self.crash(kind, around);
    }

    /// Starts a sync if there is need of one and none runs.
    fn sync(&mut self, around: &mut Around<'_, P::Message>) {
        if !self.is_awake() {
            return;
        }
        let run = &mut *around.run;
        if let Some(wait) = self
            .disk
            .start_sync(run.timestamp(), around.config.sync_latency)
        {
            run.queue.push(
                run.now.saturating_add(wait),
                Due::Synced(self.id.0, self.tag()),
            );
        }
    }

    /// Sees to it that the timer rings no later than the core wants. A later one that is already due rings
    /// first and is then set anew: timeouts that are forever put off cost nothing.
    fn arm(&mut self, run: &mut Run) {
        let Process::Running(running) = &self.process else {
            return;
        };
        let wanted = running
            .core
            .next_timeout()
            .and_then(|at| self.clock.when(run.now, at));
        if let Some(at) = wanted
            && self.armed.is_none_or(|armed| at < armed)
        {
            // Never at this very instant: a core that asks for the past must not stop time.
            let at = at.max(run.now + 1);
            self.armed = Some(at);
            run.queue.push(at, Due::ReplicaTimer(self.id.0));
        }
    }

    /// Makes another incarnation's events recognisable.
    fn tag(&self) -> u32 {
        u32::try_from(self.incarnation.0 & u64::from(u32::MAX)).expect("masked to it")
    }
}

/// Stamps a message and hands it to the network.
fn send<M: Message>(
    from: ReplicaId,
    incarnation: Incarnation,
    clock: &mut LamportClock,
    (to, message): (Address, M),
    around: &mut Around<'_, M>,
) {
    let lamport = clock.tick();
    around.run.statistics.messages += 1;
    let sent = || TraceEvent::Sent {
        to,
        message: MessageLabel::of(&message),
    };
    around
        .run
        .trace((NodeId::Replica(from), incarnation), lamport, sent);
    let cargo = Cargo::Message(Envelope {
        lamport,
        incarnation,
        message,
    });
    let flight = InFlight {
        from: Address::Replica(from),
        to,
        cargo,
    };
    around.medium.send(flight, around.run);
}

/// Passes on what a core says.
fn note<M>(
    (replica, incarnation): (ReplicaId, Incarnation),
    lamport: u64,
    event: &ProtocolEvent,
    around: &mut Around<'_, M>,
) {
    let run = &mut *around.run;
    let noted = || TraceEvent::Noted {
        note: event.clone(),
    };
    run.trace((NodeId::Replica(replica), incarnation), lamport, noted);
    match *event {
        ProtocolEvent::StatusChanged {
            status,
            view,
            primary,
        } => {
            run.observe(Observation::Role {
                replica,
                status,
                view,
                primary,
            });
        }
        ProtocolEvent::Executed { digest, .. } => run.hash.mix(digest),
        _ => {}
    }
    if let Some(ledger) = around.ledger {
        ledger.noted(run.timestamp(), replica, event);
    }
}
