use super::*;
use crate::model::Exact;
use crate::register::Register;
use crate::testing::{Draw, Line, brute_force, draw, history, read_partitions};

/// Judges by zones and by trying all orders; returns the answer of the latter.
fn compare(seed: u64, lines: &[Line]) -> bool {
    let history = history(lines);
    let mut fits = true;
    for partition in read_partitions(&history) {
        let expected = brute_force(&Register, &partition.operations);
        let found = judge(&partition, 10);
        assert!(
            !matches!(found, Exact::NotApplicable(_)),
            "seed {seed}: values are unique: {found:?}"
        );
        assert_eq!(
            found == Exact::Linearizable,
            expected,
            "seed {seed}: an order exists: {expected}; zones say {found:?} of {lines:#?}"
        );
        fits &= expected;
    }
    fits
}

#[test]
fn zones_agree_with_trying_all_orders() {
    let (mut fitting, mut not) = (0, 0);
    for seed in 0..100_000 {
        let operations = 4 + seed % 5;
        let times = [4, 6, 10, 30][seed as usize / 5 % 4];
        match compare(
            seed,
            &draw(
                seed,
                Draw {
                    operations,
                    times,
                    repeats: false,
                },
            ),
        ) {
            true => fitting += 1,
            false => not += 1,
        }
    }
    assert!(
        fitting > 5_000 && not > 5_000,
        "{fitting} fitting, {not} not: the draw is lopsided"
    );
}
