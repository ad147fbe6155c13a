//! When a fault comes and how long it stays.

use std::time::Duration;

use viewstorm_nemesis::When;

use super::{Around, trigger};
use crate::plan::duration;
use crate::plan::error::PlanError;
use crate::plan::section::{Field, Section};
use crate::plan::source::Span;

const LEAST: Duration = Duration::from_millis(1);

/// Reads `at`, `every` and what goes with them; none if something is wrong.
pub(super) fn read(section: &mut Section<'_, '_>, around: &Around<'_>) -> Option<When> {
    let at = section.duration("at", Duration::ZERO);
    let every = section.duration("every", LEAST);
    let jitter = section.duration("jitter", Duration::ZERO);
    let until = section.duration("until", LEAST);
    let count = section.integer("count", 1..=u32::MAX);
    if section.has("on") {
        let strays = [every.span(), jitter.span(), until.span()];
        let is_valid = check_at(section, &at, around) && check_waiting(section, strays);
        let (at, count) = (at.known(Duration::ZERO), count.known_some());
        let when = trigger::read(section, at?.0, count?, around);
        return when.filter(|_| is_valid);
    }
    if !trigger::check_stray(section) {
        return None;
    }
    let is_valid = !matches!(every, Field::Invalid)
        && check_at(section, &at, around)
        && check_recurring(section, &every, [jitter.span(), until.span(), count.span()]);
    match (at, every) {
        (Field::Absent, Field::Absent) => {
            let error = PlanError::at(section.span(), "this fault has no time", "");
            let help = "for example `at = \"3s\"`, `every = \"5s\"` or `on = \"view-change\"`";
            section.note(error.help(help).missing());
            None
        }
        (Field::Here(at, _), Field::Absent) if is_valid => Some(When::At(at)),
        (at, Field::Here(period, span)) if is_valid => {
            let first = at.or(period);
            check_reached(section, first, &until, &span, around)?;
            check_jitter(section, period, &jitter)?;
            Some(When::Every {
                period,
                first,
                jitter: jitter.known(Duration::ZERO)?.0,
                until: until.known_some()?,
                count: count.known_some()?,
            })
        }
        _ => None,
    }
}

/// Reads `for`. The outer is none if it is wrong.
pub(super) fn read_length(
    section: &mut Section<'_, '_>,
    around: &Around<'_>,
) -> Option<Option<Duration>> {
    let length = section.duration("for", LEAST);
    if let (Field::Here(length, span), Some((duration, duration_span))) =
        (&length, &around.duration)
        && length > duration
    {
        let title = format!(
            "this fault is longer than the run of {}",
            duration::write(*duration)
        );
        let error = PlanError::at(span, title, "expected at most the run's duration");
        let error = error.help("leave `for` out for a fault that stays until the run's end");
        section.note(error.and(duration_span.as_ref(), "the duration"));
        return None;
    }
    length.known_some()
}

fn check_at(section: &Section<'_, '_>, at: &Field<Duration>, around: &Around<'_>) -> bool {
    match (at, &around.duration) {
        (Field::Invalid, _) => false,
        (Field::Here(at, span), Some((duration, duration_span))) if at >= duration => {
            let title = "this fault comes after the run's end";
            let label = format!("expected less than {}", duration::write(*duration));
            let error = PlanError::at(span, title, label);
            section.note(error.and(duration_span.as_ref(), "the duration"));
            false
        }
        _ => true,
    }
}

/// What waits for something has no times of its own.
fn check_waiting(section: &Section<'_, '_>, spans: [Option<&Span>; 3]) -> bool {
    let stray: Vec<_> = ["every", "jitter", "until"]
        .into_iter()
        .zip(spans)
        .collect();
    for (key, span) in &stray {
        if let Some(span) = span {
            let title = format!("`{key}` and `on` both say when this fault comes");
            let error = PlanError::at(span, title, "does not go with `on`");
            section.note(error.help("`times` says how often it comes, `at` from when on it waits"));
        }
    }
    stray.iter().all(|(_, span)| span.is_none())
}

/// What says how a fault recurs needs one that does.
fn check_recurring(
    section: &Section<'_, '_>,
    every: &Field<Duration>,
    spans: [Option<&Span>; 3],
) -> bool {
    if !every.is_absent() {
        return true;
    }
    let stray: Vec<_> = ["jitter", "until", "count"]
        .into_iter()
        .zip(spans)
        .collect();
    for (key, span) in &stray {
        if let Some(span) = span {
            let title = format!("`{key}` is about a fault that comes again and again");
            let error = PlanError::at(span, title, "needs `every`");
            section.note(error.help("for example `every = \"5s\"`; `at` then says when first"));
        }
    }
    stray.iter().all(|(_, span)| span.is_none())
}

fn check_reached(
    section: &Section<'_, '_>,
    first: Duration,
    until: &Field<Duration>,
    every_span: &Span,
    around: &Around<'_>,
) -> Option<()> {
    if let Field::Here(until, span) = until
        && *until <= first
    {
        let title = "this fault never comes";
        let label = format!(
            "expected more than {}, when it comes first",
            duration::write(first)
        );
        section.note(PlanError::at(span, title, label));
        return None;
    }
    if let Some((duration, duration_span)) = &around.duration
        && first >= *duration
    {
        let title = "this fault comes after the run's end";
        let label = format!("expected less than {}", duration::write(*duration));
        let error = PlanError::at(every_span, title, label);
        section.note(error.and(duration_span.as_ref(), "the duration"));
        return None;
    }
    Some(())
}

fn check_jitter(
    section: &Section<'_, '_>,
    period: Duration,
    jitter: &Field<Duration>,
) -> Option<()> {
    match jitter {
        Field::Here(jitter, span) if *jitter > period => {
            let label = format!("expected at most {}, the period", duration::write(period));
            let title = "this jitter is longer than the time from one fault to the next";
            section.note(PlanError::at(span, title, label));
            None
        }
        _ => Some(()),
    }
}
