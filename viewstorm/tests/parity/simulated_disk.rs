//! The simulated disk, under a core that writes what it is told.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use viewstorm_history::{Seed, Timestamp};
use viewstorm_nemesis::{Action, Observation, Topology};
use viewstorm_protocol::{
    Client, ClientEffects, ClientId, Effects, Event, Instant, Message, Observe, Protocol, RecordId,
    ReplicaId, Status, ViewNumber,
};
use viewstorm_simulator::{CrashKind, Occurrence, RecordPlace, Simulation, SimulationConfig};

use crate::script::{DiskUser, End, Found, Written};

const ME: ReplicaId = ReplicaId(0);
/// How long things take at most in a world in which nothing is wrong.
const PATIENCE: u64 = 1_000_000_000;
/// How closely it is looked at.
const STEP: u64 = 20_000;

/// Writes records, in the order in which they stand here.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Write(Vec<Written>);

impl Message for Write {
    fn kind(&self) -> &'static str {
        "Write"
    }

    fn view(&self) -> Option<ViewNumber> {
        None
    }

    fn number(&self) -> Option<u64> {
        None
    }
}

/// A core that writes what it is told and notes what is durable.
#[derive(Debug, Default)]
struct Scribe {
    found: Found,
    issued: Vec<RecordId>,
    durable: usize,
}

impl Protocol for Scribe {
    type Message = Write;
    type Record = Written;

    fn step(
        &mut self,
        _: Instant,
        event: Event<Write, Written>,
        effects: &mut Effects<Write, Written>,
    ) {
        match event {
            Event::Started(recovered) => {
                self.found = Found {
                    superblock: recovered.superblock,
                    log: recovered.log,
                };
            }
            Event::Received { message, .. } => {
                let issued = message.0.into_iter().map(|record| effects.persist(record));
                self.issued.extend(issued);
            }
            Event::Persisted(last) => {
                self.durable = self.issued.iter().filter(|id| **id <= last).count();
            }
            Event::Timeout => {}
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

/// Nothing that any theorem is about.
impl Observe for Scribe {
    fn status(&self) -> Status {
        Status::Normal
    }

    fn view(&self) -> ViewNumber {
        ViewNumber::default()
    }

    fn log_view(&self) -> ViewNumber {
        ViewNumber::default()
    }

    fn is_primary(&self) -> bool {
        false
    }

    fn op_number(&self) -> u64 {
        0
    }

    fn commit_number(&self) -> u64 {
        0
    }

    fn entry_digest(&self, _: u64) -> Option<u64> {
        None
    }

    fn latest_request(&self, _: ClientId) -> Option<u64> {
        None
    }

    fn commits_from_disk(&self) -> bool {
        false
    }
}

/// Whoever tells the scribe, and expects no answer.
#[derive(Debug)]
struct Dictation;

impl Client for Dictation {
    type Message = Write;

    fn invoke(&mut self, _: Instant, operation: Bytes, effects: &mut ClientEffects<Write>) {
        let records = serde_json::from_slice(&operation).expect("records");
        effects.sends.push((ME, Write(records)));
    }

    fn receive(&mut self, _: Instant, _: ReplicaId, _: Write, _: &mut ClientEffects<Write>) {}

    fn timeout(&mut self, _: Instant, _: &mut ClientEffects<Write>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

pub(crate) struct SimulatedDisk {
    simulation: Simulation<Scribe, Dictation>,
    sessions: u64,
    /// As they are found.
    log: Vec<Written>,
    is_fresh: bool,
}

impl SimulatedDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let topology = Topology {
            replicas: 1,
            clients: 1,
        };
        let config = SimulationConfig {
            invariants: false,
            ..SimulationConfig::new(Seed(seed), topology)
        };
        let scribe = |_, _| Scribe::default();
        Self {
            simulation: Simulation::new(config, scribe, |_| Dictation),
            sessions: 0,
            log: Vec::new(),
            is_fresh: true,
        }
    }

    /// Lets time pass until `is_so`, and hands out how the process ended, if it did.
    fn run(&mut self, is_so: impl Fn(&Scribe) -> bool) -> Option<String> {
        let end = self.simulation.now().0 + PATIENCE;
        while self.simulation.now().0 < end {
            if self.simulation.core(ME).is_some_and(&is_so) {
                return None;
            }
            let until = Timestamp(self.simulation.now().0 + STEP);
            while let Some(occurrence) = self.simulation.next(until) {
                if let Occurrence::Observed(Observation::Exited { how, .. }) = occurrence {
                    return Some(how);
                }
            }
        }
        panic!("nothing happens within a simulated second");
    }

    /// What was seen until now is no news.
    fn forget(&mut self) {
        let now = self.simulation.now();
        while self.simulation.next(now).is_some() {}
    }
}

impl DiskUser for SimulatedDisk {
    fn start(&mut self) -> Result<Found, String> {
        // The world starts its replicas itself, the first time.
        if !std::mem::take(&mut self.is_fresh) {
            self.simulation.crash(ME, CrashKind::Process);
            self.forget();
            self.simulation.enact(&Action::Start(ME));
        }
        if let Some(how) = self.run(|_| true) {
            return Err(how);
        }
        let found = self.simulation.core(ME).expect("it runs").found.clone();
        self.log.clone_from(&found.log);
        Ok(found)
    }

    fn write(&mut self, records: &[Written], end: End) -> usize {
        self.sessions += 1;
        let client = ClientId {
            endpoint: 0,
            session: self.sessions,
        };
        let operation = serde_json::to_vec(records).expect("plain types serialise");
        self.simulation.invoke(client, operation.into());
        let (all, is_any) = (records.len(), records.is_empty());
        let ended = match end {
            End::Settled => self.run(|scribe| scribe.durable == all),
            End::Killed => self.run(|scribe| scribe.durable > 0 || is_any),
            End::PowerLoss => self.run(|scribe| scribe.issued.len() == all),
        };
        assert_eq!(ended, None);
        let reported = self.simulation.core(ME).expect("it runs").durable;
        let kind = match end {
            End::PowerLoss => CrashKind::PowerLoss,
            End::Settled | End::Killed => CrashKind::Process,
        };
        self.simulation.crash(ME, kind);
        self.forget();
        reported
    }

    fn damage(&mut self, record: &Written) {
        let place = match record {
            Written::View(_) => RecordPlace::Superblock,
            Written::Entry(_) => {
                let index = self.log.iter().position(|known| known == record);
                RecordPlace::Log(index.expect("it is in the log"))
            }
        };
        assert!(self.simulation.corrupt_record(ME, place));
    }
}
