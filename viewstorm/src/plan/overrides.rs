//! What the command line changes in a plan: each change is checked like the file, and its place is the
//! argument.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{PlanError, PlanErrors};
use super::section::describe;
use super::source::{Sources, Span};

/// The key of the one value of a padded document.
const PADDING: &str = "_";

/// One change to a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The argument as it was typed.
    argument: String,
    /// The key: `cluster.replicas`, `nemesis.0.at`.
    key: String,
    /// Where the argument says so.
    key_span: Span,
    /// Where the new value is in the argument.
    value_span: Span,
}

impl Override {
    /// `--set cluster.replicas=5`: the value is TOML, or, where it is not, a string without its quotes
    /// (`--set run.duration=10s`). Without a value (`--set workload.rate=`) the key is taken out of the plan.
    /// `nemesis.0.at` is a key of the first fault.
    pub fn set(assignment: &str) -> Result<Self, PlanErrors> {
        let argument = format!("--set {assignment}");
        let key_start = argument.len() - assignment.len();
        let refuse = |span: Span, title: &str, label: &str| {
            let mut sources = Sources::default();
            sources.add("command line", false, &argument);
            let error = PlanError::at(&span, title, label).help("--set cluster.replicas=5");
            Err(PlanErrors::new(sources, vec![error]))
        };
        let whole = key_start..argument.len();
        let Some((key, value)) = assignment.split_once('=') else {
            return refuse(whole, "an override has no value", "expected key=value");
        };
        let key_span = key_start..key_start + key.trim_end().len();
        if key.split('.').any(|part| part.trim().is_empty()) {
            return refuse(
                key_span,
                "an override has no key",
                "expected a key of the plan",
            );
        }
        let value_start = argument.len() - value.trim_start().len();
        let value_span = value_start..value_start + value.trim().len();
        Ok(Self {
            key: key.trim().to_owned(),
            argument,
            key_span,
            value_span,
        })
    }

    /// An argument of its own that sets one key: `--seed 7` sets `run.seed`.
    pub fn flag(flag: &str, key: &str, value: &str) -> Self {
        let argument = format!("{flag} {value}");
        let value_span = flag.len() + 1..argument.len();
        Self {
            argument,
            key: key.to_owned(),
            key_span: 0..flag.len(),
            value_span,
        }
    }

    /// `--nemesis crashes`: the faults of a profile instead of the plan's.
    pub fn profile(name: &str) -> Self {
        let table = format!("[{{ fault = \"any\", profile = {name:?} }}]");
        Self::flag("--nemesis", "nemesis", &table)
    }

    /// Adds the argument to the texts of a plan.
    pub(super) fn place(&self, sources: &mut Sources) -> Placed {
        let start = sources.add("command line", false, &self.argument);
        let shift = |span: &Span| span.start + start..span.end + start;
        let text = self
            .argument
            .get(self.value_span.clone())
            .unwrap_or_default();
        let value_span = shift(&self.value_span);
        let width = value_span.start - 1;
        Placed {
            key: self
                .key
                .split('.')
                .map(|part| part.trim().to_owned())
                .collect(),
            key_span: shift(&self.key_span),
            text: text.to_owned(),
            padded: format!("{PADDING:>width$}={text}"),
            value_span,
        }
    }
}

/// A change with its places among all texts of a plan.
#[derive(Debug)]
pub(super) struct Placed {
    key: Vec<String>,
    key_span: Span,
    value_span: Span,
    text: String,
    /// The value as a document of one key, behind as many blanks as make its offsets right.
    padded: String,
}

impl Placed {
    /// Puts the change into a plan.
    pub(super) fn apply<'i>(&'i self, root: &mut DeTable<'i>) -> Result<(), Box<PlanError>> {
        let Some((last, parents)) = self.key.split_last() else {
            return Ok(());
        };
        let mut table = root;
        let mut parts = parents.iter().enumerate();
        while let Some((depth, part)) = parts.next() {
            let entry = match table.contains_key(part.as_str()) {
                true => table.get_mut(part.as_str()),
                false => Some(
                    table
                        .entry(Spanned::new(self.key_span.clone(), part.as_str().into()))
                        .or_insert_with(|| self.value(DeValue::Table(DeTable::new()))),
                ),
            };
            let Some(entry) = entry else { return Ok(()) };
            let here = |depth: usize| self.key.get(..=depth).unwrap_or_default().join(".");
            table = match entry.get_mut() {
                DeValue::Table(inner) => inner,
                DeValue::Array(list) => match parts.next() {
                    Some((_, index)) => self.element(list, &here(depth), index)?,
                    None => return Err(self.not_a_table(&here(depth), "a list", Some("name"))),
                },
                other => return Err(self.not_a_table(&here(depth), describe(other), None)),
            };
        }
        table.remove(last.as_str());
        if !self.text.is_empty() {
            let key = Spanned::new(self.key_span.clone(), last.as_str().into());
            table.insert(key, self.parse());
        }
        Ok(())
    }

    /// The value as TOML, with offsets as all texts of the plan have them.
    fn parse(&self) -> Spanned<DeValue<'_>> {
        let text = || self.value(DeValue::String(self.text.as_str().into()));
        match DeTable::parse(&self.padded).map(Spanned::into_inner) {
            Ok(mut table) if table.len() == 1 => table.remove(PADDING).unwrap_or_else(text),
            _ => text(),
        }
    }

    fn value<'i>(&self, value: DeValue<'i>) -> Spanned<DeValue<'i>> {
        Spanned::new(self.value_span.clone(), value)
    }

    fn element<'t, 'i>(
        &self,
        list: &'t mut DeArray<'i>,
        path: &str,
        index: &str,
    ) -> Result<&'t mut DeTable<'i>, Box<PlanError>> {
        let count = list.len();
        let element = index
            .parse()
            .ok()
            .and_then(|index: usize| list.get_mut(index));
        match element.map(Spanned::get_mut) {
            Some(DeValue::Table(table)) => Ok(table),
            Some(other) => Err(self.not_a_table(&format!("{path}.{index}"), describe(other), None)),
            None => {
                let title = format!("`{path}` has no element {index}");
                let label = match count {
                    0 => "the list is empty".to_owned(),
                    count => format!("expected a number from 0 to {}", count - 1),
                };
                Err(Box::new(PlanError::at(&self.key_span, title, label)))
            }
        }
    }

    fn not_a_table(&self, path: &str, is: &str, in_list: Option<&str>) -> Box<PlanError> {
        let title = format!("`{path}` is {is}: it has no keys");
        let error = PlanError::at(&self.key_span, title, "expected the key of a table");
        let help = in_list.map(|key| format!("its first element is `{path}.0.{key}`"));
        Box::new(error.maybe_help(help))
    }
}
