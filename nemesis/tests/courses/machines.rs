//! Faults of machines: power, the place of a crash, disks and clocks.

use viewstorm_history::Stage;
use viewstorm_nemesis::{
    Action, Budget, ClockEffect, ClockFault, CrashFault, CrashPoint, CrashStep, DamagePlace,
    Declaration, DiskEffect, DiskFault, Fault, Target,
};
use viewstorm_protocol::ReplicaId;

use crate::failures::fails;
use crate::shown::{goes_its_course, partition};
use crate::world::{Defects, World, fault, ms, replica};

const BUDGET: Budget = Budget::Minority;
const FLIP: DiskEffect = DiskEffect::BitFlip {
    place: DamagePlace::Middle,
    budget: BUDGET,
};

fn named(id: u16) -> Target {
    Target::Named(vec![replica(id)])
}

fn disk(target: Target, effect: DiskEffect) -> Fault {
    Fault::Disk(DiskFault { target, effect })
}

fn clock(target: Target, effect: ClockEffect) -> Fault {
    Fault::Clock(ClockFault { target, effect })
}

fn crash(target: Target, effect: u64, power: bool) -> Fault {
    Fault::Crash(CrashFault {
        target,
        point: CrashPoint {
            effect,
            step: CrashStep::Any,
            power,
        },
    })
}

fn run(faults: &[Declaration]) -> World {
    let mut world = World::new(3, faults, Defects::default());
    world.run(12_000);
    world.finish(6_000);
    world
}

fn all_went_well(world: &World) {
    assert!(world.nemesis.is_quiet(), "{:#?}", world.ledger());
    for entry in world.ledger().entries() {
        assert!(entry.failure.is_none(), "{entry:#?}");
        assert!(entry.healed_confirmed_at.is_some(), "{entry:#?}");
    }
    assert!(world.ledger().unexpected_exits().is_empty());
}

fn starts(world: &World) -> Vec<u64> {
    world.orders(|action| matches!(action, Action::Start(_)))
}

#[test]
fn power_goes_for_as_many_as_the_plan_says() {
    for (target, count) in [
        (Target::Primary, 1),
        (Target::Majority, 3),
        (Target::All, 5),
    ] {
        let (world, evidence) = goes_its_course(Fault::PowerLoss(target), 5);
        let lost = evidence
            .matches("power loss, 2 of 3 unsynced records lost")
            .count();
        assert_eq!(lost, count, "{evidence}");
        let ordered = world.orders(|action| matches!(action, Action::PowerLoss(_)));
        assert_eq!(ordered, vec![1_000; count]);
        assert_eq!(starts(&world), vec![2_000; count]);
        assert!(
            world
                .orders(|action| matches!(action, Action::Kill(_)))
                .is_empty()
        );
    }
}

#[test]
fn what_a_killed_replica_wrote_goes_with_the_power_too() {
    let world = run(&[
        fault(Fault::Kill(named(1)), 1_000, Some(3_000)),
        fault(Fault::PowerLoss(named(1)), 2_000, Some(500)),
        fault(Fault::PowerLoss(named(1)), 2_200, Some(500)),
    ]);
    all_went_well(&world);
    let evidence = world.entry(1).evidence.as_deref().unwrap_or_default();
    assert!(
        evidence.starts_with("r1: already down, signal 9"),
        "{evidence}"
    );
    assert!(
        evidence.ends_with("2 of 3 unsynced records lost"),
        "{evidence}"
    );
    assert_eq!(starts(&world), [4_000], "the kill keeps it down");
}

#[test]
fn the_time_of_a_crash_counts_from_its_effect() {
    for power in [false, true] {
        let (world, evidence) = goes_its_course(crash(Target::Backups, 4, power), 3);
        assert_eq!(
            evidence.matches("before its effect 4").count(),
            2,
            "{evidence}"
        );
        assert_eq!(
            evidence.contains("unsynced records lost"),
            power,
            "{evidence}"
        );
        assert_eq!(starts(&world), [2_005, 2_005], "a second after it happened");
        assert!(world.ledger().unexpected_exits().is_empty());
    }
}

#[test]
fn a_crash_that_does_not_come_is_taken_back() {
    let defects = Defects {
        sturdy: true,
        ..Defects::default()
    };
    let world = fails(
        crash(named(1), 9, false),
        defects,
        "not confirmed",
        "r1 has not ended",
    );
    let fuses = world.orders(|action| matches!(action, Action::SetFuse { .. }));
    assert_eq!(
        fuses,
        [1_000, 3_000],
        "set, and taken back after two seconds"
    );
    assert!(world.nemesis.is_quiet());
}

#[test]
fn a_kill_is_no_crash_at_an_effect() {
    // The small world's fuse takes 5 ms to burn; the kill comes first.
    let world = run(&[
        fault(crash(named(1), 9, false), 1_000, Some(1_000)),
        fault(Fault::Kill(named(1)), 1_001, Some(1_000)),
    ]);
    let failure = world.entry(0).failure.as_deref().unwrap_or_default();
    assert!(failure.contains("and not before its effect 9"), "{failure}");
    assert!(world.entry(1).failure.is_none() && world.nemesis.is_quiet());
}

#[test]
fn syncs_that_fail_end_the_process_and_are_whole_before_the_next() {
    let (world, evidence) = goes_its_course(disk(Target::Primary, DiskEffect::FailingSync), 3);
    assert!(
        evidence.contains("EIO, the sync that it began at 1.005s failed"),
        "{evidence}"
    );
    let disks = world.orders(|action| matches!(action, Action::SetDisk { .. }));
    assert_eq!((disks, starts(&world)), (vec![1_000, 2_005], vec![2_005]));
    assert!(world.ledger().unexpected_exits().is_empty());
}

#[test]
fn slow_syncs_are_measured_and_add_up() {
    let slow = |millis| disk(Target::All, DiskEffect::SlowSync(ms(millis)));
    let world = run(&[
        fault(slow(20), 1_000, Some(3_000)),
        fault(slow(30), 2_000, Some(1_000)),
    ]);
    all_went_well(&world);
    assert_eq!(
        world.entry(1).evidence.as_deref(),
        Some("a sync took 51.0ms by r0, 51.0ms by r1, 51.0ms by r2")
    );
    let healed = world
        .entry(1)
        .healed_evidence
        .as_deref()
        .unwrap_or_default();
    assert!(healed.starts_with("a sync took 21.0ms"), "{healed}");
}

#[test]
fn clocks_are_read() {
    for (effect, seen) in [
        (ClockEffect::Jump(3_000_000_000), "gained 3.0s in 0.0ns"),
        (ClockEffect::Jump(-500_000_000), "gained -20.0ms in 20.0ms"),
        (ClockEffect::Drift(700), "gained 700.0 parts per million"),
        (
            ClockEffect::Drift(-40_000),
            "gained -40000.0 parts per million",
        ),
        (ClockEffect::Freeze, "gained -1000000.0 parts per million"),
    ] {
        let (_, evidence) = goes_its_course(clock(Target::Primary, effect), 3);
        assert!(
            evidence.starts_with(&format!("the clock of r0 {seen}")),
            "{evidence}"
        );
        assert!(
            evidence.contains("| the clock of r0 gained 0.0 parts"),
            "{evidence}"
        );
    }
}

#[test]
fn a_clock_that_leapt_back_is_given_the_time_to_catch_up() {
    let leap = clock(named(1), ClockEffect::Jump(-8_000_000_000));
    let world = run(&[fault(leap, 1_000, Some(1_000))]);
    all_went_well(&world);
    let healed = world.entry(0).healed_confirmed_at.unwrap();
    assert!(healed > crate::world::at(9_000), "{healed}");
}

#[test]
fn a_drift_under_a_standstill_is_measured_when_that_is_over() {
    let world = run(&[
        fault(clock(named(1), ClockEffect::Freeze), 1_000, Some(1_500)),
        fault(clock(named(1), ClockEffect::Drift(500)), 2_000, Some(2_000)),
    ]);
    all_went_well(&world);
    let healed = world
        .entry(0)
        .healed_evidence
        .as_deref()
        .unwrap_or_default();
    assert!(healed.contains("gained 500.0 parts"), "{healed}");
}

#[test]
fn machines_that_do_not_do_as_they_are_told() {
    let sturdy = || Defects {
        sturdy: true,
        ..Defects::default()
    };
    let primary = || Target::Primary;
    let cases = [
        (
            Fault::PowerLoss(primary()),
            "its disk has not lost its power",
        ),
        (
            disk(primary(), DiskEffect::Wipe { budget: BUDGET }),
            "still holds 7 records",
        ),
        (
            disk(primary(), DiskEffect::FailingSync),
            "the process of r0 has not ended",
        ),
        (
            disk(primary(), DiskEffect::SlowSync(ms(20))),
            "took 1.0ms, and not 20ms more",
        ),
        (
            disk(primary(), FLIP),
            "all checksums of r0 match, of 7 records",
        ),
        (
            clock(primary(), ClockEffect::Jump(1_000_000_000)),
            "gained 0.0ns",
        ),
        (
            clock(primary(), ClockEffect::Jump(-1_000_000_000)),
            "gained 0.0ns",
        ),
        (
            clock(primary(), ClockEffect::Drift(50)),
            "gained 0.0 parts per million in 40.0ms, and not 50",
        ),
        (clock(primary(), ClockEffect::Freeze), "and not -1000000"),
    ];
    for (fault, reason) in cases {
        fails(fault, sturdy(), "not confirmed", reason);
    }
}

#[test]
fn a_replica_with_a_damaged_record_stays_down_and_nobody_waits_for_it() {
    let world = run(&[
        fault(disk(named(2), FLIP), 1_000, None),
        fault(Fault::Restart(named(2)), 2_000, None),
        fault(
            Fault::Partition(partition(viewstorm_nemesis::Shape::Isolate(named(2)))),
            1_500,
            Some(1_000),
        ),
    ]);
    all_went_well(&world);
    let flip = world.entry(0);
    assert_eq!(
        flip.evidence.as_deref(),
        Some("the checksum does not match: r2, the middle")
    );
    let healed = flip.healed_evidence.as_deref().unwrap_or_default();
    assert!(
        healed.contains("stays down (exit code 1: the middle is corrupt)"),
        "{healed}"
    );
    let restart = world
        .ledger()
        .entries()
        .iter()
        .find(|entry| entry.name == "restart")
        .unwrap();
    let back = restart.healed_evidence.as_deref().unwrap_or_default();
    assert!(
        back.starts_with("r2 stays down, its storage is damaged"),
        "{back}"
    );
    assert_eq!(starts(&world).len(), 1, "it is not tried again");
}

#[test]
fn a_damaged_replica_that_ends_by_itself_is_no_excuse() {
    let exits = vec![(3_000, ReplicaId(2))];
    let faults = [fault(disk(named(2), FLIP), 1_000, None)];
    let mut world = World::new(
        3,
        &faults,
        Defects {
            exits,
            ..Defects::default()
        },
    );
    world.run(6_000);
    assert_eq!(
        world.ledger().unexpected_exits(),
        ["r2: exit code 101 at 3.000s"]
    );
}

#[test]
fn storage_is_damaged_within_the_budget() {
    let flip = |target| disk(target, FLIP);
    let targets = |world: &World, fault| world.entry(fault).targets.clone();
    // Drawn: the same again once there is no room.
    let world = run(&[
        fault(flip(Target::One), 1_000, None),
        fault(flip(Target::One), 2_000, None),
        fault(
            disk(Target::One, DiskEffect::Wipe { budget: BUDGET }),
            3_000,
            Some(500),
        ),
    ]);
    all_went_well(&world);
    assert_eq!(targets(&world, 0), targets(&world, 1));
    assert_eq!(targets(&world, 0), targets(&world, 2));
    // Named: it is not applied.
    let world = run(&[
        fault(flip(named(0)), 1_000, None),
        fault(flip(named(1)), 2_000, None),
    ]);
    let failure = world.entry(1).failure.as_deref().unwrap_or_default();
    let reason = "not applied: the storage of r0 is damaged already, and of 3 replicas it may be \
                  that of 1";
    assert_eq!(failure, reason);
    assert!(!world.stages(1).contains(&Stage::Inject));
    // Unrestricted: it is.
    let any = DiskEffect::BitFlip {
        place: DamagePlace::Tail,
        budget: Budget::Unrestricted,
    };
    let world = run(&[
        fault(flip(named(0)), 1_000, None),
        fault(disk(named(1), any), 2_000, None),
    ]);
    all_went_well(&world);
}

#[test]
fn a_wiped_replica_comes_back() {
    let wipe = DiskEffect::Wipe {
        budget: Budget::Unrestricted,
    };
    let (world, evidence) = goes_its_course(disk(Target::Minority, wipe), 5);
    assert_eq!(
        evidence.matches("its disk is empty").count(),
        2,
        "{evidence}"
    );
    assert_eq!(
        world.orders(|action| matches!(action, Action::Wipe(_))),
        [1_000, 1_000]
    );
    assert_eq!(starts(&world), [2_000, 2_000]);
}

#[test]
fn what_does_not_run_cannot_end_by_itself_and_tells_no_time() {
    for one in [
        crash(named(1), 1, false),
        disk(named(1), DiskEffect::FailingSync),
        clock(named(1), ClockEffect::Freeze),
    ] {
        let world = run(&[
            fault(Fault::Kill(named(1)), 1_000, Some(3_000)),
            fault(one, 2_000, Some(500)),
        ]);
        let failure = world.entry(1).failure.as_deref();
        assert_eq!(
            failure,
            Some("not applied: r1 has no running process, under other faults")
        );
    }
}
