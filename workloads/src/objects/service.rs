//! The replicated objects.

use bytes::Bytes;
use viewstorm_protocol::State;

use super::operation::{Answer, MAX_STEPS, MAX_VALUES, Operation, TAG};

/// What every account holds at first.
pub(super) const FIRST_BALANCE: u64 = 10;

/// Executes an operation on an object; none if it is none.
pub(crate) fn execute(state: &mut State, operation: &[u8]) -> Option<Bytes> {
    let body = operation.strip_prefix(&[TAG])?;
    let answer = match postcard::from_bytes(body) {
        Ok(operation) => apply(state, &operation),
        Err(_) => Answer::Unreadable,
    };
    Some(answer.encode())
}

fn apply(state: &mut State, operation: &Operation<'_>) -> Answer {
    match operation {
        Operation::Values { key } => Answer::Values(values(state, b'v', key)),
        Operation::Add { key, value } if values(state, b'v', key).contains(value) => Answer::Done,
        Operation::Add { key, value } | Operation::Append { key, value } => {
            push(state, b'v', key, *value)
        }
        Operation::Dequeue { key } => {
            let mut held = values(state, b'v', key);
            if held.is_empty() {
                return Answer::Value(None);
            }
            let first = held.remove(0);
            put(state, b'v', key, &held);
            Answer::Value(Some(first))
        }
        Operation::Count { key, amount } => {
            let count = number(state, b'c', key).unwrap_or(0).wrapping_add(*amount);
            if *amount > 0 {
                put(state, b'c', key, &[count]);
                return Answer::Done;
            }
            Answer::Value(Some(count))
        }
        Operation::Acquire { key } => lock(state, key, true),
        Operation::Release { key } => lock(state, key, false),
        Operation::Transfer { from, to, amount } => transfer(state, *from, *to, *amount),
        Operation::Balances { accounts } if *accounts as usize > MAX_VALUES => Answer::Refused,
        Operation::Balances { accounts } => Answer::Values(
            (0..*accounts)
                .map(|account| balance(state, account))
                .collect(),
        ),
        Operation::Registers { steps } => transact(state, steps, |state, key, write| match write {
            Some(value) => {
                put(state, b'r', key, &[value]);
                Some(Vec::new())
            }
            None => Some(values(state, b'r', key)),
        }),
        Operation::Lists { steps } => transact(state, steps, |state, key, append| match append {
            Some(value) => (push(state, b'l', key, value) == Answer::Done).then(Vec::new),
            None => Some(values(state, b'l', key)),
        }),
    }
}

fn transact(
    state: &mut State,
    steps: &[(u32, Option<u64>)],
    mut act: impl FnMut(&mut State, &[u8], Option<u64>) -> Option<Vec<u64>>,
) -> Answer {
    if steps.len() > MAX_STEPS {
        return Answer::Refused;
    }
    let mut seen = Vec::with_capacity(steps.len());
    for (object, write) in steps {
        // Lists are short: their generator goes on to a fresh one long before one is full.
        seen.push(act(state, &object.to_le_bytes(), *write).unwrap_or_default());
    }
    Answer::Steps(seen)
}

fn lock(state: &mut State, key: &[u8], acquires: bool) -> Answer {
    let is_held = number(state, b'm', key) == Some(1);
    if is_held == acquires {
        return Answer::Refused;
    }
    put(state, b'm', key, &[u64::from(acquires)]);
    Answer::Done
}

fn balance(state: &State, account: u32) -> u64 {
    number(state, b'b', &account.to_le_bytes()).unwrap_or(FIRST_BALANCE)
}

fn transfer(state: &mut State, from: u32, to: u32, amount: u64) -> Answer {
    let held = balance(state, from);
    let Some(left) = held.checked_sub(amount) else {
        return Answer::Refused;
    };
    put(state, b'b', &from.to_le_bytes(), &[left]);
    let more = balance(state, to).saturating_add(amount);
    put(state, b'b', &to.to_le_bytes(), &[more]);
    Answer::Done
}

/// The state's key of an object of a kind: kinds do not meet, nor do they meet the registers.
fn place(kind: u8, key: &[u8]) -> Bytes {
    let mut place = vec![0, kind];
    place.extend_from_slice(key);
    place.into()
}

fn values(state: &State, kind: u8, key: &[u8]) -> Vec<u64> {
    let Some(bytes) = state.get(&place(kind, key)) else {
        return Vec::new();
    };
    let (words, _) = bytes.as_ref().as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

fn number(state: &State, kind: u8, key: &[u8]) -> Option<u64> {
    values(state, kind, key).first().copied()
}

fn put(state: &mut State, kind: u8, key: &[u8], values: &[u64]) {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    state.put(place(kind, key), bytes.into());
}

fn push(state: &mut State, kind: u8, key: &[u8], value: u64) -> Answer {
    let mut held = values(state, kind, key);
    if held.len() >= MAX_VALUES {
        return Answer::Refused;
    }
    held.push(value);
    put(state, kind, key, &held);
    Answer::Done
}
