//! Faults written as a plan has them: what is read back is the same.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use viewstorm_nemesis::{
    Declaration, Delay, Fault, LinkEffect, Links, MessageFault, Partition, Shape, TapAct, Target,
    Trigger, TriggerEvent, When,
};
use viewstorm_protocol::NodeId;

use super::fault::name_of;
use super::{law, machine, membership, target, trigger};
use crate::plan::duration::write;
use crate::plan::run::SeedText;

/// A fault as its table.
pub(super) struct Table<'a>(pub(super) &'a Declaration);

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Declaration {
            name,
            fault,
            when,
            length,
            seed,
        } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("fault", fault.name())?;
        if let Some(name) = name {
            map.serialize_entry("name", name)?;
        }
        match *when {
            When::On { ref trigger, times } => write_trigger(&mut map, trigger, times)?,
            When::At(at) => map.serialize_entry("at", &write(at))?,
            When::Every {
                period,
                first,
                jitter,
                until,
                count,
            } => {
                map.serialize_entry("at", &write(first))?;
                map.serialize_entry("every", &write(period))?;
                map.serialize_entry("jitter", &write(jitter))?;
                if let Some(until) = until {
                    map.serialize_entry("until", &write(until))?;
                }
                if let Some(count) = count {
                    map.serialize_entry("count", &count)?;
                }
            }
        }
        if let Some(length) = length {
            map.serialize_entry("for", &write(*length))?;
        }
        write_fault(&mut map, fault)?;
        if let Some(seed) = seed {
            map.serialize_entry("seed", &SeedText(*seed))?;
        }
        map.end()
    }
}

fn write_trigger<M: SerializeMap>(
    map: &mut M,
    trigger: &Trigger,
    times: u32,
) -> Result<(), M::Error> {
    map.serialize_entry("on", trigger::name_of(&trigger.event))?;
    match &trigger.event {
        TriggerEvent::StateTransfer(Some(replica)) => {
            map.serialize_entry("replica", &NodeId::Replica(*replica))?;
        }
        TriggerEvent::Message { kind, from, to } => {
            map.serialize_entry("kind", kind)?;
            for (key, node) in [("from", from), ("to", to)] {
                if let Some(node) = node {
                    map.serialize_entry(key, node)?;
                }
            }
        }
        _ => {}
    }
    map.serialize_entry("at", &write(trigger.from))?;
    map.serialize_entry("after", &write(trigger.after))?;
    map.serialize_entry("count", &trigger.count)?;
    map.serialize_entry("times", &times)
}

fn write_fault<M: SerializeMap>(map: &mut M, fault: &Fault) -> Result<(), M::Error> {
    match fault {
        Fault::Partition(partition) => write_partition(map, partition),
        Fault::Links(fault) => {
            match &fault.links {
                Links::Of(target, way) => {
                    write_target(map, "target", target)?;
                    map.serialize_entry("direction", name_of(*way))?;
                }
                Links::Named(links) => map.serialize_entry("links", links)?,
            }
            match fault.effect {
                LinkEffect::Spread(ref spread) => law::write_spread(map, spread),
                LinkEffect::Burst(ref burst) => law::write_burst(map, burst),
                LinkEffect::Rate(rate) => law::write_rate(map, rate),
                LinkEffect::Hold => Ok(()),
                LinkEffect::Delay(delay) => write_delay(map, delay),
                LinkEffect::Loss(share)
                | LinkEffect::Duplicate(share)
                | LinkEffect::Corrupt(share) => map.serialize_entry("share", &share),
                LinkEffect::Reorder { share, by } => {
                    map.serialize_entry("share", &share)?;
                    map.serialize_entry("delay", &write(by))
                }
            }
        }
        Fault::Wan(fault) => law::write_wan(map, fault),
        Fault::Slow(fault) => {
            write_target(map, "target", &fault.target)?;
            map.serialize_entry("share", &fault.share)?;
            map.serialize_entry("period", &write(fault.period))
        }
        Fault::Messages(fault) => write_messages(map, fault),
        Fault::Kill(target)
        | Fault::Pause(target)
        | Fault::Restart(target)
        | Fault::PowerLoss(target) => write_target(map, "target", target),
        Fault::Crash(fault) => machine::write_crash(map, fault),
        Fault::Disk(fault) => machine::write_disk(map, fault),
        Fault::Clock(fault) => machine::write_clock(map, fault),
        Fault::Reconfigure(change) => membership::write(map, change),
    }
}

fn write_partition<M: SerializeMap>(map: &mut M, partition: &Partition) -> Result<(), M::Error> {
    match &partition.shape {
        Shape::Halves => map.serialize_entry("shape", "halves")?,
        Shape::Isolate(Target::One) => map.serialize_entry("shape", "one")?,
        Shape::Isolate(Target::Primary) => map.serialize_entry("shape", "isolate-primary")?,
        Shape::Isolate(target) => {
            map.serialize_entry("shape", "isolate")?;
            write_target(map, "target", target)?;
        }
        Shape::MajoritiesRing => map.serialize_entry("shape", "majorities-ring")?,
        Shape::Bridge => map.serialize_entry("shape", "bridge")?,
        Shape::Groups(groups) => {
            map.serialize_entry("shape", "groups")?;
            map.serialize_entry("groups", groups)?;
        }
        Shape::Links(links) => {
            map.serialize_entry("shape", "links")?;
            map.serialize_entry("links", links)?;
        }
    }
    if !matches!(partition.shape, Shape::Links(_)) {
        map.serialize_entry("clients", name_of(partition.clients))?;
    }
    map.serialize_entry("direction", name_of(partition.way))?;
    map.serialize_entry("layer", name_of(partition.layer))?;
    match partition.flapping {
        Some(flapping) => map.serialize_entry("flapping", &write(flapping)),
        None => Ok(()),
    }
}

fn write_messages<M: SerializeMap>(map: &mut M, fault: &MessageFault) -> Result<(), M::Error> {
    let (act, delay) = match fault.act {
        TapAct::Drop => ("drop", None),
        TapAct::Hold => ("hold", None),
        TapAct::Replay => ("replay", None),
        TapAct::Reorder(delay) => ("reorder", Some(delay)),
        TapAct::Delay(delay) => ("delay", Some(delay)),
        TapAct::Duplicate(delay) => ("duplicate", Some(delay)),
    };
    map.serialize_entry("act", act)?;
    if let Some(delay) = delay {
        write_delay(map, delay)?;
    }
    write_target(map, "target", &fault.target)?;
    map.serialize_entry("direction", name_of(fault.flow))?;
    if let Some(peers) = &fault.peers {
        write_target(map, "peers", peers)?;
    }
    if !fault.kinds.is_empty() {
        map.serialize_entry("kinds", &fault.kinds)?;
    }
    for (key, numbers) in [("views", fault.views), ("numbers", fault.numbers)] {
        if let Some(numbers) = numbers {
            map.serialize_entry(key, &[numbers.from, numbers.to])?;
        }
    }
    map.serialize_entry("share", &fault.share)?;
    map.serialize_entry("skip", &fault.skip)?;
    match fault.limit {
        Some(limit) => map.serialize_entry("limit", &limit),
        None => Ok(()),
    }
}

fn write_delay<M: SerializeMap>(map: &mut M, delay: Delay) -> Result<(), M::Error> {
    map.serialize_entry("delay", &write(delay.base))?;
    map.serialize_entry("delay-jitter", &write(delay.jitter))
}

pub(super) fn write_target<M: SerializeMap>(
    map: &mut M,
    key: &str,
    target: &Target,
) -> Result<(), M::Error> {
    match target::write(target) {
        Ok(name) => map.serialize_entry(key, &name),
        Err(nodes) => map.serialize_entry::<str, [NodeId]>(key, nodes),
    }
}
