//! Reads the values of a section as the types that a plan needs.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::choice::Choice;
use super::duration;
use super::section::{Field, Refusal, Section};
use super::source::Span;
use super::suggest::{nearest, one_of};

impl Section<'_, '_> {
    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Field<String> {
        self.read(key, |value| match value {
            DeValue::String(text) => Ok(text.into_owned()),
            other => Err(Refusal::wrong_type(
                &other,
                "a string",
                "a string in quotes",
            )),
        })
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &'static str) -> Field<bool> {
        self.read(key, |value| match value {
            DeValue::Boolean(flag) => Ok(flag),
            other => Err(Refusal::wrong_type(
                &other,
                "true or false",
                "true or false",
            )),
        })
    }

    /// A whole number in a range.
    pub(super) fn integer<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Field<T>
    where
        T: Copy + Display + Into<u64> + TryFrom<u64>,
    {
        let (low, high): (u64, u64) = ((*range.start()).into(), (*range.end()).into());
        let expected = match high {
            u64::MAX => format!("a whole number, {low} or more"),
            _ => format!("a whole number from {low} to {high}"),
        };
        self.read(key, |value| {
            let DeValue::Integer(integer) = &value else {
                return Err(Refusal::wrong_type(&value, "a whole number", &expected));
            };
            let number = parse(integer).filter(|number| (low..=high).contains(number));
            number
                .and_then(|number| T::try_from(number).ok())
                .ok_or_else(|| {
                    let problem = match parse(integer) {
                        Some(number) if number >= low => {
                            format!("is {integer}, which is too large")
                        }
                        Some(0) => "is 0".to_owned(),
                        Some(_) => format!("is {integer}, which is too small"),
                        None if integer.as_str().starts_with('-') => "is negative".to_owned(),
                        None => "is too large a number".to_owned(),
                    };
                    Refusal::value(problem, format!("expected {expected}"))
                })
        })
    }

    /// A number, whole or not, in a range whose start may be excluded.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        expected: &str,
        allowed: impl Fn(f64) -> bool,
    ) -> Field<f64> {
        self.read(key, |value| {
            let (number, written) = match &value {
                DeValue::Integer(integer) if integer.radix() == 10 => {
                    (integer.as_str().parse().ok(), integer.to_string())
                }
                DeValue::Float(float) => (float.as_str().parse().ok(), float.to_string()),
                other => return Err(Refusal::wrong_type(other, "a number", expected)),
            };
            number
                .filter(|number: &f64| number.is_finite() && allowed(*number))
                .ok_or_else(|| {
                    Refusal::value(format!("is {written}"), format!("expected {expected}"))
                })
        })
    }

    /// A duration, at least `least`.
    pub(super) fn duration(&mut self, key: &'static str, least: Duration) -> Field<Duration> {
        self.read(key, |value| {
            let text = match &value {
                DeValue::String(text) => text,
                DeValue::Integer(number) => {
                    let refusal = Refusal::wrong_type(&value, "a duration", duration::EXPECTED);
                    let help = Some(format!(
                        "a duration has a unit: \"{number}s\", \"{number}ms\""
                    ));
                    return Err(Refusal { help, ..refusal });
                }
                other => {
                    return Err(Refusal::wrong_type(other, "a duration", duration::EXPECTED));
                }
            };
            let duration = duration::parse(text).map_err(|error| {
                Refusal::value(
                    error.to_string(),
                    format!("expected {}", duration::EXPECTED),
                )
            })?;
            if duration < least {
                let least = duration::write(least);
                let expected = format!("expected {least} or more");
                return Err(Refusal::value(
                    format!("is {text}, which is too short"),
                    expected,
                ));
            }
            Ok(duration)
        })
    }

    /// One of a fixed set of names.
    pub(super) fn choice<T: Choice>(&mut self, key: &'static str) -> Field<T> {
        let names = || T::ALL.iter().map(|(name, _)| *name);
        self.read(key, |value| {
            let DeValue::String(text) = &value else {
                return Err(Refusal::wrong_type(&value, "a name", &one_of(names())));
            };
            let found = T::ALL.iter().find(|(name, _)| *name == text.as_ref());
            found
                .map(|(_, choice)| *choice)
                .ok_or_else(|| unknown_name(text, names()))
        })
    }

    /// A list of strings, each with its place.
    pub(super) fn texts(&mut self, key: &'static str) -> Field<Vec<(String, Span)>> {
        self.read(key, |value| {
            let DeValue::Array(list) = value else {
                return Err(Refusal::wrong_type(&value, "a list", "a list of strings"));
            };
            let item = |item: toml::Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::String(text) => Ok((text.clone().into_owned(), item.span())),
                other => Err(Refusal::wrong_type(
                    other,
                    "only strings",
                    "a list of strings",
                )),
            };
            list.into_iter().map(item).collect()
        })
    }
}

/// A refusal of a name that is not among those there are.
pub(super) fn unknown_name<'a>(
    text: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Refusal {
    Refusal {
        problem: format!("cannot be \"{}\"", text.escape_debug()),
        expected: format!("expected {}", one_of(names.clone())),
        help: nearest(text, names).map(|near| format!("did you mean \"{near}\"?")),
    }
}

fn parse(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
