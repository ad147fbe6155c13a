//! `[[nemesis]]`: the faults of a plan, read into the nemesis' own words, and written back.

mod capability;
mod draw;
mod fault;
mod faults;
mod law;
mod machine;
mod membership;
mod mix;
mod model;
mod open;
mod sequence;
mod target;
mod trigger;
mod when;
mod write;

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use viewstorm_history::Seed;
use viewstorm_nemesis::{Declaration, MAX_FAULTS};

use self::fault::FaultKind;
use self::open::Open;
use self::sequence::Ends;
use super::error::PlanError;
use super::keys;
use super::model::ReadModel;
use super::run::WorldKind;
use super::section::{Errors, Field, Section, describe};
use super::source::Span;

pub use self::faults::Faults;
pub use self::open::OpenFault;

/// The most tables of faults: a resolved timeline has one for every fault.
const MAX_TABLES: usize = MAX_FAULTS;
/// The longest name of a fault.
const MAX_NAME: usize = 64;

/// What the rest of the plan says, as far as it was not refused.
pub(super) struct Around<'a> {
    pub(super) replicas: Option<u16>,
    pub(super) endpoints: Option<u16>,
    pub(super) duration: Option<(Duration, Option<Span>)>,
    pub(super) model: &'a ReadModel,
    pub(super) world: Option<(WorldKind, Option<Span>)>,
}

/// Reads all `[[nemesis]]`.
pub(super) fn read(plan: &mut Section<'_, '_>, around: &Around<'_>, errors: &Errors) -> Faults {
    let mut faults = Faults::default();
    let Some((value, span)) = plan.take("nemesis") else {
        return faults;
    };
    let tables = match value {
        DeValue::Array(tables) => tables,
        other => {
            let title = format!("`nemesis` is {}, not a list of faults", describe(&other));
            let error = PlanError::at(&span, title, "expected [[nemesis]] above each fault");
            plan.note(error);
            return faults;
        }
    };
    if tables.len() > MAX_TABLES {
        let title = format!("the plan has {} faults", tables.len());
        plan.note(PlanError::at(
            &span,
            title,
            format!("expected at most {MAX_TABLES}"),
        ));
        return faults;
    }
    let duration = around.duration.as_ref().map(|(duration, _)| *duration);
    let mut most = 0_u64;
    let mut ends = Ends::default();
    for one in tables
        .into_iter()
        .filter_map(|table| ends.place(table, errors))
        .flat_map(|table| sequence::unroll(table, around, errors))
        .flat_map(|table| read_any(table, around, errors))
    {
        most = most.saturating_add(one.most(duration.unwrap_or_default()));
        match one {
            Read::Settled(fault) => faults.settled.push(fault),
            Read::Open(fault, _) => faults.open.push(fault),
        }
    }
    check_count(plan, most, &span);
    faults
}

/// What the seed makes of the faults that each seed draws its own of.
pub(super) fn draw(faults: &Faults, seed: Seed, around: &Around<'_>) -> Vec<Declaration> {
    draw::draw(&faults.open, seed, around)
}

/// A table that was read.
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each table and taken apart at once"
)]
enum Read {
    Settled(Declaration),
    /// With some of the faults that it can be.
    Open(OpenFault, Vec<Declaration>),
}

impl Read {
    /// How many faults it makes in a run of this length, at most.
    fn most(&self, duration: Duration) -> u64 {
        match self {
            Self::Settled(fault) => fault.count(duration),
            Self::Open(_, faults) => draw::most(faults, duration),
        }
    }
}

/// Reads a table that stands for one fault or for a whole storm; nothing if anything about it is wrong.
fn read_any(table: Spanned<DeValue<'_>>, around: &Around<'_>, errors: &Errors) -> Vec<Read> {
    match table.get_ref() {
        DeValue::Table(any) if mix::is_any(any) => {
            mix::read(any.clone(), table.span(), around, errors)
        }
        _ => read_one(table, around, errors).into_iter().collect(),
    }
}

/// Reads a table; none if anything about it is wrong.
fn read_one(table: Spanned<DeValue<'_>>, around: &Around<'_>, errors: &Errors) -> Option<Read> {
    let span = table.span();
    let table = match table.into_inner() {
        DeValue::Table(table) => table,
        other => {
            let title = format!("a fault is {}, not a table", describe(&other));
            errors
                .borrow_mut()
                .push(PlanError::at(&span, title, "expected a table"));
            return None;
        }
    };
    let mut section = Section::new(
        "nemesis",
        table.clone(),
        span.clone(),
        keys::NEMESIS,
        errors,
    );
    let open = open::open_keys(&table, keys::NEMESIS, &section)?;
    let expected = "a share of seeds above 0, up to 1";
    let chance = section.number("chance", expected, |share| share > 0.0 && share <= 1.0);
    if open.is_empty() && chance.is_absent() {
        return read_table(table, span, around, errors).map(Read::Settled);
    }
    let (chance, _) = chance.known(1.0)?;
    let mut settled = table.clone();
    settled.remove("chance");
    let faults = read_choices(&settled, &span, &open, around, errors)?;
    Some(Read::Open(OpenFault::new(chance, &table), faults))
}

/// Reads a table with every two values that it leaves open, so that whatever a seed draws is a fault.
fn read_choices(
    table: &DeTable<'_>,
    span: &Span,
    open: &[Open<'_>],
    around: &Around<'_>,
    errors: &Errors,
) -> Option<Vec<Declaration>> {
    let found = Errors::default();
    let mut faults = Vec::new();
    let mut choices = vec![vec![0; open.len()]];
    for (one, options) in open.iter().enumerate() {
        for (other, others) in open.iter().enumerate().skip(one + 1) {
            for (first, second) in (0..options.options.len())
                .flat_map(|i| (0..others.options.len()).map(move |j| (i, j)))
            {
                let mut choice = vec![0; open.len()];
                (choice[one], choice[other]) = (first, second);
                choices.push(choice);
            }
        }
        if open.len() == 1 {
            choices.extend((1..options.options.len()).map(|first| vec![first]));
        }
    }
    for choice in choices {
        let mut table = table.clone();
        for (open, index) in open.iter().zip(choice) {
            if let (Some(value), Some(option)) = (table.get_mut(open.key), open.options.get(index))
            {
                *value = option.clone();
            }
        }
        faults.extend(read_table(table, span.clone(), around, &found));
    }
    // One mistake shows up in many choices.
    let mut noted: Vec<PlanError> = Vec::new();
    for error in found.into_inner() {
        if !noted.contains(&error) {
            noted.push(error);
        }
    }
    let is_right = noted.is_empty();
    errors.borrow_mut().extend(noted);
    is_right.then_some(faults)
}

/// Reads a fault that leaves nothing open; none if anything about it is wrong.
fn read_table(
    table: DeTable<'_>,
    span: Span,
    around: &Around<'_>,
    errors: &Errors,
) -> Option<Declaration> {
    let mut section = Section::new("nemesis", table, span, keys::NEMESIS, errors);
    let kind = match section.choice::<FaultKind>("fault") {
        Field::Here(kind, _) => kind,
        Field::Invalid => return None,
        Field::Absent => {
            let error = PlanError::at(section.span(), "this fault has no kind", "");
            section.note(error.help("for example `fault = \"partition\"`").missing());
            return None;
        }
    };
    let mut section = section.with_keys(kind.keys());
    let name = read_name(&mut section);
    let seed = section.seed("seed");
    let fault = kind.read(&mut section, around);
    let when = when::read(&mut section, around);
    let length = match kind.has_length() {
        true => when::read_length(&mut section, around),
        false => Some(None),
    };
    if let Some(fault) = &fault {
        model::check(&section, fault, length.flatten().is_some(), around.model);
        capability::check(&section, fault, around);
        fault::check_length(&section, fault, length.flatten());
    }
    section.finish();
    Some(Declaration {
        name: name?,
        fault: fault?,
        when: when?,
        length: length?,
        seed,
    })
}

fn read_name(section: &mut Section<'_, '_>) -> Option<Option<String>> {
    let (name, span) = match section.text("name") {
        Field::Absent => return Some(None),
        Field::Invalid => return None,
        Field::Here(name, span) => (name, span),
    };
    if name.trim().is_empty() || name.chars().count() > MAX_NAME {
        let label = format!("expected 1 to {MAX_NAME} characters");
        section.note(PlanError::at(&span, "this is no name for a fault", label));
        return None;
    }
    Some(Some(name))
}

/// All faults together, those that recur as often as they do.
fn check_count(plan: &Section<'_, '_>, count: u64, span: &Span) {
    if count > MAX_FAULTS as u64 {
        let title = format!("the plan's timeline has {count} faults");
        let error = PlanError::at(span, title, format!("expected at most {MAX_FAULTS}"));
        plan.note(error.help("`every`, `until` and `count` say how often a fault comes"));
    }
}
