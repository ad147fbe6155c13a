//! What a fault is: its kind and its parameters.

use std::time::Duration;

use toml::de::DeValue;
use viewstorm_nemesis::{
    Budget, ClientSides, DamagePlace, Delay, Fault, Flow, Layer, LinkEffect, LinkFault, Links,
    MessageFault, Numbers, PROBE_KIND, Partition, Shape, SlowFault, TapAct, Target, WanPreset, Way,
    WriteError,
};

use super::model::LEAST_FLAPPING;
use super::target::Whom;
use super::{Around, law, machine, membership};
use crate::plan::choice::Choice;
use crate::plan::error::PlanError;
use crate::plan::read::unknown_name;
use crate::plan::section::{Field, Refusal, Section};
use crate::plan::{duration, keys};

/// The kinds of messages that the replicas and clients of VR say to one another, and the nemesis' own.
pub(super) const MESSAGE_KINDS: &[&str] = &[
    "Request",
    "Reply",
    "Evicted",
    "Prepare",
    "PrepareOk",
    "Commit",
    "StartViewChange",
    "DoViewChange",
    "StartView",
    "GetState",
    "NewState",
    "Read",
    "GetLease",
    "Lease",
    "Recovery",
    "RecoveryResponse",
    "Reconfiguration",
    "CheckEpoch",
    "StartEpoch",
    "EpochStarted",
    "NewEpoch",
    "Refused",
    "NewCheckpoint",
    "GetPages",
    "Pages",
    PROBE_KIND,
];
/// Those of them that only a group that changes says, or one with a replica that was away for very long or with very
/// many sessions: `"any"` kind of message is none of these, so that a storm over any other group does not wait for
/// what never comes.
pub(super) const EPOCH_KINDS: &[&str] = &[
    "Reconfiguration",
    "CheckEpoch",
    "StartEpoch",
    "EpochStarted",
    "NewEpoch",
    "Refused",
    "Evicted",
    "NewCheckpoint",
    "GetPages",
    "Pages",
];
/// Those of them that are said only where reads are answered outside the log: `"any"` kind of message is none of
/// these, so that a storm does not wait for what never comes.
pub(super) const READ_KINDS: &[&str] = &["Read", "GetLease", "Lease"];
/// The shortest delay: below, a busy machine is no different.
pub(super) const LEAST_DELAY: Duration = Duration::from_millis(1);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Partition,
    Delay,
    Loss,
    Duplicate,
    Reorder,
    Corrupt,
    BurstLoss,
    Rate,
    Hold,
    Wan,
    Messages,
    Kill,
    Pause,
    Slow,
    Restart,
    PowerLoss,
    Crash,
    SlowSync,
    FailingSync,
    LyingSync,
    FailingWrite,
    BitFlip,
    Wipe,
    Clock,
    Reconfigure,
}

impl Choice for FaultKind {
    const ALL: &'static [(&'static str, Self)] = &[
        ("partition", Self::Partition),
        ("delay", Self::Delay),
        ("loss", Self::Loss),
        ("duplicate", Self::Duplicate),
        ("reorder", Self::Reorder),
        ("corrupt", Self::Corrupt),
        ("burst-loss", Self::BurstLoss),
        ("rate", Self::Rate),
        ("hold", Self::Hold),
        ("wan", Self::Wan),
        ("messages", Self::Messages),
        ("kill", Self::Kill),
        ("pause", Self::Pause),
        ("slow", Self::Slow),
        ("restart", Self::Restart),
        ("power-loss", Self::PowerLoss),
        ("crash", Self::Crash),
        ("slow-sync", Self::SlowSync),
        ("failing-sync", Self::FailingSync),
        ("lying-sync", Self::LyingSync),
        ("failing-write", Self::FailingWrite),
        ("bit-flip", Self::BitFlip),
        ("wipe", Self::Wipe),
        ("clock", Self::Clock),
        ("reconfigure", Self::Reconfigure),
    ];
}

/// The shapes of partitions, as a plan names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShapeName {
    Halves,
    One,
    Isolate,
    IsolatePrimary,
    MajoritiesRing,
    Bridge,
    Groups,
    Links,
}

impl Choice for ShapeName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("halves", Self::Halves),
        ("one", Self::One),
        ("isolate", Self::Isolate),
        ("isolate-primary", Self::IsolatePrimary),
        ("majorities-ring", Self::MajoritiesRing),
        ("bridge", Self::Bridge),
        ("groups", Self::Groups),
        ("links", Self::Links),
    ];
}

impl Choice for ClientSides {
    const ALL: &'static [(&'static str, Self)] = &[
        ("split", Self::Split),
        ("majority", Self::Majority),
        ("untouched", Self::Untouched),
    ];
}

impl Choice for Way {
    const ALL: &'static [(&'static str, Self)] =
        &[("both", Self::Both), ("in", Self::In), ("out", Self::Out)];
}

impl Choice for Flow {
    const ALL: &'static [(&'static str, Self)] = &[
        ("both", Self::Both),
        ("send", Self::Send),
        ("receive", Self::Receive),
    ];
}

impl Choice for Layer {
    const ALL: &'static [(&'static str, Self)] =
        &[("datagrams", Self::Datagrams), ("messages", Self::Messages)];
}

/// What a message fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ActName {
    Drop,
    Delay,
    Duplicate,
    Reorder,
    Hold,
    Replay,
}

impl Choice for ActName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("drop", Self::Drop),
        ("delay", Self::Delay),
        ("duplicate", Self::Duplicate),
        ("reorder", Self::Reorder),
        ("hold", Self::Hold),
        ("replay", Self::Replay),
    ];
}

/// The name of a value, as a plan writes it.
pub(super) fn name_of<T: Choice + PartialEq>(value: T) -> &'static str {
    T::ALL
        .iter()
        .find(|(_, choice)| *choice == value)
        .map_or("", |(name, _)| *name)
}

/// All names that the value of a key can have without parameters of its own, in a fault of this kind; none
/// if it has no names.
pub(super) fn names_of(key: &str, fault: Option<&str>) -> Option<Vec<&'static str>> {
    fn names<T: Choice>() -> Vec<&'static str> {
        T::ALL.iter().map(|(name, _)| *name).collect()
    }
    let needs_more = ["isolate", "groups", "links"];
    Some(match key {
        "shape" => names::<ShapeName>()
            .into_iter()
            .filter(|name| !needs_more.contains(name))
            .collect(),
        "clients" => names::<ClientSides>(),
        "distribution" => vec!["uniform", "normal", "pareto"],
        "preset" => names::<WanPreset>(),
        "layer" => names::<Layer>(),
        "on" => super::trigger::names(),
        "step" => machine::names_of_steps().collect(),
        "place" => names::<DamagePlace>(),
        "error" => names::<WriteError>(),
        "budget" => names::<Budget>(),
        "direction" if fault == Some("messages") => names::<Flow>(),
        "direction" => names::<Way>(),
        _ => return None,
    })
}

impl FaultKind {
    /// The keys that such a fault may have.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Partition => keys::PARTITION,
            Self::Delay => keys::DELAY,
            Self::Loss | Self::Duplicate | Self::Corrupt => keys::SHARE,
            Self::Reorder => keys::REORDER,
            Self::BurstLoss => keys::BURST_LOSS,
            Self::Rate => keys::RATE,
            Self::Hold => keys::HOLD,
            Self::Wan => keys::WAN,
            Self::Slow => keys::SLOW,
            Self::Messages => keys::MESSAGES,
            Self::Kill | Self::Pause | Self::PowerLoss | Self::FailingSync | Self::LyingSync => {
                keys::PROCESS
            }
            Self::FailingWrite => keys::FAILING_WRITE,
            Self::Restart => keys::RESTART,
            Self::Crash => keys::CRASH,
            Self::SlowSync => keys::SLOW_SYNC,
            Self::BitFlip => keys::BIT_FLIP,
            Self::Wipe => keys::WIPE,
            Self::Clock => keys::CLOCK,
            Self::Reconfigure => keys::RECONFIGURE,
        }
    }

    /// Whether it lasts as long as a plan says: a restart is over when the replica is back, and nothing ends
    /// the damage of a flipped bit.
    pub(super) const fn has_length(self) -> bool {
        !matches!(self, Self::Restart | Self::BitFlip | Self::Reconfigure)
    }

    /// Reads the parameters; none if something is wrong.
    pub(super) fn read(self, section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
        let fault = match self {
            Self::Partition => return read_partition(section, around),
            Self::Messages => return read_messages(section, around),
            Self::Kill => Fault::Kill(needed_target(section, Whom::Replicas, around)?),
            Self::Pause => Fault::Pause(needed_target(section, Whom::Replicas, around)?),
            Self::Slow => return read_slow(section, around),
            Self::Wan => return law::read_wan(section),
            Self::Restart => Fault::Restart(needed_target(section, Whom::Replicas, around)?),
            Self::PowerLoss => Fault::PowerLoss(needed_target(section, Whom::Replicas, around)?),
            Self::Crash => return machine::read_crash(section, around),
            Self::SlowSync => return machine::read_slow_sync(section, around),
            Self::FailingSync => return machine::read_failing_sync(section, around),
            Self::LyingSync => return machine::read_lying_sync(section, around),
            Self::FailingWrite => return machine::read_failing_write(section, around),
            Self::BitFlip => return machine::read_bit_flip(section, around),
            Self::Wipe => return machine::read_wipe(section, around),
            Self::Clock => return machine::read_clock(section, around),
            Self::Reconfigure => return membership::read(section, around),
            Self::Delay
            | Self::Loss
            | Self::Duplicate
            | Self::Reorder
            | Self::Corrupt
            | Self::BurstLoss
            | Self::Rate
            | Self::Hold => {
                let effect = self.read_effect(section);
                let links = read_links(section, around);
                Fault::Links(LinkFault {
                    links: links?,
                    effect: effect?,
                })
            }
        };
        Some(fault)
    }

    fn read_effect(self, section: &mut Section<'_, '_>) -> Option<LinkEffect> {
        Some(match self {
            Self::Delay => law::read_delay(section)?,
            Self::BurstLoss => law::read_burst(section)?,
            Self::Rate => law::read_rate(section)?,
            Self::Hold => LinkEffect::Hold,
            Self::Loss => LinkEffect::Loss(needed_share(section)?),
            Self::Duplicate => LinkEffect::Duplicate(needed_share(section)?),
            Self::Corrupt => LinkEffect::Corrupt(needed_share(section)?),
            _ => {
                let share = needed_share(section);
                let by = section.duration("delay", LEAST_DELAY);
                let by = needed(
                    section,
                    by,
                    "delay",
                    "how long datagrams are held back",
                    "20ms",
                );
                LinkEffect::Reorder {
                    share: share?,
                    by: by?,
                }
            }
        })
    }
}

/// A key that must be there; `example` is its value as a string.
pub(super) fn needed<T>(
    section: &Section<'_, '_>,
    field: Field<T>,
    key: &str,
    what: &str,
    example: &str,
) -> Option<T> {
    if field.is_absent() {
        let title = format!("this fault does not say {what}");
        let help = format!("for example `{key} = \"{example}\"`");
        section.note(
            PlanError::at(section.span(), title, "")
                .help(help)
                .missing(),
        );
    }
    field.value()
}

pub(super) fn needed_target(
    section: &mut Section<'_, '_>,
    whom: Whom,
    around: &Around<'_>,
) -> Option<Target> {
    let target = section.target("target", whom, around);
    needed(section, target, "target", "whom it hits", "primary")
}

fn needed_share(section: &mut Section<'_, '_>) -> Option<f64> {
    let share = read_share(section);
    if share.is_absent() {
        let title = "this fault does not say which share it hits";
        let error = PlanError::at(section.span(), title, "");
        section.note(error.help("for example `share = 0.1`").missing());
    }
    share.value()
}

fn read_share(section: &mut Section<'_, '_>) -> Field<f64> {
    let expected = "a share above 0, up to 1";
    section.number("share", expected, |share| share > 0.0 && share <= 1.0)
}

fn needed_delay(section: &mut Section<'_, '_>) -> Option<Delay> {
    let base = section.duration("delay", LEAST_DELAY);
    let jitter = section
        .duration("delay-jitter", Duration::ZERO)
        .known(Duration::ZERO);
    let base = needed(section, base, "delay", "by how much", "50ms");
    Some(Delay {
        base: base?,
        jitter: jitter?.0,
    })
}

/// Links of a target, or named ones. Default: all links.
fn read_links(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Links> {
    let target = section.target("target", Whom::Nodes, around);
    let way = section.choice("direction");
    let links = section.links("links", around);
    let Field::Here(links, span) = links else {
        let target = target.known(Target::All)?.0;
        let way = way.known(Way::Both)?.0;
        return (!matches!(links, Field::Invalid)).then_some(Links::Of(target, way));
    };
    for other in [target.span(), way.span()].into_iter().flatten() {
        let title = "these links are named one by one";
        let error = PlanError::at(other, title, "goes with a target, not with `links`");
        section.note(error.and(Some(&span), "the links"));
    }
    (target.is_absent() && way.is_absent()).then_some(Links::Named(links))
}

fn read_partition(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    let name = section.choice::<ShapeName>("shape");
    let name_span = name.span().cloned();
    let clients = section.choice("clients");
    let way = section.choice("direction");
    let layer = section.choice("layer").known(Layer::Datagrams);
    let flapping = section.duration("flapping", LEAST_FLAPPING).known_some();
    let Some(name) = needed(section, name, "shape", "its shape", "halves") else {
        // Their errors are worth having; what is left of them is not.
        let _ = (
            section.target("target", Whom::Nodes, around),
            section.groups("groups", around),
        );
        let _ = section.links("links", around);
        return None;
    };
    let shape = read_shape(name, section, around);
    let replicas = around.replicas.unwrap_or(u16::MAX);
    let (least, sides) = match (name, &shape) {
        (ShapeName::MajoritiesRing | ShapeName::Bridge, _) => (3, 0),
        (ShapeName::Groups, Some(Shape::Groups(groups))) => (1, groups.len()),
        (ShapeName::Links | ShapeName::Groups, _) => (1, 0),
        _ => (2, 2),
    };
    if let Some(span) = name_span.filter(|_| replicas < least) {
        let title = format!("{replicas} replicas make no such partition");
        section.note(PlanError::at(
            &span,
            title,
            format!("needs {least} replicas or more"),
        ));
        return None;
    }
    if let Field::Here(Way::In | Way::Out, span) = &way
        && shape.is_some()
        && sides != 2
    {
        let title = "one direction of a cut is that of its first side";
        section.note(PlanError::at(span, title, "goes with a shape of two sides"));
        return None;
    }
    if let (Some(Shape::Links(_)), Some(span)) = (&shape, clients.span()) {
        let title = "these links are named one by one";
        section.note(PlanError::at(
            span,
            title,
            "goes with a shape that has sides",
        ));
        return None;
    }
    Some(Fault::Partition(Partition {
        shape: shape?,
        clients: clients.known(ClientSides::Split)?.0,
        way: way.known(Way::Both)?.0,
        layer: layer?.0,
        flapping: flapping?,
    }))
}

fn read_shape(
    name: ShapeName,
    section: &mut Section<'_, '_>,
    around: &Around<'_>,
) -> Option<Shape> {
    let target = section.target("target", Whom::Nodes, around);
    let groups = section.groups("groups", around);
    let links = section.links("links", around);
    let mut is_stray = false;
    for (key, span, of) in [
        ("target", target.span(), ShapeName::Isolate),
        ("groups", groups.span(), ShapeName::Groups),
        ("links", links.span(), ShapeName::Links),
    ] {
        if let Some(span) = span.filter(|_| of != name) {
            is_stray = true;
            let title = format!("`{key}` is no parameter of this shape");
            let label = format!("goes with `shape = \"{}\"`", name_of(of));
            section.note(PlanError::at(span, title, label));
        }
    }
    let shape = match name {
        ShapeName::Halves => Shape::Halves,
        ShapeName::One => Shape::Isolate(Target::One),
        ShapeName::IsolatePrimary => Shape::Isolate(Target::Primary),
        ShapeName::MajoritiesRing => Shape::MajoritiesRing,
        ShapeName::Bridge => Shape::Bridge,
        ShapeName::Isolate => {
            let span = target.span().cloned();
            let target = needed(section, target, "target", "whom it isolates", "minority")?;
            let is_all = around.replicas.is_some_and(|replicas| {
                !matches!(target, Target::Named(_)) && target.count(replicas) >= replicas.into()
            });
            if let Some(span) = span.filter(|_| is_all) {
                let title = "this isolates all replicas from nobody";
                section.note(PlanError::at(&span, title, "expected fewer than all"));
                return None;
            }
            Shape::Isolate(target)
        }
        ShapeName::Groups => {
            let example = "[[\"r0\"], [\"r1\", \"r2\"]]";
            Shape::Groups(needed_list(section, groups, "groups", example)?)
        }
        ShapeName::Links => {
            Shape::Links(needed_list(section, links, "links", "[[\"r0\", \"r1\"]]")?)
        }
    };
    (!is_stray).then_some(shape)
}

fn needed_list<T>(
    section: &Section<'_, '_>,
    field: Field<T>,
    key: &str,
    example: &str,
) -> Option<T> {
    if field.is_absent() {
        let title = format!("this shape needs its `{key}`");
        let help = format!("for example `{key} = {example}`");
        section.note(
            PlanError::at(section.span(), title, "")
                .help(help)
                .missing(),
        );
    }
    field.value()
}

fn read_messages(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    let act = section.choice::<ActName>("act");
    let act = needed(section, act, "act", "what becomes of messages", "drop");
    let target = needed_target(section, Whom::Nodes, around);
    let flow = section.choice("direction").known(Flow::Both);
    let peers = section.target("peers", Whom::Nodes, around).known_some();
    let kinds = read_kinds(section);
    let views = section.numbers("views").known_some();
    let numbers = section.numbers("numbers").known_some();
    let share = read_share(section).known(1.0);
    let skip = section.integer("skip", 0..=i64::MAX as u64).known(0);
    let limit = section.integer("limit", 1..=i64::MAX as u64).known_some();
    let act = match act? {
        ActName::Drop => TapAct::Drop,
        ActName::Hold => TapAct::Hold,
        ActName::Replay => TapAct::Replay,
        ActName::Reorder => TapAct::Reorder(needed_delay(section)?),
        ActName::Delay => TapAct::Delay(needed_delay(section)?),
        ActName::Duplicate => TapAct::Duplicate(needed_delay(section)?),
    };
    Some(Fault::Messages(MessageFault {
        target: target?,
        flow: flow?.0,
        peers: peers?,
        kinds: kinds?,
        views: views?,
        numbers: numbers?,
        share: share?.0,
        skip: skip?.0,
        limit: limit?,
        act,
    }))
}

/// A share of the time.
fn read_slow(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<Fault> {
    /// The shortest turn: what is shorter the system's scheduler does anyway.
    const LEAST_PERIOD: Duration = Duration::from_millis(20);
    /// The turn where the plan does not say.
    const PERIOD: Duration = Duration::from_millis(100);
    let target = needed_target(section, Whom::Replicas, around);
    let expected = "a share of the time from 0.05 to 0.95";
    let share = section.number("share", expected, |it| (0.05..=0.95).contains(&it));
    if share.is_absent() {
        let title = "this fault does not say which share of the time is left";
        let error = PlanError::at(section.span(), title, "");
        section.note(error.help("for example `share = 0.2`").missing());
    }
    let period = section.duration("period", LEAST_PERIOD).known(PERIOD);
    Some(Fault::Slow(SlowFault {
        target: target?,
        share: share.value()?,
        period: period?.0,
    }))
}

fn read_kinds(section: &mut Section<'_, '_>) -> Option<Vec<String>> {
    let kinds = match section.texts("kinds") {
        Field::Absent => return Some(Vec::new()),
        Field::Invalid => return None,
        Field::Here(kinds, _) => kinds,
    };
    let mut is_valid = true;
    for (kind, span) in &kinds {
        if !MESSAGE_KINDS.contains(&kind.as_str()) {
            is_valid = false;
            let Refusal {
                problem,
                expected,
                help,
            } = unknown_name(kind, MESSAGE_KINDS.iter().copied());
            let title = format!("a kind of message {problem}");
            section.note(PlanError::at(span, title, expected).maybe_help(help));
        }
    }
    is_valid.then(|| kinds.into_iter().map(|(kind, _)| kind).collect())
}

impl Section<'_, '_> {
    /// A closed range of numbers.
    fn numbers(&mut self, key: &'static str) -> Field<Numbers> {
        const EXPECTED: &str = "expected the first and the last: [1, 3]";
        self.read(key, |value| {
            let DeValue::Array(list) = value else {
                return Err(Refusal::wrong_type(&value, "a range", EXPECTED));
            };
            let number = |item: &toml::Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::Integer(number) => {
                    u64::from_str_radix(number.as_str(), number.radix()).ok()
                }
                _ => None,
            };
            let numbers: Vec<Option<u64>> = list.iter().map(number).collect();
            match numbers.as_slice() {
                [Some(from), Some(to)] if from <= to && i64::try_from(*to).is_ok() => Ok(Numbers {
                    from: *from,
                    to: *to,
                }),
                _ => Err(Refusal::value("is no range", EXPECTED)),
            }
        })
    }
}

/// A cut that comes and goes does so at least once.
pub(super) fn check_length(section: &Section<'_, '_>, fault: &Fault, length: Option<Duration>) {
    let Fault::Partition(Partition {
        flapping: Some(flapping),
        ..
    }) = fault
    else {
        return;
    };
    if let Some(length) = length.filter(|length| *length < *flapping * 2) {
        let title = format!(
            "a partition of {} does not come and go every {}",
            duration::write(length),
            duration::write(*flapping)
        );
        let label = format!(
            "expected `for` of {} or more",
            duration::write(*flapping * 2)
        );
        section.note(PlanError::at(section.span(), title, label));
    }
}
