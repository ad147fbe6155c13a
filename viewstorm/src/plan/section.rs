//! One table of a plan while it is read: hands out its values by key, with their places, collects every
//! error instead of stopping at the first, and at the end names the keys that nobody asked for.

use std::cell::RefCell;

use toml::de::{DeTable, DeValue};

use super::error::PlanError;
use super::keys;
use super::source::Span;
use super::suggest::{list, nearest};

/// Where errors are collected.
pub(super) type Errors = RefCell<Vec<PlanError>>;

/// A table that is being read.
pub(super) struct Section<'i, 'e> {
    path: &'static str,
    span: Span,
    table: DeTable<'i>,
    /// The keys it may hold.
    keys: &'static [&'static str],
    errors: &'e Errors,
}

/// What became of a key.
#[derive(Clone, Debug)]
pub(super) enum Field<T> {
    /// It is not there.
    Absent,
    /// It is there and wrong; the error has been noted.
    Invalid,
    /// It is there and right.
    Here(T, Span),
}

impl<T> Field<T> {
    /// Its value, or this one: also when it is wrong, for then the plan never comes to be.
    pub(super) fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    /// Its value.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Here(value, _) => Some(value),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// Its value or the default, with its place if it has one; none if it is wrong, so that one mistake
    /// does not make a second error out of a rule over several keys.
    pub(super) fn known(self, default: T) -> Option<(T, Option<Span>)> {
        match self {
            Self::Here(value, span) => Some((value, Some(span))),
            Self::Absent => Some((default, None)),
            Self::Invalid => None,
        }
    }

    /// Its value if it has one; the outer is none if it is wrong.
    pub(super) fn known_some(self) -> Option<Option<T>> {
        match self {
            Self::Here(value, _) => Some(Some(value)),
            Self::Absent => Some(None),
            Self::Invalid => None,
        }
    }

    /// Whether the key is not there at all.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Where its value is.
    pub(super) fn span(&self) -> Option<&Span> {
        match self {
            Self::Here(_, span) => Some(span),
            Self::Absent | Self::Invalid => None,
        }
    }
}

impl<'i, 'e> Section<'i, 'e> {
    /// Begins to read a table that may hold `keys`. `path` is how errors call it.
    pub(super) fn new(
        path: &'static str,
        table: DeTable<'i>,
        span: Span,
        keys: &'static [&'static str],
        errors: &'e Errors,
    ) -> Self {
        Self {
            path,
            span,
            table,
            keys,
            errors,
        }
    }

    /// Begins to read the table under `key`; a missing one reads as an empty one.
    pub(super) fn section(
        &mut self,
        key: &'static str,
        keys: &'static [&'static str],
    ) -> Section<'i, 'e> {
        let path = keys::path(self.path, key);
        let (table, span) = match self.take(key) {
            None => (DeTable::new(), self.span.clone()),
            Some((DeValue::Table(table), span)) => (table, span),
            Some((value, span)) => {
                let title = format!("`{path}` is {}, not a table", describe(&value));
                let label = format!("expected a table: [{path}]");
                let hint = keys
                    .first()
                    .map(|first| format!("for example `{path}.{first} = ...`"));
                self.note(PlanError::at(&span, title, label).maybe_help(hint));
                (DeTable::new(), span)
            }
        };
        Section::new(path, table, span, keys, self.errors)
    }

    /// Whether there is a value under `key`.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes a value out, whatever its type.
    pub(super) fn take(&mut self, key: &'static str) -> Option<(DeValue<'i>, Span)> {
        assert!(
            self.keys.contains(&key),
            "{key} is not among the keys of [{}]",
            self.path
        );
        let value = self.table.remove(key)?;
        let span = value.span();
        Some((value.into_inner(), span))
    }

    /// Takes a value out and reads it; what `read` refuses becomes an error at its place.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(DeValue<'i>) -> Result<T, Refusal>,
    ) -> Field<T> {
        let Some((value, span)) = self.take(key) else {
            return Field::Absent;
        };
        match read(value) {
            Ok(value) => Field::Here(value, span),
            Err(refusal) => {
                let title = format!("`{}` {}", self.full(key), refusal.problem);
                self.note(PlanError::at(&span, title, refusal.expected).maybe_help(refusal.help));
                Field::Invalid
            }
        }
    }

    /// The same table, of which it is known by now that it may only hold these keys.
    pub(super) fn with_keys(self, keys: &'static [&'static str]) -> Self {
        Self { keys, ..self }
    }

    /// Notes an error for every key that is left: nobody asked for it.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            self.errors
                .borrow_mut()
                .push(self.unknown(key.get_ref(), &key.span()));
        }
    }

    fn unknown(&self, key: &str, span: &Span) -> PlanError {
        let place = match self.path {
            "" => "a plan".to_owned(),
            "nemesis" => "this fault".to_owned(),
            path => format!("[{path}]"),
        };
        let title = format!("{place} has no key `{key}`");
        let near = nearest(key, self.keys.iter().copied());
        let error = match near {
            Some(near) => PlanError::at(span, title, format!("did you mean `{near}`?")),
            None => PlanError::at(span, title, "unknown key"),
        };
        if near.is_some() {
            return error;
        }
        match keys::home_of(key).filter(|home| *home != self.path) {
            Some("") => error.help(format!("`{key}` belongs at the top of the plan")),
            Some("nemesis") => error.help(format!("`{key}` belongs in [[nemesis]]")),
            Some(home) => error.help(format!("`{key}` belongs in [{home}]")),
            None => error.help(format!("its keys are {}", list(self.keys.iter().copied()))),
        }
    }

    /// Notes an error.
    pub(super) fn note(&self, error: PlanError) {
        self.errors.borrow_mut().push(error);
    }

    /// How errors call a key.
    pub(super) fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Where the table is.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }
}

/// Why a value is not what its key needs.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What it is: completes a sentence that begins with the key.
    pub(super) problem: String,
    /// What it should be.
    pub(super) expected: String,
    /// What was probably meant.
    pub(super) help: Option<String>,
}

impl Refusal {
    /// A value of another type.
    pub(super) fn wrong_type(value: &DeValue<'_>, wanted: &str, expected: &str) -> Self {
        Self {
            problem: format!("is {}, not {wanted}", describe(value)),
            expected: format!("expected {expected}"),
            help: None,
        }
    }

    /// A value of the right type that cannot be.
    pub(super) fn value(problem: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            expected: expected.into(),
            help: None,
        }
    }
}

/// A value's type, in words.
pub(super) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
