//! Registers: read, write and compare-and-set over several keys, every written value unique.
//!
//! Unique values make each read name its writer, which is what lets the checker decide a history exactly. A
//! failed compare-and-set returns the value it saw, so that it can be judged as a read.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use viewstorm_history::{Kind, Seed};
use viewstorm_protocol::{Service, State};

use crate::{Invocation, Outcome, UnreadableResult, Workload, objects};

/// An operation as the service reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Operation<'a> {
    Read {
        key: &'a [u8],
    },
    Write {
        key: &'a [u8],
        value: u64,
        padding: &'a [u8],
    },
    Cas {
        key: &'a [u8],
        expected: Option<u64>,
        new: u64,
    },
    /// A read that is told all that was ever acknowledged, wherever other reads are answered.
    FinalRead {
        key: &'a [u8],
    },
}

/// The service's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    /// A read's value.
    Value(Option<u64>),
    /// The write or compare-and-set happened.
    Done,
    /// The compare-and-set saw another value than it expected.
    Mismatch { observed: Option<u64> },
    /// The bytes were no operation.
    Unreadable,
}

/// The replicated registers, and the [objects](crate::Objects) beside them: what operations are executed depends on
/// the clients alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegisterService;

impl Service for RegisterService {
    fn execute(&self, state: &mut State, operation: &[u8]) -> Bytes {
        if let Some(answer) = objects::execute(state, operation) {
            return answer;
        }
        let answer = match postcard::from_bytes(operation) {
            Ok(operation) => apply(state, &operation),
            Err(_) => Answer::Unreadable,
        };
        encode(&answer)
    }

    fn is_read(&self, operation: &[u8]) -> bool {
        matches!(postcard::from_bytes(operation), Ok(Operation::Read { .. }))
    }
}

fn apply(state: &mut State, operation: &Operation<'_>) -> Answer {
    let current = |state: &State, key: &[u8]| {
        let bytes: [u8; 8] = state.get(key)?.as_ref().try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    let put = |state: &mut State, key: &[u8], value: u64| {
        state.put(
            Bytes::copy_from_slice(key),
            Bytes::copy_from_slice(&value.to_le_bytes()),
        );
        Answer::Done
    };
    match *operation {
        Operation::Read { key } | Operation::FinalRead { key } => {
            Answer::Value(current(state, key))
        }
        Operation::Write { key, value, .. } => put(state, key, value),
        Operation::Cas { key, expected, new } => match current(state, key) {
            observed if observed == expected => put(state, key, new),
            observed => Answer::Mismatch { observed },
        },
    }
}

fn encode(value: &impl Serialize) -> Bytes {
    postcard::to_allocvec(value)
        .expect("these types have no failing serialisation")
        .into()
}

/// How often each operation is drawn, relative to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterMix {
    /// Reads.
    pub read: u32,
    /// Writes.
    pub write: u32,
    /// Compare-and-sets.
    pub cas: u32,
}

/// What the generator draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterOptions {
    /// How many keys, `k0` and so on.
    pub keys: u32,
    /// The mix of operations; at least one weight is not zero.
    pub mix: RegisterMix,
    /// Bytes that a write carries besides its value.
    pub padding: usize,
}

/// The generator of register operations.
#[derive(Debug)]
pub struct Register {
    options: RegisterOptions,
    random: ChaCha8Rng,
    /// The latest value written: values are 1, 2, 3, ... over all keys.
    last_value: u64,
    /// What each key was last seen to hold: a compare-and-set expects that, so that some succeed.
    seen: BTreeMap<String, Option<u64>>,
    padding: Vec<u8>,
}

impl Register {
    /// A generator over `options`, with its own random stream.
    pub fn new(options: RegisterOptions, seed: Seed) -> Self {
        assert!(options.keys > 0, "a register workload has at least one key");
        let weights = [options.mix.read, options.mix.write, options.mix.cas];
        assert!(
            weights.iter().any(|weight| *weight > 0),
            "some operation has a weight"
        );
        Self {
            options,
            random: ChaCha8Rng::seed_from_u64(seed.stream("workload/register").0),
            last_value: 0,
            seen: BTreeMap::new(),
            padding: vec![0; options.padding],
        }
    }

    fn fresh_value(&mut self) -> u64 {
        self.last_value += 1;
        self.last_value
    }
}

impl Workload for Register {
    fn model(&self) -> &'static str {
        "register"
    }

    fn next(&mut self) -> Invocation {
        let key = format!("k{}", self.random.random_range(0..self.options.keys));
        let RegisterMix { read, write, cas } = self.options.mix;
        let draw = self
            .random
            .random_range(0..u64::from(read) + u64::from(write) + u64::from(cas));
        if draw < u64::from(read) {
            return read_of(key);
        }
        let new = self.fresh_value();
        if draw < u64::from(read) + u64::from(write) {
            let operation = Operation::Write {
                key: key.as_bytes(),
                value: new,
                padding: &self.padding,
            };
            let operation = encode(&operation);
            return Invocation {
                f: "write",
                value: json!(new),
                operation,
                key: Some(key),
            };
        }
        let expected = self.seen.get(&key).copied().flatten();
        let operation = encode(&Operation::Cas {
            key: key.as_bytes(),
            expected,
            new,
        });
        Invocation {
            f: "cas",
            value: json!([expected, new]),
            operation,
            key: Some(key),
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
        let answer: Answer = postcard::from_bytes(result).map_err(|_| unreadable())?;
        let written = || match &invocation.value {
            Value::Array(pair) => pair.get(1).and_then(Value::as_u64),
            value => value.as_u64(),
        };
        let (outcome, now) = match (invocation.f, answer) {
            ("read", Answer::Value(value)) => (
                Outcome {
                    kind: Kind::Ok,
                    value: json!(value),
                    observed: None,
                },
                value,
            ),
            ("write" | "cas", Answer::Done) => {
                let value = invocation.value.clone();
                (
                    Outcome {
                        kind: Kind::Ok,
                        value,
                        observed: None,
                    },
                    written(),
                )
            }
            ("cas", Answer::Mismatch { observed }) => {
                let value = invocation.value.clone();
                let outcome = Outcome {
                    kind: Kind::Fail,
                    value,
                    observed: Some(json!(observed)),
                };
                (outcome, observed)
            }
            _ => return Err(unreadable()),
        };
        if let Some(key) = &invocation.key {
            self.seen.insert(key.clone(), now);
        }
        Ok(outcome)
    }

    fn final_reads(&self) -> Vec<Invocation> {
        (0..self.options.keys)
            .map(|key| {
                let key = format!("k{key}");
                let operation = encode(&Operation::FinalRead {
                    key: key.as_bytes(),
                });
                Invocation {
                    operation,
                    ..read_of(key)
                }
            })
            .collect()
    }
}

fn read_of(key: String) -> Invocation {
    let operation = encode(&Operation::Read {
        key: key.as_bytes(),
    });
    Invocation {
        f: "read",
        value: Value::Null,
        operation,
        key: Some(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: RegisterOptions = RegisterOptions {
        keys: 3,
        mix: RegisterMix {
            read: 2,
            write: 1,
            cas: 1,
        },
        padding: 0,
    };

    fn run(generator: &mut Register, state: &mut State) -> (Invocation, Outcome) {
        let invocation = generator.next();
        let result = RegisterService.execute(state, &invocation.operation);
        let outcome = generator.complete(&invocation, &result).unwrap();
        (invocation, outcome)
    }

    #[test]
    fn the_service_does_what_registers_do() {
        let mut state = State::default();
        let mut execute = |operation| {
            let result = RegisterService.execute(&mut state, &encode(&operation));
            postcard::from_bytes::<Answer>(&result).unwrap()
        };
        let key: &[u8] = b"k";
        assert_eq!(execute(Operation::Read { key }), Answer::Value(None));
        assert_eq!(
            execute(Operation::Cas {
                key,
                expected: None,
                new: 1
            }),
            Answer::Done
        );
        assert_eq!(
            execute(Operation::Cas {
                key,
                expected: None,
                new: 2
            }),
            Answer::Mismatch { observed: Some(1) }
        );
        assert_eq!(
            execute(Operation::Write {
                key,
                value: 3,
                padding: b"xx"
            }),
            Answer::Done
        );
        assert_eq!(
            execute(Operation::Cas {
                key,
                expected: Some(3),
                new: 4
            }),
            Answer::Done
        );
        assert_eq!(execute(Operation::Read { key }), Answer::Value(Some(4)));
    }

    #[test]
    fn what_the_service_calls_a_read_changes_nothing() {
        let mut generator = Register::new(OPTIONS, Seed(3));
        let mut state = State::default();
        for _ in 0..1000 {
            let operation = generator.next();
            let before = state.clone();
            RegisterService.execute(&mut state, &operation.operation);
            let is_read = RegisterService.is_read(&operation.operation);
            assert_eq!(is_read, operation.f == "read");
            assert!(!is_read || state == before);
        }
        assert!(!RegisterService.is_read(b"no operation"));
        // What durability is judged by goes through the log, also where other reads may be stale.
        for read in generator.final_reads() {
            assert!(!RegisterService.is_read(&read.operation));
            let before = state.clone();
            let result = RegisterService.execute(&mut state, &read.operation);
            assert!(generator.complete(&read, &result).is_ok());
            assert!(state == before);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_operations_and_every_value_is_written_once() {
        let (mut one, mut two) = (
            Register::new(OPTIONS, Seed(1)),
            Register::new(OPTIONS, Seed(1)),
        );
        let (mut state_one, mut state_two) = (State::default(), State::default());
        let mut written = std::collections::BTreeSet::new();
        let mut successes = 0;
        for _ in 0..1000 {
            let (invocation, outcome) = run(&mut one, &mut state_one);
            assert_eq!(
                run(&mut two, &mut state_two),
                (invocation.clone(), outcome.clone())
            );
            match invocation.f {
                "write" => assert!(written.insert(invocation.value.as_u64().unwrap())),
                "cas" => assert!(written.insert(invocation.value[1].as_u64().unwrap())),
                _ => {}
            }
            successes += u32::from(invocation.f == "cas" && outcome.kind == Kind::Ok);
        }
        assert!(
            successes > 100,
            "only {successes} compare-and-sets succeeded"
        );
    }

    #[test]
    fn any_bytes_get_an_answer_and_any_answer_is_read_or_refused() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut generator = Register::new(OPTIONS, Seed(2));
        let mut state = State::default();
        for _ in 0..20_000 {
            let length = random.random_range(0..24);
            let bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
            let result = RegisterService.execute(&mut state, &bytes);
            // Objects have answers of their own.
            let is_object = objects::execute(&mut State::default(), &bytes).is_some();
            assert!(is_object || postcard::from_bytes::<Answer>(&result).is_ok());
            let invocation = generator.next();
            if let Err(error) = generator.complete(&invocation, &bytes) {
                assert!(error.to_string().contains(invocation.f));
            }
        }
    }
}
