//! What a seed makes of an open fault: whether it has it at all, how often it comes, and each time how.
//!
//! Every draw has a stream of its own, fixed by the seed, the fault's key, and what is drawn: taking a fault or
//! one of its keys away shifts nothing else. To have whole kinds of faults missing from most seeds finds more
//! than a little of everything in each (Groce et al., "Swarm Testing", ISSTA 2012).

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toml::de::DeTable;
use viewstorm_history::Seed;
use viewstorm_nemesis::{Declaration, Timeline, When};

use super::open::{OpenFault, Setting};
use super::{Around, read_table};
use crate::plan::duration;
use crate::plan::section::Errors;

/// The keys that say when a fault comes: drawn once for a seed. All others are drawn each time it comes.
const SCHEDULE: &[&str] = &[
    "at", "every", "jitter", "until", "count", "on", "after", "times", "kind", "from", "to",
    "replica", "seed", "name",
];
/// How often is drawn before the first of all values is taken. Any two values go together: that was checked.
const ATTEMPTS: u64 = 16;

/// What the seed makes of all open faults.
pub(super) fn draw(open: &[OpenFault], seed: Seed, around: &Around<'_>) -> Vec<Declaration> {
    let mut twins: BTreeMap<String, u32> = BTreeMap::new();
    let mut drawn = Vec::new();
    for fault in open {
        let key = fault.key();
        let twin = twins.entry(key.clone()).or_default();
        *twin += 1;
        let stream = match twin {
            1 => seed.stream(&format!("open fault {key}")),
            twin => seed.stream(&format!("open fault {key} #{twin}")),
        };
        if random(stream, "chance").random::<f64>() < fault.chance {
            drawn.extend(fault.draw(stream, around));
        }
    }
    drawn
}

impl OpenFault {
    /// What its streams hang on: its name, or its kind and when it comes.
    fn key(&self) -> String {
        let written = |key: &str| self.settings.get(key).map(Setting::written);
        match written("name") {
            Some(toml::Value::String(name)) => name,
            _ => {
                let parts = ["fault", "on", "at", "every"]
                    .into_iter()
                    .filter_map(written);
                parts
                    .map(|part| part.to_string())
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        }
    }

    /// Every time it comes, with what it then is.
    fn draw(&self, stream: Seed, around: &Around<'_>) -> Vec<Declaration> {
        let duration = around
            .duration
            .as_ref()
            .map_or(Duration::ZERO, |(duration, _)| *duration);
        let first = self.draw_once(stream, 0, around);
        let first = Declaration {
            seed: Some(first.seed.unwrap_or(stream)),
            ..first
        };
        let timeline = Timeline::expand(std::slice::from_ref(&first), stream, duration);
        let times = (0..).zip(timeline.declarations());
        times
            .map(|(index, time)| {
                let Declaration { fault, length, .. } = self.draw_once(stream, index, around);
                Declaration {
                    fault,
                    length,
                    ..time
                }
            })
            .collect()
    }

    /// What it is at its `index`th time.
    fn draw_once(&self, stream: Seed, index: u64, around: &Around<'_>) -> Declaration {
        let value = |key: &str, setting: &Setting, attempt| {
            let what = match (SCHEDULE.contains(&key), attempt) {
                (true, 0) => key.to_owned(),
                (false, 0) => format!("{key} {index}"),
                (true, attempt) => format!("{key} again {attempt}"),
                (false, attempt) => format!("{key} {index} again {attempt}"),
            };
            setting.draw(&mut random(stream, &what))
        };
        (0..ATTEMPTS)
            .find_map(|attempt| self.read(around, |key, setting| value(key, setting, attempt)))
            .or_else(|| self.read(around, |_, setting| setting.first()))
            .expect("the first of all its values were read when the plan was")
    }

    fn read(
        &self,
        around: &Around<'_>,
        value: impl Fn(&str, &Setting) -> toml::Value,
    ) -> Option<Declaration> {
        let settings = self.settings.iter();
        let table: toml::Table = settings
            .map(|(key, setting)| (key.clone(), value(key, setting)))
            .collect();
        let text = table.to_string();
        let table = DeTable::parse(&text).ok()?;
        let (span, errors) = (table.span(), Errors::default());
        let declaration = read_table(table.into_inner(), span, around, &errors)?;
        errors.into_inner().is_empty().then_some(declaration)
    }
}

fn random(stream: Seed, what: &str) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(stream.stream(what).0)
}

impl Setting {
    fn draw(&self, random: &mut ChaCha8Rng) -> toml::Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Between(least, most) => between(least, most, random),
            Self::OneOf(values) | Self::Any(values) => {
                values[random.random_range(0..values.len())].clone()
            }
        }
    }

    fn first(&self) -> toml::Value {
        match self {
            Self::Fixed(value) | Self::Between(value, _) => value.clone(),
            Self::OneOf(values) | Self::Any(values) => values[0].clone(),
        }
    }
}

/// Anything between two numbers or two durations, with as many digits as a reader wants to see.
fn between(least: &toml::Value, most: &toml::Value, random: &mut ChaCha8Rng) -> toml::Value {
    /// Of the width of a range of fractions.
    const STEPS: u32 = 1_000;
    match (least, most) {
        (toml::Value::String(from), toml::Value::String(to)) => {
            let nanos = |text: &str| duration::parse(text).map_or(0, |it| it.as_nanos() as u64);
            let (from, to) = (nanos(from), nanos(to));
            let unit = [1_000_000, 1_000]
                .into_iter()
                .find(|unit| from % unit == 0 && to % unit == 0);
            let unit = unit.unwrap_or(1);
            let drawn = random.random_range(from / unit..=to / unit) * unit;
            toml::Value::String(duration::write(Duration::from_nanos(drawn)))
        }
        (toml::Value::Integer(from), toml::Value::Integer(to)) => {
            toml::Value::Integer(random.random_range(*from..=*to))
        }
        (from, to) => {
            let number = |value: &toml::Value| match value {
                toml::Value::Integer(number) => *number as f64,
                value => value.as_float().unwrap_or_default(),
            };
            let (from, to) = (number(from), number(to));
            let step = f64::from(random.random_range(0..=STEPS)) / f64::from(STEPS);
            let drawn = (from + (to - from) * step).clamp(from, to);
            // Without the last digits of a binary fraction: 0.30000000000000004 is no number for a plan.
            let short = (drawn * 1e6).round() / 1e6;
            toml::Value::Float(if (from..=to).contains(&short) {
                short
            } else {
                drawn
            })
        }
    }
}

/// How often the declarations make a fault in a run of this length, at most.
pub(super) fn most(declarations: &[Declaration], duration: Duration) -> u64 {
    let single = |declaration: &Declaration| match declaration.when {
        When::Every { first, .. } => declaration.count(duration.saturating_add(first)),
        _ => declaration.count(duration),
    };
    declarations.iter().map(single).max().unwrap_or_default()
}
