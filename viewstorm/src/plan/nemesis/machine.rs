//! Faults of replicas' machines: where a process is cut off, what its disk and its clock do.

use std::time::Duration;

use serde::ser::SerializeMap;
use toml::de::DeValue;
use viewstorm_nemesis::{
    Budget, ClockEffect, ClockFault, CrashFault, CrashPoint, CrashStep, DamagePlace, DiskEffect,
    DiskFault, Fault, PROBE_KIND, Target, WriteError,
};

use super::Around;
use super::fault::{LEAST_DELAY, MESSAGE_KINDS, name_of, needed, needed_target};
use super::target::Whom;
use super::write::write_target;
use crate::plan::choice::Choice;
use crate::plan::duration;
use crate::plan::error::PlanError;
use crate::plan::read::unknown_name;
use crate::plan::section::{Field, Refusal, Section};

/// The latest effect before which a process can be cut off.
const MOST_EFFECTS: u32 = 1_000_000;
/// The shortest leap of a clock: below, a busy machine is no different.
const LEAST_JUMP: Duration = Duration::from_millis(10);
/// The longest leap of a clock.
const MOST_JUMP: Duration = Duration::from_secs(60 * 60);
/// The most that a clock gains, or loses, in millionths.
const MOST_DRIFT: i32 = 900_000;

impl Choice for DamagePlace {
    const ALL: &'static [(&'static str, Self)] = &[
        ("tail", Self::Tail),
        ("middle", Self::Middle),
        ("superblock", Self::Superblock),
    ];
}

impl Choice for WriteError {
    const ALL: &'static [(&'static str, Self)] =
        &[("eio", Self::Device), ("enospc", Self::NoSpace)];
}

impl Choice for Budget {
    const ALL: &'static [(&'static str, Self)] = &[
        ("minority", Self::Minority),
        ("unrestricted", Self::Unrestricted),
    ];
}

/// A crash at an effect.
pub(super) fn read_crash(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    let target = needed_target(section, Whom::Replicas, around);
    let effect = section.integer("effect", 1..=MOST_EFFECTS);
    let power = section.flag("power").known(false);
    let step = read_step(section).known(CrashStep::Any);
    if effect.is_absent() {
        let title = "this fault does not say before which effect it comes";
        let error = PlanError::at(section.span(), title, "");
        section.note(
            error
                .help("for example `effect = 3`, counted from the injection")
                .missing(),
        );
    }
    let point = CrashPoint {
        effect: effect.value()?.into(),
        step: step?.0,
        power: power?.0,
    };
    Some(Fault::Crash(CrashFault {
        target: target?,
        point,
    }))
}

/// Which effects a crash counts: writes, or the sends of a kind of message.
const STEPS: &[(&str, CrashStep)] = &[
    ("persist", CrashStep::Persist),
    ("persist-log", CrashStep::PersistLog),
    ("persist-superblock", CrashStep::PersistSuperblock),
];

/// The names of such steps.
pub(super) fn names_of_steps() -> impl Iterator<Item = &'static str> + Clone {
    let sent = MESSAGE_KINDS
        .iter()
        .filter(|kind| !["Request", "Read", PROBE_KIND].contains(kind));
    STEPS.iter().map(|(name, _)| name).chain(sent).copied()
}

fn read_step(section: &mut Section<'_, '_>) -> Field<CrashStep> {
    section.read("step", |value| {
        let DeValue::String(text) = &value else {
            return Err(Refusal::wrong_type(&value, "a step", "a name in quotes"));
        };
        let Some(name) = names_of_steps().find(|name| name == text) else {
            return Err(unknown_name(text, names_of_steps()));
        };
        let step = STEPS.iter().find(|(step, _)| *step == name);
        Ok(step.map_or(CrashStep::Send(name), |(_, step)| *step))
    })
}

fn write_step(step: CrashStep) -> Option<&'static str> {
    if let CrashStep::Send(kind) = step {
        return Some(kind);
    }
    let written = STEPS.iter().find(|(_, it)| *it == step);
    written.map(|(name, _)| *name)
}

/// Syncs that take longer.
pub(super) fn read_slow_sync(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    let target = needed_target(section, Whom::Replicas, around);
    let delay = section.duration("delay", LEAST_DELAY);
    let delay = needed(
        section,
        delay,
        "delay",
        "by how much syncs are slower",
        "20ms",
    );
    Some(disk(target?, DiskEffect::SlowSync(delay?)))
}

/// Syncs that fail.
pub(super) fn read_failing_sync(
    section: &mut Section<'_, '_>,
    around: &Around<'_>,
) -> Option<Fault> {
    Some(disk(
        needed_target(section, Whom::Replicas, around)?,
        DiskEffect::FailingSync,
    ))
}

/// Syncs that do nothing.
pub(super) fn read_lying_sync(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    Some(disk(
        needed_target(section, Whom::Replicas, around)?,
        DiskEffect::LyingSync,
    ))
}

/// Writes that fail.
pub(super) fn read_failing_write(
    section: &mut Section<'_, '_>,
    around: &Around<'_>,
) -> Option<Fault> {
    let target = needed_target(section, Whom::Replicas, around);
    let error = section.choice("error").known(WriteError::Device);
    Some(disk(target?, DiskEffect::FailingWrite(error?.0)))
}

/// A damaged record.
pub(super) fn read_bit_flip(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    let place = section.choice("place");
    let place = needed(section, place, "place", "which record it damages", "middle");
    let (target, budget) = read_damaged(section, around)?;
    Some(disk(
        target,
        DiskEffect::BitFlip {
            place: place?,
            budget,
        },
    ))
}

/// A lost disk.
pub(super) fn read_wipe(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    let (target, budget) = read_damaged(section, around)?;
    Some(disk(target, DiskEffect::Wipe { budget }))
}

const fn disk(target: Target, effect: DiskEffect) -> Fault {
    Fault::Disk(DiskFault { target, effect })
}

/// Whose storage is damaged, and how many may be so: never more than the budget says, at one blow or by and by.
fn read_damaged(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<(Target, Budget)> {
    let target = section.target("target", Whom::Replicas, around);
    let span = target.span().cloned();
    let target = needed(section, target, "target", "whom it hits", "one");
    let budget = section.choice("budget").known(Budget::Minority);
    let ((budget, _), target) = (budget?, target?);
    let Some(replicas) = around.replicas else {
        return Some((target, budget));
    };
    let (count, most) = (target.count(replicas), budget.most(replicas));
    if count > usize::from(most) {
        let title = format!("this damages the storage of {count} of {replicas} replicas");
        let label =
            format!("expected at most {most}, so that a majority keeps what was acknowledged");
        let help = "`budget = \"unrestricted\"` lets it damage any number";
        section.note(PlanError::at(&span.unwrap_or_default(), title, label).help(help));
        return None;
    }
    Some((target, budget))
}

/// A clock that goes wrong in one of three ways.
pub(super) fn read_clock(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    let target = needed_target(section, Whom::Replicas, around);
    let (jump, drift) = (read_jump(section), read_drift(section));
    let freeze = section.read("freeze", |value| match value {
        DeValue::Boolean(true) => Ok(()),
        DeValue::Boolean(false) => Err(Refusal::value("is false", "expected true, or nothing")),
        other => Err(Refusal::wrong_type(&other, "true", "true")),
    });
    let found = [
        ("jump", jump.span().cloned(), !jump.is_absent()),
        ("drift", drift.span().cloned(), !drift.is_absent()),
        ("freeze", freeze.span().cloned(), !freeze.is_absent()),
    ];
    let mut there = found.into_iter().filter(|(.., is_there)| *is_there);
    let Some((first, first_span, _)) = there.next() else {
        let title = "this fault does not say what becomes of the clock";
        let help = "for example `jump = \"2s\"`, `drift = 500` or `freeze = true`";
        section.note(
            PlanError::at(section.span(), title, "")
                .help(help)
                .missing(),
        );
        return None;
    };
    if let Some((other, span, _)) = there.next() {
        let title = format!("a clock has either `{first}` or `{other}`");
        let error = PlanError::at(&span.unwrap_or_default(), title, "the second");
        section.note(error.and(first_span.as_ref(), "the first"));
        return None;
    }
    let effect = match (jump, drift, freeze) {
        (Field::Here(nanos, _), ..) => ClockEffect::Jump(nanos),
        (_, Field::Here(ppm, _), _) => ClockEffect::Drift(ppm),
        (.., Field::Here((), _)) => ClockEffect::Freeze,
        _ => return None,
    };
    Some(Fault::Clock(ClockFault {
        target: target?,
        effect,
    }))
}

/// A duration with a sign.
fn read_jump(section: &mut Section<'_, '_>) -> Field<i64> {
    const EXPECTED: &str = "expected a time ahead or back: \"2s\", \"-500ms\"";
    section.read("jump", |value| {
        let DeValue::String(text) = &value else {
            return Err(Refusal::wrong_type(
                &value,
                "a duration",
                &EXPECTED["expected ".len()..],
            ));
        };
        let (is_back, length) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.as_ref()),
        };
        let length =
            duration::parse(length).map_err(|error| Refusal::value(error.to_string(), EXPECTED))?;
        if length < LEAST_JUMP || length > MOST_JUMP {
            let (least, most) = (duration::write(LEAST_JUMP), duration::write(MOST_JUMP));
            let problem = format!("is {text}");
            return Err(Refusal::value(
                problem,
                format!("expected {least} to {most}, or back"),
            ));
        }
        let nanos = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
        Ok(if is_back { -nanos } else { nanos })
    })
}

fn read_drift(section: &mut Section<'_, '_>) -> Field<i32> {
    let expected = format!("parts per million, -{MOST_DRIFT} to {MOST_DRIFT}");
    section.read("drift", |value| {
        let DeValue::Integer(number) = &value else {
            return Err(Refusal::wrong_type(&value, "a whole number", &expected));
        };
        let ppm = i32::from_str_radix(number.as_str(), number.radix()).ok();
        let ppm = ppm.filter(|ppm| *ppm != 0 && (-MOST_DRIFT..=MOST_DRIFT).contains(ppm));
        ppm.ok_or_else(|| {
            let refusal = Refusal::value(format!("is {number}"), format!("expected {expected}"));
            Refusal {
                help: Some("`freeze = true` stops a clock".to_owned()),
                ..refusal
            }
        })
    })
}

/// Writes the parameters of a crash at an effect.
pub(super) fn write_crash<M: SerializeMap>(
    map: &mut M,
    fault: &CrashFault,
) -> Result<(), M::Error> {
    write_target(map, "target", &fault.target)?;
    map.serialize_entry("effect", &fault.point.effect)?;
    if let Some(step) = write_step(fault.point.step) {
        map.serialize_entry("step", step)?;
    }
    map.serialize_entry("power", &fault.point.power)
}

/// Writes the parameters of a fault of a disk.
pub(super) fn write_disk<M: SerializeMap>(map: &mut M, fault: &DiskFault) -> Result<(), M::Error> {
    write_target(map, "target", &fault.target)?;
    match fault.effect {
        DiskEffect::SlowSync(delay) => map.serialize_entry("delay", &duration::write(delay))?,
        DiskEffect::BitFlip { place, .. } => map.serialize_entry("place", name_of(place))?,
        DiskEffect::FailingWrite(error) => map.serialize_entry("error", name_of(error))?,
        DiskEffect::FailingSync | DiskEffect::LyingSync | DiskEffect::Wipe { .. } => {}
    }
    match fault.effect.budget() {
        Some(budget) => map.serialize_entry("budget", name_of(budget)),
        None => Ok(()),
    }
}

/// Writes the parameters of a fault of a clock.
pub(super) fn write_clock<M: SerializeMap>(
    map: &mut M,
    fault: &ClockFault,
) -> Result<(), M::Error> {
    write_target(map, "target", &fault.target)?;
    match fault.effect {
        ClockEffect::Jump(nanos) => {
            let sign = if nanos < 0 { "-" } else { "" };
            let length = duration::write(Duration::from_nanos(nanos.unsigned_abs()));
            map.serialize_entry("jump", &format!("{sign}{length}"))
        }
        ClockEffect::Drift(ppm) => map.serialize_entry("drift", &ppm),
        ClockEffect::Freeze => map.serialize_entry("freeze", &true),
    }
}
