//! `fault = "any"`: one table for a whole storm. It stands for the tables of experiments/vr/storm.toml, as far as
//! the plan's model, world and cluster allow them.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Around, Read, read_one};
use crate::plan::choice::Choice;
use crate::plan::error::PlanError;
use crate::plan::section::{Errors, Section};
use crate::plan::source::Span;
use crate::plan::{duration, keys};

/// The plan whose faults these are.
const STORM: &str = include_str!("../../../../experiments/vr/storm.toml");
/// How the kind of such a table is written.
const ANY: &str = "any";
/// How long the storm's run is.
const LENGTH: Duration = Duration::from_secs(30);
/// How long before the run's end the last fault comes, where the plan does not say: long enough for it to be
/// shown, and at most half of the run.
const LAST: Duration = Duration::from_secs(4);

/// A storm of some kinds of faults, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Profile(&'static [&'static str]);

/// A storm of all kinds.
const WHOLE: Profile = Profile(&["*"]);
/// None at all.
const CALM: Profile = Profile(&[]);

impl Choice for Profile {
    const ALL: &'static [(&'static str, Self)] = &[
        ("calm", CALM),
        ("partitions", Self(&["partition"])),
        (
            "network",
            Self(&[
                "partition",
                "delay",
                "loss",
                "duplicate",
                "reorder",
                "messages",
            ]),
        ),
        (
            "crashes",
            Self(&["kill", "restart", "crash", "pause", "power-loss"]),
        ),
        (
            "storage",
            Self(&["power-loss", "crash", "slow-sync", "failing-sync"]),
        ),
        ("clocks", Self(&["clock", "pause"])),
        ("storm", WHOLE),
    ];
}

impl Profile {
    /// Whether a table of the storm has a part in it.
    fn has(self, table: &DeTable<'_>) -> bool {
        let is_in = |kind: &str| self == WHOLE || self.0.contains(&kind);
        match table.get("fault").map(Spanned::get_ref) {
            Some(DeValue::String(kind)) => is_in(kind),
            // Of several kinds each must have its part.
            Some(DeValue::Array(list)) => {
                let mut kinds = list.iter().filter_map(|kind| kind.get_ref().as_str());
                kinds.all(is_in)
            }
            _ => false,
        }
    }
}

/// Whether a table stands for a whole storm.
pub(super) fn is_any(table: &DeTable<'_>) -> bool {
    table
        .get("fault")
        .and_then(|fault| fault.get_ref().as_str())
        == Some(ANY)
}

/// Reads such a table: the faults that it stands for; none if anything about it is wrong.
pub(super) fn read(
    table: DeTable<'_>,
    span: Span,
    around: &Around<'_>,
    errors: &Errors,
) -> Vec<Read> {
    let Some((intensity, until, profile)) = read_keys(table, &span, around, errors) else {
        return Vec::new();
    };
    let faults: Vec<Read> = tables()
        .filter(|table| profile.has(table))
        .filter_map(|table| allowed(table, intensity, until, around))
        .collect();
    if faults.is_empty() && profile != CALM {
        let title = "nothing of a storm is possible in this plan";
        let label = "expected a model that allows faults, and a run that is long enough";
        errors.borrow_mut().push(PlanError::at(&span, title, label));
    }
    faults
}

/// How often its faults come, seen from those of the storm, and until when.
fn read_keys(
    table: DeTable<'_>,
    span: &Span,
    around: &Around<'_>,
    errors: &Errors,
) -> Option<(f64, Duration, Profile)> {
    let mut section = Section::new("nemesis", table, span.clone(), keys::ANY, errors);
    let _ = section.take("fault");
    let expected = "a number from 0.1 to 10: twice is twice as often";
    let intensity = section.number("intensity", expected, |it| (0.1..=10.0).contains(&it));
    let until = section.duration("until", Duration::from_millis(1));
    let profile = section.choice::<Profile>("profile");
    section.finish();
    let profile = profile.known(WHOLE)?.0;
    let (intensity, until) = (intensity.known(1.0)?.0, until.known_some()?);
    let run = around.duration.as_ref().map(|(duration, _)| *duration)?;
    let until = until.unwrap_or_else(|| run - LAST.min(run / 2));
    // A shorter run has as many faults, closer together.
    let intensity = intensity * (LENGTH.as_secs_f64() / run.as_secs_f64()).max(1.0);
    Some((intensity, until, profile))
}

/// The storm's own tables.
fn tables() -> impl Iterator<Item = DeTable<'static>> {
    let storm = DeTable::parse(STORM)
        .expect("the storm is TOML")
        .into_inner();
    let faults = storm
        .into_iter()
        .find(|(key, _)| key.get_ref() == "nemesis");
    let faults = match faults.map(|(_, value)| value.into_inner()) {
        Some(DeValue::Array(faults)) => faults.into_iter().collect(),
        _ => Vec::new(),
    };
    faults
        .into_iter()
        .filter_map(|fault| match fault.into_inner() {
            DeValue::Table(table) => Some(table),
            _ => None,
        })
}

/// A table of the storm, if the plan allows it.
fn allowed(
    mut table: DeTable<'static>,
    intensity: f64,
    until: Duration,
    around: &Around<'_>,
) -> Option<Read> {
    for key in ["every", "jitter"] {
        if let Some(value) = table.get_mut(key) {
            quicken(value.get_mut(), intensity);
        }
    }
    if let Some(value) = table.get_mut("until") {
        *value.get_mut() = DeValue::String(duration::write(until).into());
    }
    let errors = Errors::default();
    let read = read_one(Spanned::new(0..0, DeValue::Table(table)), around, &errors)?;
    errors.into_inner().is_empty().then_some(read)
}

/// Divides the times of a value.
fn quicken(value: &mut DeValue<'_>, intensity: f64) {
    match value {
        DeValue::String(text) => {
            if let Ok(time) = duration::parse(text) {
                let nanos = (time.as_nanos() as f64 / intensity).round() as u64;
                // Whole milliseconds are easier to read.
                let time = Duration::from_millis(nanos.div_ceil(1_000_000));
                *text = duration::write(time).into();
            }
        }
        DeValue::Array(list) => list
            .iter_mut()
            .for_each(|it| quicken(it.get_mut(), intensity)),
        _ => {}
    }
}
