//! The load: which operations, how many at a time, and from where.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use viewstorm_history::Seed;

use super::choice::choice;
use super::error::PlanError;
use super::section::{Field, Section};
use super::{duration, keys};

/// Limits that keep a slip of the finger from becoming a run of days.
const MAX_CLIENTS: u32 = 100_000;
const MAX_ENDPOINTS: u16 = 64;
const MAX_KEYS: u32 = 10_000_000;
/// With its key and value an operation must fit the protocol's limit, 16 KiB.
const MAX_PAYLOAD: u32 = 16_000;
const MAX_WEIGHT: u32 = 1_000_000;
const MAX_RATE: f64 = 10_000_000.0;

/// The load.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Workload {
    /// Which operations. Default: register.
    pub kind: WorkloadKind,
    /// How many sessions, each with one operation at a time. Default: 12.
    pub clients: u32,
    /// How many client nodes the sessions share, each with links of its own. Default: 3.
    pub endpoints: u16,
    /// When operations start. Default: `rate = 500`.
    #[serde(flatten)]
    pub arrival: Arrival,
    /// How many keys the operations are spread over. Default: 5.
    pub keys: u32,
    /// Bytes that a write carries besides its value. Default: 0.
    pub payload: u32,
    /// After this long without an answer an operation ends as info: nobody knows. Default: 1s.
    #[serde(serialize_with = "duration::serialize")]
    pub timeout: Duration,
    /// Open loop: an operation that finds no free session for this long is not started, and counted.
    /// Default: 1s.
    #[serde(serialize_with = "duration::serialize")]
    pub start_timeout: Duration,
    /// How often each operation is drawn.
    pub mix: Mix,
    /// When the clients fall silent. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pauses: Option<Pauses>,
}

choice! {
    /// A family of operations, with a model of the checker's for it.
    pub enum WorkloadKind {
        /// Read, write and compare-and-set of single keys.
        Register = "register",
        /// `txn`: reads and writes of several registers at once.
        MultiRegister = "multi-register",
        /// `add` and `read` of sets that grow.
        Set = "set",
        /// `add` and `read` of sums.
        Counter = "counter",
        /// `enqueue` and `dequeue`, first in, first out.
        Queue = "queue",
        /// `append` and `read` of lists that grow.
        List = "list",
        /// `acquire` and `release` of locks.
        Mutex = "mutex",
        /// `transfer` between accounts, as many as there are keys and two at least, and `read` of all balances.
        Bank = "bank",
        /// `txn`: reads of lists and appends to them at once.
        ListAppend = "list-append",
    }
}

/// When operations start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// At this rate, whether or not earlier ones have ended: `rate = 1500`.
    Open {
        /// Operations per second, over all sessions.
        rate: f64,
    },
    /// Each session starts its next when its last has ended: `closed-loop = true`.
    Closed,
}

/// How often each operation is drawn, relative to the others. Default: 2 reads, 1 write, 1 cas; an operation
/// left out of a mix is not drawn. Beside registers, `read` stands for what reads, dequeues or releases, and
/// `write` and `cas` together for what adds, appends, enqueues, acquires or transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mix {
    /// Reads.
    pub read: u32,
    /// Writes.
    pub write: u32,
    /// Compare-and-sets.
    pub cas: u32,
}

/// Clients that fall silent: what only the next operation would repair stays broken meanwhile. Open loop alone. Such
/// a run has no load after its faults either.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pauses {
    /// The share of seeds in which they do. Default: 1.
    pub chance: f64,
    /// Operations come for at most this long; each time is drawn.
    #[serde(serialize_with = "duration::serialize")]
    pub burst: Duration,
    /// Then none comes for at most this long; each time is drawn.
    #[serde(serialize_with = "duration::serialize")]
    pub pause: Duration,
}

impl Serialize for Arrival {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Open { rate } => map.serialize_entry("rate", rate)?,
            Self::Closed => map.serialize_entry("closed-loop", &true)?,
        }
        map.end()
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            read: 2,
            write: 1,
            cas: 1,
        }
    }
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            kind: WorkloadKind::Register,
            clients: 12,
            endpoints: 3,
            arrival: Arrival::Open { rate: 500.0 },
            keys: 5,
            payload: 0,
            timeout: Duration::from_secs(1),
            start_timeout: Duration::from_secs(1),
            mix: Mix::default(),
            pauses: None,
        }
    }
}

impl Workload {
    /// Reads `[workload]`. The second is the number of endpoints if it is known: it was not refused.
    pub(super) fn read(plan: &mut Section<'_, '_>) -> (Self, Option<u16>) {
        const LEAST: Duration = Duration::from_millis(1);
        let default = Self::default();
        let mut section = plan.section("workload", keys::WORKLOAD);
        let kind = section.choice("kind").or(default.kind);
        let clients = section.integer("clients", 1..=MAX_CLIENTS);
        let endpoints = section.integer("endpoints", 1..=MAX_ENDPOINTS);
        let endpoints = settle_endpoints(&section, &clients, endpoints);
        let workload = Self {
            kind,
            clients: clients.or(default.clients),
            endpoints: endpoints.unwrap_or(default.endpoints),
            arrival: Arrival::read(&mut section),
            keys: section.integer("keys", 1..=MAX_KEYS).or(default.keys),
            payload: section
                .integer("payload", 0..=MAX_PAYLOAD)
                .or(default.payload),
            timeout: section.duration("timeout", LEAST).or(default.timeout),
            start_timeout: section
                .duration("start-timeout", LEAST)
                .or(default.start_timeout),
            mix: Mix::read(&mut section),
            pauses: Pauses::read(&mut section),
        };
        section.finish();
        (workload, endpoints)
    }
}

/// Every endpoint has a session: fewer sessions than the default endpoints make fewer endpoints, but a plan
/// that asks for both is taken by its word.
fn settle_endpoints(
    section: &Section<'_, '_>,
    clients: &Field<u32>,
    endpoints: Field<u16>,
) -> Option<u16> {
    let default = Workload::default();
    let (sessions, sessions_span) = clients.clone().known(default.clients)?;
    let (endpoints, span) = endpoints.known(default.endpoints)?;
    let most = u16::try_from(sessions).unwrap_or(u16::MAX);
    match span {
        Some(span) if endpoints > most => {
            let title = format!("{sessions} clients cannot fill {endpoints} endpoints");
            let error = PlanError::at(&span, title, format!("expected at most {sessions}"));
            section.note(error.and(
                sessions_span.as_ref(),
                "the sessions to be spread over them",
            ));
            None
        }
        _ => Some(endpoints.min(most)),
    }
}

impl Arrival {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let expected = "a number of operations per second, more than 0";
        let rate = section.number("rate", expected, |rate| rate > 0.0 && rate <= MAX_RATE);
        let closed = section.flag("closed-loop");
        match (&rate, &closed) {
            (Field::Here(_, rate_span), Field::Here(true, span)) => {
                let title = "a load is either open loop or closed loop";
                let error = PlanError::at(span, title, "here it is closed loop");
                section.note(error.and(Some(rate_span), "and here open loop, at a rate"));
            }
            (Field::Absent, Field::Here(false, span)) => {
                let title = "an open loop needs its rate";
                let label = "this asks for an open loop";
                let help = "for example `rate = 500`, in operations per second";
                section.note(PlanError::at(span, title, label).help(help).missing());
            }
            _ => {}
        }
        match (rate, closed) {
            (_, Field::Here(true, _)) => Self::Closed,
            (Field::Here(rate, _), _) => Self::Open { rate },
            _ => Workload::default().arrival,
        }
    }
}

impl Pauses {
    fn read(workload: &mut Section<'_, '_>) -> Option<Self> {
        const LEAST: Duration = Duration::from_millis(1);
        if !workload.has("pauses") {
            return None;
        }
        let mut section = workload.section("pauses", keys::PAUSES);
        let chance = section.number("chance", "a share from 0 to 1", |share| {
            (0.0..=1.0).contains(&share)
        });
        let (burst, pause) = (
            section.duration("burst", LEAST),
            section.duration("pause", LEAST),
        );
        for (key, field) in [("burst", &burst), ("pause", &pause)] {
            if field.is_absent() {
                let title = format!("`{}` is missing", section.full(key));
                let label = "clients that fall silent need the longest of both";
                let help = "for example `pauses = { burst = \"300ms\", pause = \"3s\" }`";
                section.note(
                    PlanError::at(section.span(), title, label)
                        .help(help)
                        .missing(),
                );
            }
        }
        section.finish();
        Some(Self {
            chance: chance.or(1.0),
            burst: burst.value()?,
            pause: pause.value()?,
        })
    }

    /// Whether the clients of this seed fall silent at times.
    pub(super) fn are_drawn(&self, seed: Seed) -> bool {
        let mut random = ChaCha8Rng::seed_from_u64(seed.stream("pauses").0);
        random.random::<f64>() < self.chance
    }
}

impl Mix {
    fn read(workload: &mut Section<'_, '_>) -> Self {
        let is_absent = !workload.has("mix");
        let mut section = workload.section("mix", keys::MIX);
        let mut weight = |key| section.integer(key, 0..=MAX_WEIGHT);
        let weights = [weight("read"), weight("write"), weight("cas")];
        let is_all_zero = weights
            .iter()
            .all(|weight| matches!(weight, Field::Absent | Field::Here(0, _)));
        if is_absent {
            return Self::default();
        }
        if is_all_zero {
            let title = "a mix in which nothing has a weight draws nothing";
            let label = "expected at least one weight above 0";
            let help = "for example `mix = { read = 2, write = 1, cas = 1 }`";
            section.note(PlanError::at(section.span(), title, label).help(help));
        }
        section.finish();
        let [read, write, cas] = weights.map(|weight| weight.or(0));
        Self { read, write, cas }
    }
}
