//! Tables that stand for several faults, and faults that follow others: rewritten into tables that say when.
//!
//! - `fault = "rolling-restart"`: a restart of every replica, one after the other.
//! - `fault = "crash-loop"`: restarts of the target, again and again at once.
//! - `follows = "NAME"`: `at` counts from the end of the fault of that name, which comes before it in the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use viewstorm_protocol::NodeId;

use super::Around;
use crate::plan::duration;
use crate::plan::error::PlanError;
use crate::plan::section::{Errors, Section};
use crate::plan::source::Span;

/// What is written between the restarts of a rolling one where the plan does not say.
const ROLLING_GAP: Duration = Duration::from_secs(2);
/// And of a crash loop.
const LOOP_GAP: Duration = Duration::from_millis(500);
/// How often a crash loop restarts where the plan does not say.
const LOOP_TIMES: u32 = 5;
/// Keys of tables that stand for several faults.
const ROLLING: &[&str] = &[
    "fault", "name", "at", "every", "jitter", "until", "count", "gap",
];
const LOOP: &[&str] = &["fault", "name", "at", "target", "gap", "count", "seed"];

/// When the named faults end, as far as the plan fixes it.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeMap<String, Option<Duration>>);

type Table<'i> = Spanned<DeValue<'i>>;

impl Ends {
    /// Makes `at` of a table that follows another count from the run's start; none if that cannot be.
    pub(super) fn place<'i>(&mut self, mut table: Table<'i>, errors: &Errors) -> Option<Table<'i>> {
        let span = table.span();
        let DeValue::Table(inner) = table.get_mut() else {
            return Some(table);
        };
        if let Some(follows) = inner.remove("follows") {
            let end = match follows.get_ref().as_str().map(|name| self.0.get(name)) {
                Some(Some(Some(end))) => *end,
                found => {
                    let title = match found {
                        Some(Some(None)) => "this follows a fault whose end no plan can know",
                        _ => "this follows no fault",
                    };
                    let label = "expected the name of one above it, with `at` and `for`";
                    errors
                        .borrow_mut()
                        .push(PlanError::at(&follows.span(), title, label));
                    return None;
                }
            };
            let after = time(inner, "at").unwrap_or_default();
            set(inner, "at", end.saturating_add(after), &span);
        }
        if let Some(name) = inner.get("name").and_then(|name| name.get_ref().as_str()) {
            let is_once = !inner.contains_key("every") && !inner.contains_key("on");
            let end = time(inner, "at").zip(time(inner, "for").or(Some(Duration::ZERO)));
            let end = end.filter(|_| is_once).map(|(at, length)| at + length);
            self.0.insert(name.to_owned(), end);
        }
        Some(table)
    }
}

/// The tables that a table stands for: itself, unless it stands for several.
pub(super) fn unroll<'i>(table: Table<'i>, around: &Around<'_>, errors: &Errors) -> Vec<Table<'i>> {
    let span = table.span();
    let kind = match table.get_ref() {
        DeValue::Table(inner) => inner.get("fault").and_then(|kind| kind.get_ref().as_str()),
        _ => None,
    };
    let inner = match (kind, table.get_ref()) {
        (Some("rolling-restart" | "crash-loop"), DeValue::Table(inner)) => inner.clone(),
        _ => return vec![table],
    };
    let unrolled = match kind {
        Some("crash-loop") => crash_loop(inner, &span, errors),
        _ => rolling(inner, &span, around, errors),
    };
    unrolled.unwrap_or_default()
}

fn rolling<'i>(
    table: DeTable<'i>,
    span: &Span,
    around: &Around<'_>,
    errors: &Errors,
) -> Option<Vec<Table<'i>>> {
    let (mut table, gap) = read_gap(table, span, ROLLING, ROLLING_GAP, errors)?;
    let first = time(&table, "at").or_else(|| time(&table, "every"));
    text(&mut table, "fault", "restart", span);
    let restart = |replica: u16| {
        let mut table = table.clone();
        let target = DeValue::String(NodeId::replica(replica).to_string().into());
        let target = DeValue::Array([Spanned::new(span.clone(), target)].into_iter().collect());
        table.insert(key("target", span), Spanned::new(span.clone(), target));
        if let Some(first) = first {
            set(&mut table, "at", first + gap * u32::from(replica), span);
        }
        Spanned::new(span.clone(), DeValue::Table(table))
    };
    Some((0..around.replicas?).map(restart).collect())
}

fn crash_loop<'i>(table: DeTable<'i>, span: &Span, errors: &Errors) -> Option<Vec<Table<'i>>> {
    let (mut table, gap) = read_gap(table, span, LOOP, LOOP_GAP, errors)?;
    text(&mut table, "fault", "restart", span);
    set(&mut table, "every", gap, span);
    if !table.contains_key("count") {
        let first = time(&table, "at").unwrap_or(gap);
        set(&mut table, "until", first + gap * LOOP_TIMES, span);
    }
    Some(vec![Spanned::new(span.clone(), DeValue::Table(table))])
}

/// Takes `gap` out of a table, which may have no keys but these.
fn read_gap<'i>(
    mut table: DeTable<'i>,
    span: &Span,
    keys: &'static [&'static str],
    default: Duration,
    errors: &Errors,
) -> Option<(DeTable<'i>, Duration)> {
    let mut section = Section::new("nemesis", table.clone(), span.clone(), keys, errors);
    let gap = section
        .duration("gap", Duration::from_millis(10))
        .known(default);
    for key in keys {
        let _ = section.take(key);
    }
    section.finish();
    table.remove("gap");
    Some((table, gap?.0))
}

fn time(table: &DeTable<'_>, key: &str) -> Option<Duration> {
    let text = table.get(key)?.get_ref().as_str()?;
    duration::parse(text).ok()
}

fn key<'i>(name: &'static str, span: &Span) -> Spanned<std::borrow::Cow<'i, str>> {
    Spanned::new(span.clone(), name.into())
}

fn set(table: &mut DeTable<'_>, name: &'static str, time: Duration, span: &Span) {
    let time = DeValue::String(duration::write(time).into());
    table.insert(key(name, span), Spanned::new(span.clone(), time));
}

fn text(table: &mut DeTable<'_>, name: &'static str, value: &'static str, span: &Span) {
    let value = DeValue::String(value.into());
    table.insert(key(name, span), Spanned::new(span.clone(), value));
}
