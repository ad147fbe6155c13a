//! What a disk promises (`Effect::Persist`): durable in the order of issue across zones, what was reported stays, a
//! crash takes a suffix, a record that was not finished counts as never written, and damage is refused.

use crate::real_disk::RealDisk;
use crate::script::{DiskUser, End, Found, Written, entry, records, view};
use crate::simulated_disk::SimulatedDisk;

/// The same on the real disk and on several simulated ones.
fn on_both(script: impl Fn(&mut dyn DiskUser)) {
    script(&mut RealDisk::new());
    for seed in 0..20 {
        script(&mut SimulatedDisk::new(seed));
    }
}

/// A process writes `records` after those that are durable and ends; the next finds a part of them from the front, at
/// least what was reported. Returns what is durable then.
fn lives(
    disk: &mut dyn DiskUser,
    durable: &[Written],
    records: &[Written],
    end: End,
) -> Vec<Written> {
    let found = disk.start().expect("an undamaged disk");
    assert_eq!(found, Found::of(durable));
    let reported = disk.write(records, end);
    let found = disk.start().expect("an undamaged disk");
    let all: Vec<Written> = [durable, records].concat();
    let mut lengths = (durable.len() + reported..=all.len()).rev();
    let length = lengths.find(|length| found == Found::of(&all[..*length]));
    let length = length.unwrap_or_else(|| {
        panic!(
            "{reported} of {} were reported, and this is found: {found:?}",
            records.len()
        )
    });
    if end == End::Settled {
        assert_eq!(length, all.len(), "nothing is lost that was waited for");
    }
    disk.write(&[], End::Settled);
    all[..length].to_vec()
}

#[test]
fn what_was_waited_for_is_found_in_its_order() {
    on_both(|disk| {
        let durable = lives(disk, &[], &records(0..40, 7), End::Settled);
        lives(disk, &durable, &records(40..70, 3), End::Settled);
    });
}

#[test]
fn a_killed_process_keeps_what_it_was_told_and_loses_a_suffix_at_most() {
    on_both(|disk| {
        let mut durable = Vec::new();
        for round in 0..6 {
            let records = records(100 * round..100 * round + 60, 5 + round);
            durable = lives(disk, &durable, &records, End::Killed);
        }
    });
}

#[test]
fn a_loss_of_power_takes_a_suffix_and_what_was_half_written_was_never_there() {
    on_both(|disk| {
        let mut durable = lives(disk, &[], &[view(0), entry(1)], End::Settled);
        for round in 1..5 {
            let entries: Vec<Written> = (0..20).map(|number| entry(100 * round + number)).collect();
            durable = lives(disk, &durable, &entries, End::PowerLoss);
            // What is written after it is found behind what was left, and nothing of the lost part comes back.
            durable = lives(
                disk,
                &durable,
                &records(900 + round..904 + round, 3),
                End::Settled,
            );
        }
    });
}

#[test]
fn damage_to_what_was_durable_is_refused() {
    for damaged in [view(0), entry(1), entry(5), entry(9)] {
        on_both(|disk| {
            let durable = lives(disk, &[], &records(0..10, 20), End::Settled);
            assert!(durable.contains(&damaged));
            disk.damage(&damaged);
            let refusal = disk.start().expect_err("it must not go on");
            assert!(!refusal.is_empty());
            assert!(disk.start().is_err(), "nor at the next start");
        });
    }
}
