//! `[[nemesis]]`: the faults of a plan, read into the nemesis' own words, and written back.

mod fault;
mod model;
mod target;
mod when;
mod write;

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;
use viewstorm_nemesis::{Declaration, MAX_FAULTS};

use self::fault::FaultKind;
use super::error::PlanError;
use super::keys;
use super::model::ReadModel;
use super::section::{Errors, Field, Section, describe};
use super::source::Span;

pub(super) use self::write::serialize;

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
}

/// Reads all `[[nemesis]]`.
pub(super) fn read(
    plan: &mut Section<'_, '_>,
    around: &Around<'_>,
    errors: &Errors,
) -> Vec<Declaration> {
    let Some((value, span)) = plan.take("nemesis") else { return Vec::new() };
    let tables = match value {
        DeValue::Array(tables) => tables,
        other => {
            let title = format!("`nemesis` is {}, not a list of faults", describe(&other));
            let error = PlanError::at(&span, title, "expected [[nemesis]] above each fault");
            plan.note(error);
            return Vec::new();
        }
    };
    if tables.len() > MAX_TABLES {
        let title = format!("the plan has {} faults", tables.len());
        plan.note(PlanError::at(&span, title, format!("expected at most {MAX_TABLES}")));
        return Vec::new();
    }
    let faults: Vec<_> =
        tables.into_iter().filter_map(|table| read_one(table, around, errors)).collect();
    check_count(plan, &faults, around, &span);
    faults
}

/// Reads a fault; none if anything about it is wrong.
fn read_one(
    table: Spanned<DeValue<'_>>,
    around: &Around<'_>,
    errors: &Errors,
) -> Option<Declaration> {
    let span = table.span();
    let table = match table.into_inner() {
        DeValue::Table(table) => table,
        other => {
            let title = format!("a fault is {}, not a table", describe(&other));
            errors.borrow_mut().push(PlanError::at(&span, title, "expected a table"));
            return None;
        }
    };
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
        fault::check_length(&section, fault, length.flatten());
    }
    section.finish();
    Some(Declaration { name: name?, fault: fault?, when: when?, length: length?, seed })
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
fn check_count(
    plan: &Section<'_, '_>,
    faults: &[Declaration],
    around: &Around<'_>,
    span: &Span,
) {
    let Some((duration, _)) = around.duration else { return };
    let count = faults.iter().fold(0_u64, |sum, fault| sum.saturating_add(fault.count(duration)));
    if count > MAX_FAULTS as u64 {
        let title = format!("the plan's timeline has {count} faults");
        let error = PlanError::at(span, title, format!("expected at most {MAX_FAULTS}"));
        plan.note(error.help("`every`, `until` and `count` say how often a fault comes"));
    }
}
