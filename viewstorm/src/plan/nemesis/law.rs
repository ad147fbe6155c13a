//! Faults of links beyond a share or a uniform delay: distributions, bursts, rates, wide-area networks.

use std::time::Duration;

use serde::ser::SerializeMap;
use toml::de::DeValue;
use viewstorm_nemesis::{
    Burst, Delay, Distribution, Fault, LinkEffect, Rate, Region, Spread, WanFault, WanPreset,
};

use super::fault::{LEAST_DELAY, name_of, needed};
use crate::plan::choice::Choice;
use crate::plan::duration;
use crate::plan::error::PlanError;
use crate::plan::read::unknown_name;
use crate::plan::section::{Field, Refusal, Section};

/// The most times of a trace.
const MOST_TIMES: usize = 1_024;
/// The strongest correlation: with more, one draw would last for most of a run.
const MOST_CORRELATION: f64 = 0.95;
/// The slowest rate: less is a cut.
const LEAST_KILOBITS: u32 = 8;
/// How many bytes wait for a rate where the plan does not say: forty full datagrams.
const QUEUE_BYTES: u32 = 60_000;
/// The shape of a Pareto tail where the plan does not say.
const ALPHA: f64 = 2.5;

/// How delays are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DistributionName {
    Uniform,
    Normal,
    Pareto,
    Trace,
}

impl Choice for DistributionName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("uniform", Self::Uniform),
        ("normal", Self::Normal),
        ("pareto", Self::Pareto),
        ("trace", Self::Trace),
    ];
}

impl Choice for WanPreset {
    const ALL: &'static [(&'static str, Self)] = Self::ALL;
}

/// A delay of any distribution.
pub(super) fn read_delay(section: &mut Section<'_, '_>) -> Option<LinkEffect> {
    let name = section.choice::<DistributionName>("distribution");
    let name = name.known(DistributionName::Uniform)?.0;
    let share = |it: f64| (0.0..=MOST_CORRELATION).contains(&it);
    let correlation = section.number("correlation", "a number from 0 to 0.95", share);
    let alpha = section.number("alpha", "a number from 1 to 10", |it| {
        (1.0..=10.0).contains(&it)
    });
    let times = read_times(section);
    let base = section.duration("delay", LEAST_DELAY);
    let jitter = section.duration("delay-jitter", Duration::ZERO);
    for (span, of) in [
        (alpha.span(), DistributionName::Pareto),
        (times.span(), DistributionName::Trace),
    ] {
        if let Some(span) = span.filter(|_| of != name) {
            let label = format!("goes with `distribution = \"{}\"`", name_of(of));
            let title = "this is no parameter of this distribution";
            section.note(PlanError::at(span, title, label));
            return None;
        }
    }
    if name == DistributionName::Trace {
        if let Some(span) = base.span().or(jitter.span()) {
            let title = "a trace says itself how late";
            section.note(PlanError::at(span, title, "does not go with a trace"));
            return None;
        }
        let example = "[\"12ms\", \"15ms\", \"90ms\"]";
        if times.is_absent() {
            let title = "this fault does not say its times";
            let help = format!("for example `trace = {example}`");
            section.note(
                PlanError::at(section.span(), title, "")
                    .help(help)
                    .missing(),
            );
        }
        return Some(LinkEffect::Spread(Spread {
            distribution: Distribution::Trace(times.value()?),
            correlation: correlation.known(0.0)?.0,
        }));
    }
    let base = needed(section, base, "delay", "by how much", "50ms")?;
    let jitter = jitter.known(Duration::ZERO)?.0;
    let (alpha, correlation) = (alpha.known(ALPHA)?.0, correlation.known(0.0)?.0);
    let distribution = match name {
        DistributionName::Uniform if correlation <= 0.0 => {
            return Some(LinkEffect::Delay(Delay { base, jitter }));
        }
        DistributionName::Uniform | DistributionName::Trace => {
            Distribution::Uniform { base, jitter }
        }
        DistributionName::Normal => Distribution::Normal { base, jitter },
        DistributionName::Pareto => Distribution::Pareto {
            base,
            jitter,
            alpha,
        },
    };
    Some(LinkEffect::Spread(Spread {
        distribution,
        correlation,
    }))
}

/// A list of durations.
fn read_times(section: &mut Section<'_, '_>) -> Field<Vec<u64>> {
    const EXPECTED: &str = "expected times such as [\"12ms\", \"15ms\"], up to 1024";
    section.read("trace", |value| {
        let DeValue::Array(list) = value else {
            return Err(Refusal::wrong_type(&value, "a list", EXPECTED));
        };
        if list.is_empty() || list.len() > MOST_TIMES {
            let problem = format!("has {} times", list.len());
            return Err(Refusal::value(problem, EXPECTED));
        }
        let time = |item: toml::Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::String(text) => duration::parse(text)
                .map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
                .map_err(|error| Refusal::value(format!("has a time that {error}"), EXPECTED)),
            other => Err(Refusal::wrong_type(other, "only durations", EXPECTED)),
        };
        let times: Vec<u64> = list.into_iter().map(time).collect::<Result<_, _>>()?;
        if times
            .iter()
            .all(|time| u128::from(*time) < LEAST_DELAY.as_nanos())
        {
            return Err(Refusal::value("delays nothing", "expected 1ms or more"));
        }
        Ok(times)
    })
}

/// Losses in bursts.
pub(super) fn read_burst(section: &mut Section<'_, '_>) -> Option<LinkEffect> {
    let chance = |it: f64| it > 0.0 && it <= 1.0;
    let p = section.number("p", "a chance above 0, up to 1", chance);
    let r = section.number("r", "a chance above 0, up to 1", chance);
    for (key, field, what) in [
        ("p", &p, "how often a burst begins"),
        ("r", &r, "how soon a burst ends"),
    ] {
        if field.is_absent() {
            let title = format!("this fault does not say {what}");
            let help = format!("for example `{key} = 0.1`, the chance with each datagram");
            section.note(
                PlanError::at(section.span(), title, "")
                    .help(help)
                    .missing(),
            );
        }
    }
    let share = |it: f64| (0.0..=1.0).contains(&it);
    let bad = section.number("loss-bad", "a share from 0 to 1", share);
    let good = section.number("loss-good", "a share from 0 to 1", share);
    let burst = Burst {
        p: p.value()?,
        r: r.value()?,
        loss_bad: bad.known(1.0)?.0,
        loss_good: good.known(0.0)?.0,
    };
    let mean = burst.mean();
    if !(0.001..=0.9).contains(&mean) {
        let title = format!("these bursts take {:.2} % in the long run", mean * 100.0);
        let label = "expected 0.1 % to 90 %, so that probes can tell";
        section.note(PlanError::at(section.span(), title, label));
        return None;
    }
    Some(LinkEffect::Burst(burst))
}

/// A rate with a queue.
pub(super) fn read_rate(section: &mut Section<'_, '_>) -> Option<LinkEffect> {
    let kilobits = section.integer("kilobits", LEAST_KILOBITS..=100_000_000);
    let queue = section.integer("queue-bytes", 1_500..=u32::MAX);
    if kilobits.is_absent() {
        let title = "this fault does not say its rate";
        let help = "for example `kilobits = 1000`, thousand bits a second";
        section.note(
            PlanError::at(section.span(), title, "")
                .help(help)
                .missing(),
        );
    }
    Some(LinkEffect::Rate(Rate {
        kilobits: kilobits.value()?.into(),
        queue_bytes: queue.known(QUEUE_BYTES)?.0.into(),
    }))
}

/// A wide-area network.
pub(super) fn read_wan(section: &mut Section<'_, '_>) -> Option<Fault> {
    let preset = section.choice::<WanPreset>("preset");
    let preset = preset.known(WanPreset::Ibm2025)?.0;
    let share = |it: f64| (0.0..=0.5).contains(&it);
    let jitter = section.number("jitter-share", "a share of the delay, 0 to 0.5", share);
    let regions = section.texts("regions");
    if regions.is_absent() {
        let title = "this fault does not say where the nodes are";
        let help = "for example `regions = [\"frankfurt\", \"london\", \"washington\"]`";
        section.note(
            PlanError::at(section.span(), title, "")
                .help(help)
                .missing(),
        );
    }
    let Field::Here(names, span) = regions else {
        return None;
    };
    let mut found: Vec<Region> = Vec::new();
    for (name, span) in &names {
        match preset.region(name) {
            Some(region) => found.push(region),
            None => {
                let refusal = unknown_name(name, preset.regions());
                let title = format!("a region {}", refusal.problem);
                let error = PlanError::at(span, title, refusal.expected);
                section.note(error.maybe_help(refusal.help));
            }
        }
    }
    if found.len() < names.len() {
        return None;
    }
    if found.iter().all(|region| Some(region) == found.first()) {
        let title = "these are not two regions";
        section.note(PlanError::at(&span, title, "expected two or more"));
        return None;
    }
    Some(Fault::Wan(WanFault {
        regions: found,
        jitter: jitter.known(0.0)?.0,
    }))
}

/// Writes a spread.
pub(super) fn write_spread<M: SerializeMap>(map: &mut M, spread: &Spread) -> Result<(), M::Error> {
    let (name, times) = match &spread.distribution {
        Distribution::Uniform { base, jitter } => (DistributionName::Uniform, Some((base, jitter))),
        Distribution::Normal { base, jitter } => (DistributionName::Normal, Some((base, jitter))),
        Distribution::Pareto { base, jitter, .. } => {
            (DistributionName::Pareto, Some((base, jitter)))
        }
        Distribution::Trace(_) => (DistributionName::Trace, None),
    };
    map.serialize_entry("distribution", name_of(name))?;
    if let Some((base, jitter)) = times {
        map.serialize_entry("delay", &duration::write(*base))?;
        map.serialize_entry("delay-jitter", &duration::write(*jitter))?;
    }
    match &spread.distribution {
        Distribution::Pareto { alpha, .. } => map.serialize_entry("alpha", alpha)?,
        Distribution::Trace(times) => {
            let times = times.iter().map(|time| Duration::from_nanos(*time));
            let times: Vec<String> = times.map(duration::write).collect();
            map.serialize_entry("trace", &times)?;
        }
        Distribution::Uniform { .. } | Distribution::Normal { .. } => {}
    }
    map.serialize_entry("correlation", &spread.correlation)
}

/// Writes bursts.
pub(super) fn write_burst<M: SerializeMap>(map: &mut M, burst: &Burst) -> Result<(), M::Error> {
    map.serialize_entry("p", &burst.p)?;
    map.serialize_entry("r", &burst.r)?;
    map.serialize_entry("loss-bad", &burst.loss_bad)?;
    map.serialize_entry("loss-good", &burst.loss_good)
}

/// Writes a rate.
pub(super) fn write_rate<M: SerializeMap>(map: &mut M, rate: Rate) -> Result<(), M::Error> {
    map.serialize_entry("kilobits", &rate.kilobits)?;
    map.serialize_entry("queue-bytes", &rate.queue_bytes)
}

/// Writes a wide-area network.
pub(super) fn write_wan<M: SerializeMap>(map: &mut M, fault: &WanFault) -> Result<(), M::Error> {
    let preset = fault.regions.first().map_or("", |it| it.preset().name());
    map.serialize_entry("preset", preset)?;
    let regions: Vec<&str> = fault.regions.iter().map(|region| region.name()).collect();
    map.serialize_entry("regions", &regions)?;
    map.serialize_entry("jitter-share", &fault.jitter)
}
