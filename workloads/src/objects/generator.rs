//! The generators of operations on objects.

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use viewstorm_history::{Kind, Seed};

use super::operation::{Answer, Operation};
use super::service::FIRST_BALANCE;
use crate::{Invocation, Outcome, UnreadableResult, Workload};

/// How many values a set or list gets before a fresh one takes its place: a read shows all of them.
const VALUES_EACH: u64 = 64;
/// The most that one transfer moves, or that a counter is raised by.
const MAX_AMOUNT: u64 = 5;

/// What the clients work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// `add` and `read` of sets that grow.
    Set,
    /// `add` and `read` of sums.
    Counter,
    /// `enqueue` and `dequeue`.
    Queue,
    /// `append` and `read` of lists that grow.
    List,
    /// `acquire` and `release` of locks.
    Mutex,
    /// `transfer` between accounts and `read` of all balances.
    Bank,
    /// `txn` of reads and writes of several registers.
    MultiRegister,
    /// `txn` of reads of lists and appends to them.
    ListAppend,
}

/// What the generator draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectOptions {
    /// What the clients work on.
    pub kind: ObjectKind,
    /// How many objects of it.
    pub keys: u32,
    /// How often something is read (or taken, or released), relative to `write`; one of them is not 0.
    pub read: u32,
    /// How often something is changed.
    pub write: u32,
}

/// The generator of operations on objects.
#[derive(Debug)]
pub struct Objects {
    options: ObjectOptions,
    random: ChaCha8Rng,
    /// The latest value: values are 1, 2, 3, ... over all objects.
    last_value: u64,
}

type Steps = Vec<(u32, Option<u64>)>;

impl Objects {
    /// A generator over `options`, with its own random stream.
    pub fn new(options: ObjectOptions, seed: Seed) -> Self {
        assert!(options.keys > 0, "there is at least one object");
        assert!(
            options.read > 0 || options.write > 0,
            "some operation has a weight"
        );
        let random = ChaCha8Rng::seed_from_u64(seed.stream("workload/objects").0);
        Self {
            options,
            random,
            last_value: 0,
        }
    }

    fn fresh(&mut self) -> u64 {
        self.last_value += 1;
        self.last_value
    }

    fn draws_read(&mut self) -> bool {
        let ObjectOptions { read, write, .. } = self.options;
        self.random
            .random_range(0..u64::from(read) + u64::from(write))
            < u64::from(read)
    }

    /// One of the objects that are in use. Those that grow are exchanged from time to time, all at once.
    fn object(&mut self) -> u32 {
        let ObjectOptions { keys, kind, .. } = self.options;
        let one = self.random.random_range(0..keys);
        match kind {
            ObjectKind::Set | ObjectKind::List | ObjectKind::ListAppend => {
                let round = self.last_value / (VALUES_EACH * u64::from(keys));
                one.saturating_add(u32::try_from(round).unwrap_or(0).saturating_mul(keys))
            }
            _ => one,
        }
    }

    fn steps(&mut self) -> Steps {
        let count = self.random.random_range(1..=3);
        (0..count)
            .map(|_| {
                let object = self.object();
                let write = if self.draws_read() {
                    None
                } else {
                    Some(self.fresh())
                };
                (object, write)
            })
            .collect()
    }

    fn transfer(&mut self) -> Invocation {
        let keys = self.options.keys.max(2);
        let from = self.random.random_range(0..keys);
        let to = (from + self.random.random_range(1..keys)) % keys;
        let amount = self.random.random_range(1..=MAX_AMOUNT);
        let value = json!({ "from": from, "to": to, "amount": amount });
        invocation(
            "transfer",
            None,
            value,
            Operation::Transfer { from, to, amount }.encode(),
        )
    }

    fn balances(&self) -> Invocation {
        let accounts = self.options.keys.max(2);
        invocation(
            "read",
            None,
            Value::Null,
            Operation::Balances { accounts }.encode(),
        )
    }

    fn keyed(&mut self, reads: bool) -> Invocation {
        let object = self.object();
        if reads {
            return self.read_of(object);
        }
        let name = format!("k{object}");
        let key = name.as_bytes();
        let (f, value, operation) = match self.options.kind {
            ObjectKind::Counter => {
                let amount = self.random.random_range(1..=MAX_AMOUNT);
                ("add", json!(amount), Operation::Count { key, amount })
            }
            ObjectKind::Mutex => ("acquire", Value::Null, Operation::Acquire { key }),
            kind => {
                let value = self.fresh();
                let (f, operation) = match kind {
                    ObjectKind::Set => ("add", Operation::Add { key, value }),
                    ObjectKind::Queue => ("enqueue", Operation::Append { key, value }),
                    _ => ("append", Operation::Append { key, value }),
                };
                (f, json!(value), operation)
            }
        };
        let operation = operation.encode();
        invocation(f, Some(name), value, operation)
    }

    fn read_of(&self, object: u32) -> Invocation {
        let name = format!("k{object}");
        let key = name.as_bytes();
        let (f, operation) = match self.options.kind {
            ObjectKind::Counter => ("read", Operation::Count { key, amount: 0 }),
            ObjectKind::Queue => ("dequeue", Operation::Dequeue { key }),
            ObjectKind::Mutex => ("release", Operation::Release { key }),
            _ => ("read", Operation::Values { key }),
        };
        let operation = operation.encode();
        invocation(f, Some(name), Value::Null, operation)
    }

    fn transaction(&self, steps: Steps) -> Invocation {
        let value = self.told(&steps, None);
        let operation = match self.options.kind {
            ObjectKind::ListAppend => Operation::Lists { steps },
            _ => Operation::Registers { steps },
        };
        invocation("txn", None, value, operation.encode())
    }

    /// A transaction as the history tells it, with what its reads saw where that is known.
    fn told(&self, steps: &Steps, seen: Option<&[Vec<u64>]>) -> Value {
        let is_lists = self.options.kind == ObjectKind::ListAppend;
        let one = |(number, (object, write)): (usize, &(u32, Option<u64>))| {
            let name = format!("k{object}");
            let saw = seen.and_then(|seen| seen.get(number));
            match (write, saw) {
                (Some(value), _) => json!([if is_lists { "append" } else { "w" }, name, value]),
                (None, Some(saw)) if is_lists => json!(["r", name, saw]),
                (None, Some(saw)) => json!(["r", name, saw.first()]),
                (None, None) => json!(["r", name, null]),
            }
        };
        Value::Array(steps.iter().enumerate().map(one).collect())
    }
}

fn invocation(f: &'static str, key: Option<String>, value: Value, operation: Bytes) -> Invocation {
    Invocation {
        f,
        key,
        value,
        operation,
    }
}

/// The steps of a transaction, from the bytes that were sent.
fn steps_of(invocation: &Invocation) -> Option<Steps> {
    match postcard::from_bytes(invocation.operation.get(1..)?).ok()? {
        Operation::Registers { steps } | Operation::Lists { steps } => Some(steps),
        _ => None,
    }
}

impl Workload for Objects {
    fn model(&self) -> &'static str {
        match self.options.kind {
            ObjectKind::Set => "set",
            ObjectKind::Counter => "counter",
            ObjectKind::Queue => "queue",
            ObjectKind::List => "list",
            ObjectKind::Mutex => "mutex",
            ObjectKind::Bank => "bank",
            ObjectKind::MultiRegister => "multi-register",
            ObjectKind::ListAppend => "list-append",
        }
    }

    fn initial(&self) -> Option<Value> {
        let accounts = 0..self.options.keys.max(2);
        let balances: Map<String, Value> = accounts
            .map(|account| (account.to_string(), json!(FIRST_BALANCE)))
            .collect();
        (self.options.kind == ObjectKind::Bank).then_some(Value::Object(balances))
    }

    fn next(&mut self) -> Invocation {
        match self.options.kind {
            ObjectKind::MultiRegister | ObjectKind::ListAppend => {
                let steps = self.steps();
                self.transaction(steps)
            }
            ObjectKind::Bank => match self.draws_read() {
                true => self.balances(),
                false => self.transfer(),
            },
            _ => {
                let reads = self.draws_read();
                self.keyed(reads)
            }
        }
    }

    fn complete(
        &mut self,
        invocation: &Invocation,
        result: &[u8],
    ) -> Result<Outcome, UnreadableResult> {
        let unreadable = || UnreadableResult {
            f: invocation.f,
            key: invocation.key.clone(),
            result: result.to_vec(),
        };
        let ok = |value: Value| Outcome {
            kind: Kind::Ok,
            value,
            observed: None,
        };
        let answer = postcard::from_bytes(result).map_err(|_| unreadable())?;
        Ok(match (invocation.f, answer) {
            (f, Answer::Done) if !matches!(f, "read" | "dequeue" | "txn") => {
                ok(invocation.value.clone())
            }
            (f, Answer::Refused) if f != "read" => Outcome {
                kind: Kind::Fail,
                value: invocation.value.clone(),
                observed: None,
            },
            ("read" | "dequeue", Answer::Value(value)) => ok(json!(value)),
            ("read", Answer::Values(values)) if self.options.kind == ObjectKind::Bank => {
                let named = values.iter().enumerate();
                ok(Value::Object(
                    named
                        .map(|(name, held)| (name.to_string(), json!(held)))
                        .collect(),
                ))
            }
            ("read", Answer::Values(values)) => ok(json!(values)),
            ("txn", Answer::Steps(seen)) => {
                let steps = steps_of(invocation).ok_or_else(unreadable)?;
                if steps.len() != seen.len() {
                    return Err(unreadable());
                }
                ok(self.told(&steps, Some(&seen)))
            }
            _ => return Err(unreadable()),
        })
    }

    fn final_reads(&self) -> Vec<Invocation> {
        let ObjectOptions { kind, keys, .. } = self.options;
        let round = self.last_value / (VALUES_EACH * u64::from(keys));
        let first = match kind {
            ObjectKind::Set | ObjectKind::List | ObjectKind::ListAppend => {
                u32::try_from(round).unwrap_or(0).saturating_mul(keys)
            }
            _ => 0,
        };
        let objects = first..first.saturating_add(keys);
        match kind {
            ObjectKind::Bank => vec![self.balances()],
            // To take what is there is no read.
            ObjectKind::Queue | ObjectKind::Mutex => Vec::new(),
            ObjectKind::MultiRegister | ObjectKind::ListAppend => objects
                .map(|object| self.transaction(vec![(object, None)]))
                .collect(),
            _ => objects.map(|object| self.read_of(object)).collect(),
        }
    }
}
