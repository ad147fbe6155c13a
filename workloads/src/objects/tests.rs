use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use viewstorm_history::{Kind, Seed};
use viewstorm_protocol::{Service, State};

use super::*;
use crate::{RegisterService, Workload};

const KINDS: [ObjectKind; 8] = [
    ObjectKind::Set,
    ObjectKind::Counter,
    ObjectKind::Queue,
    ObjectKind::List,
    ObjectKind::Mutex,
    ObjectKind::Bank,
    ObjectKind::MultiRegister,
    ObjectKind::ListAppend,
];

fn generator(kind: ObjectKind) -> Objects {
    Objects::new(
        ObjectOptions {
            kind,
            keys: 3,
            read: 1,
            write: 1,
        },
        Seed(7),
    )
}

#[test]
fn every_operation_is_answered_the_same_for_the_same_seed() {
    for kind in KINDS {
        let (mut one, mut other) = (generator(kind), generator(kind));
        let (mut state, mut copy) = (State::default(), State::default());
        let mut ok = 0;
        for _ in 0..2_000 {
            let invocation = one.next();
            assert_eq!(invocation, other.next());
            let result = RegisterService.execute(&mut state, &invocation.operation);
            assert_eq!(
                result,
                RegisterService.execute(&mut copy, &invocation.operation)
            );
            let outcome = one.complete(&invocation, &result).unwrap();
            other.complete(&invocation, &result).unwrap();
            ok += u32::from(outcome.kind == Kind::Ok);
        }
        assert!(ok > 800, "{kind:?}: only {ok} of 2000 succeeded");
        for read in one.final_reads() {
            let result = RegisterService.execute(&mut state, &read.operation);
            assert_eq!(one.complete(&read, &result).unwrap().kind, Kind::Ok);
        }
    }
}

#[test]
fn accounts_keep_their_sum_and_never_fall_below_zero() {
    let mut bank = generator(ObjectKind::Bank);
    let mut state = State::default();
    for _ in 0..2_000 {
        let invocation = bank.next();
        let result = RegisterService.execute(&mut state, &invocation.operation);
        let outcome = bank.complete(&invocation, &result).unwrap();
        if invocation.f == "read" {
            let balances = outcome.value.as_object().unwrap();
            let sum: u64 = balances
                .values()
                .map(|balance| balance.as_u64().unwrap())
                .sum();
            assert_eq!(sum, 30);
        }
    }
}

#[test]
fn any_bytes_get_an_answer_and_any_answer_is_read_or_refused() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut state = State::default();
    for kind in KINDS {
        let mut generator = generator(kind);
        for _ in 0..3_000 {
            let length = random.random_range(0..24);
            let mut bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
            let invocation = generator.next();
            drop(generator.complete(&invocation, &bytes));
            bytes.insert(0, operation::TAG);
            RegisterService.execute(&mut state, &bytes);
        }
    }
}
