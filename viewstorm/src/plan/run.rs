//! Where and how long an experiment runs.

use std::time::Duration;

use serde::Serialize;
use viewstorm_history::Seed;

use super::choice::choice;
use super::error::PlanError;
use super::section::{Field, Refusal, Section};
use super::source::Span;
use super::{duration, keys};

/// What the replicas run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct World {
    /// Which kind of world. Default: processes.
    pub kind: WorldKind,
}

choice! {
    /// A kind of world.
    pub enum WorldKind {
        /// Real processes, disks and sockets on this machine.
        Processes = "processes",
        /// One thread, virtual time: the seed is the whole run.
        Simulated = "simulated",
    }
}

/// How long the run is, and its seed. All times of a plan count from the run's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The first part of the duration, which the latency figures leave out. Default: 0s.
    #[serde(serialize_with = "duration::serialize")]
    pub warmup: Duration,
    /// How long operations are started and faults injected. Default: 30s.
    #[serde(serialize_with = "duration::serialize")]
    pub duration: Duration,
    /// How long, after that, everything may take to heal and answer, before the final reads. Default: 5s.
    #[serde(serialize_with = "duration::serialize")]
    pub quiesce: Duration,
    /// What fixes the operations, the timeline and every random stream. Default: a fresh one is drawn.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_seed")]
    pub seed: Option<Seed>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            warmup: Duration::ZERO,
            duration: Duration::from_secs(30),
            quiesce: Duration::from_secs(5),
            seed: None,
        }
    }
}

impl World {
    /// Reads `[world]`. The second is the kind, with its place, if it is known: it was not refused.
    pub(super) fn read(plan: &mut Section<'_, '_>) -> (Self, Option<(WorldKind, Option<Span>)>) {
        let mut section = plan.section("world", keys::WORLD);
        let known = section.choice("kind").known(WorldKind::Processes);
        section.finish();
        let kind = known
            .as_ref()
            .map_or(WorldKind::Processes, |(kind, _)| *kind);
        (Self { kind }, known)
    }
}

impl Run {
    /// Reads `[run]`. The second is the duration, with its place, if it is known: it was not refused.
    pub(super) fn read(plan: &mut Section<'_, '_>) -> (Self, Option<(Duration, Option<Span>)>) {
        const LEAST: Duration = Duration::from_millis(1);
        let default = Self::default();
        let mut section = plan.section("run", keys::RUN);
        let warmup = section.duration("warmup", Duration::ZERO);
        let length = section.duration("duration", LEAST);
        let known = length.clone().known(default.duration);
        if let (Some((duration, duration_span)), Field::Here(warmup, span)) = (&known, &warmup)
            && warmup >= duration
        {
            let title = format!(
                "the warmup takes all of the run's {}",
                duration::write(*duration)
            );
            let error = PlanError::at(span, title, "expected less than the duration");
            section.note(error.and(duration_span.as_ref(), "the duration, warmup included"));
        }
        let run = Self {
            warmup: warmup.or(default.warmup),
            duration: length.or(default.duration),
            quiesce: section
                .duration("quiesce", Duration::ZERO)
                .or(default.quiesce),
            seed: section.seed("seed"),
        };
        section.finish();
        (run, known)
    }
}

impl Section<'_, '_> {
    /// A seed: a whole number, or, where TOML's integers end, one in quotes.
    pub(super) fn seed(&mut self, key: &'static str) -> Option<Seed> {
        use toml::de::DeValue;
        const EXPECTED: &str = "a whole number, 0 or more";
        let seed = self.read(key, |value| {
            let number = match &value {
                DeValue::Integer(number) => {
                    u64::from_str_radix(number.as_str(), number.radix()).ok()
                }
                DeValue::String(text) => text.parse().ok(),
                other => return Err(Refusal::wrong_type(other, "a seed", EXPECTED)),
            };
            let refuse = || Refusal::value("is no seed", format!("expected {EXPECTED}"));
            number.map(Seed).ok_or_else(refuse)
        });
        seed.value()
    }
}

/// A seed as a plan writes it: TOML's integers end at 2^63 - 1; one beyond is written in quotes.
pub(super) struct SeedText(pub(super) Seed);

impl Serialize for SeedText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0.0) {
            Ok(_) => serializer.serialize_u64(self.0.0),
            Err(_) => serializer.collect_str(&self.0),
        }
    }
}

fn write_seed<S: serde::Serializer>(seed: &Option<Seed>, serializer: S) -> Result<S::Ok, S::Error> {
    match seed {
        Some(seed) => SeedText(*seed).serialize(serializer),
        None => serializer.serialize_none(),
    }
}
