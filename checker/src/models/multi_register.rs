//! Several registers that one operation reads and writes at once: `txn` with a list of `[f, register, value]`,
//! or `read` and `write` with an object of values.

use viewstorm_history::{Call, Datum, Kind};

use crate::hash::{Table, spread};
use crate::model::{Model, Unreadable, ValueId};
use crate::partition::{Input, Numbering, Partition, operation};

/// The model, with what the registers hold at first.
#[derive(Clone, Debug)]
pub(crate) struct MultiRegister {
    initial: Vec<ValueId>,
    names: Vec<Datum>,
}

/// One read or write of one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    register: u32,
    value: ValueId,
    is_write: bool,
}

/// The registers, and their hash.
#[derive(Clone, Debug)]
pub(crate) struct Registers {
    held: Vec<ValueId>,
    hash: u128,
}

impl Registers {
    fn set(&mut self, register: u32, value: ValueId) -> ValueId {
        let before = std::mem::replace(&mut self.held[register as usize], value);
        self.hash ^= mark(register, before) ^ mark(register, value);
        before
    }
}

fn mark(register: u32, value: ValueId) -> u128 {
    spread(
        u64::from(register) << 32 | u64::from(value),
        0x006d_756c_7469,
    )
}

/// Numbers registers by their names.
#[derive(Default)]
struct Names {
    places: Table<u64, u32>,
    names: Vec<Datum>,
}

impl Names {
    fn number(&mut self, name: Datum) -> u32 {
        let next = self.names.len() as u32;
        let place = *self.places.entry(name.bits()).or_insert(next);
        if place == next {
            self.names.push(name);
        }
        place
    }
}

/// The steps of a call, as is known of them: register, value, whether it is a write.
fn steps(input: &Input<'_>, call: &Call) -> Result<Vec<(Datum, Datum, bool)>, Unreadable> {
    let values = &input.log.values;
    let f = input.log.function(call);
    let shown = if call.kind == Kind::Ok && !call.result.is_null() {
        call.result
    } else {
        call.argument
    };
    if f == "txn" {
        let wrong = || input.unreadable(call, "a txn is a list of [f, register, value]");
        let list = values.elements(shown).ok_or_else(wrong)?;
        return list
            .iter()
            .map(|step| match values.elements(*step) {
                Some([f, register, value]) => match values.as_text(*f) {
                    Some("r" | "read") => Ok((*register, *value, false)),
                    Some("w" | "write") => Ok((*register, *value, true)),
                    _ => Err(wrong()),
                },
                _ => Err(wrong()),
            })
            .collect();
    }
    let is_write = match f {
        "read" => false,
        "write" => true,
        _ => return Err(input.unknown(call, "multi-register")),
    };
    if !is_write && call.kind != Kind::Ok {
        return Ok(Vec::new());
    }
    let wrong = || input.unreadable(call, format!("{f} of no object of registers and values"));
    let names = values.names(shown).ok_or_else(wrong)?;
    Ok(names.map(|(name, value)| (name, value, is_write)).collect())
}

impl Model for MultiRegister {
    const NAME: &'static str = "multi-register";
    const IS_KEYED: bool = false;

    type Action = Box<[Step]>;
    type State = Registers;
    /// The values before, in the order of the writes.
    type Undo = Vec<ValueId>;

    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable> {
        let mut numbering = Numbering::new(input.calls.len(), Datum::NULL);
        let mut names = Names::default();
        let mut operations = Vec::with_capacity(input.calls.len());
        for (place, call) in input.each() {
            let steps = steps(&input, call)?;
            if call.kind == Kind::Fail {
                continue;
            }
            // What one of unknown outcome read nobody knows.
            let known = steps
                .into_iter()
                .filter(|(.., is_write)| *is_write || call.kind == Kind::Ok);
            let action: Box<[Step]> = known
                .map(|(register, value, is_write)| Step {
                    register: names.number(register),
                    value: numbering.number(value),
                    is_write,
                })
                .collect();
            if !action.is_empty() {
                operations.push(operation(place, call, action));
            }
        }
        let mut initial = vec![0; names.names.len()];
        for (name, value) in input
            .log
            .values
            .names(input.log.initial)
            .into_iter()
            .flatten()
        {
            let register = names.number(name) as usize;
            initial.resize(initial.len().max(register + 1), 0);
            initial[register] = numbering.number(value);
        }
        let model = Self {
            initial,
            names: names.names,
        };
        let Input { log, key, .. } = input;
        let values = numbering.values;
        Ok(Partition {
            log,
            model,
            key,
            operations,
            values,
            values_are_unique: false,
        })
    }

    fn initial(&self) -> Registers {
        let marks = (0..)
            .zip(&self.initial)
            .map(|(register, value)| mark(register, *value));
        let hash = marks.fold(0, |hash, mark| hash ^ mark);
        Registers {
            held: self.initial.clone(),
            hash,
        }
    }

    fn apply(&self, registers: &mut Registers, action: &Box<[Step]>) -> Option<Vec<ValueId>> {
        let mut before = Vec::new();
        for (done, step) in action.iter().enumerate() {
            if step.is_write {
                before.push(registers.set(step.register, step.value));
            } else if registers.held[step.register as usize] != step.value {
                take_back(registers, &action[..done], before);
                return None;
            }
        }
        Some(before)
    }

    fn undo(&self, registers: &mut Registers, action: &Box<[Step]>, before: Vec<ValueId>) {
        take_back(registers, action, before);
    }

    fn fingerprint(&self, registers: &Registers) -> u128 {
        registers.hash
    }

    fn words(&self, registers: &Registers, partition: &Partition<'_, Self>) -> String {
        let all: Vec<String> = self
            .names
            .iter()
            .zip(&registers.held)
            .map(|(name, value)| {
                format!(
                    "{} = {}",
                    partition.log.values.value(*name),
                    partition.value(*value)
                )
            })
            .collect();
        format!("the registers with {}", super::few(&all))
    }

    fn changes_nothing(&self, action: &Box<[Step]>) -> bool {
        action.iter().all(|step| !step.is_write)
    }

    fn shows(&self, action: &Box<[Step]>) -> bool {
        action.iter().any(|step| !step.is_write)
    }
}

fn take_back(registers: &mut Registers, steps: &[Step], before: Vec<ValueId>) {
    let writes = steps.iter().rev().filter(|step| step.is_write);
    for (step, value) in writes.zip(before.into_iter().rev()) {
        registers.set(step.register, value);
    }
}
