//! A fault that leaves something open: each seed draws its own.
//!
//! Where a fault has one value, a list leaves it open: of two times or numbers it is anything between them, of
//! names it is one of them. Where it has a list, a list of lists is one of them. `"any"` is any name there is.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use viewstorm_protocol::NodeId;

use super::fault::{EPOCH_KINDS, MESSAGE_KINDS, READ_KINDS, names_of};
use super::target;
use crate::plan::duration;
use crate::plan::error::PlanError;
use crate::plan::section::{Section, describe};
use crate::plan::source::Span;

/// Keys whose value is itself a list, so that a list leaves nothing open.
const LISTS: &[&str] = &["views", "numbers", "groups", "links", "trace", "regions"];
/// Keys that are the fault's own and never open.
const OWN: &[&str] = &["name", "seed", "chance"];
/// The most values of one key that may be named.
const MAX_OPTIONS: usize = 64;
/// How "any" is written.
const ANY: &str = "any";

/// A fault of a plan that each seed makes a fault of its own, or none.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenFault {
    /// The share of seeds that have it at all.
    pub(super) chance: f64,
    /// Its keys, as the plan has them, but for `chance`.
    pub(super) settings: BTreeMap<String, Setting>,
}

/// What a plan says of one key of a fault.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Setting {
    /// It is this.
    Fixed(toml::Value),
    /// It is between these.
    Between(toml::Value, toml::Value),
    /// It is one of these.
    OneOf(Vec<toml::Value>),
    /// It is any of these, which are all there are.
    Any(Vec<toml::Value>),
}

/// An open key while its table is read: the values that it can have, or the ends of what it can be.
pub(super) struct Open<'i> {
    pub(super) key: &'static str,
    pub(super) options: Vec<Spanned<DeValue<'i>>>,
}

impl OpenFault {
    /// What a table says; its values have been read and are right.
    pub(super) fn new(chance: f64, table: &DeTable<'_>) -> Self {
        let setting = |key: &str, value: &DeValue<'_>| {
            Some((key.to_owned(), Setting::new(key, value, table)?))
        };
        let keys = table.iter().filter(|(key, _)| key.get_ref() != "chance");
        let settings = keys.filter_map(|(key, value)| setting(key.get_ref(), value.get_ref()));
        Self {
            chance,
            settings: settings.collect(),
        }
    }
}

impl Setting {
    fn new(key: &str, value: &DeValue<'_>, table: &DeTable<'_>) -> Option<Self> {
        let items = |list: &[Spanned<DeValue<'_>>]| -> Option<Vec<toml::Value>> {
            list.iter().map(|item| owned(item.get_ref())).collect()
        };
        Some(match (form(key, value), value) {
            (Form::Any, _) => Self::Any(any_of(key, table)?),
            (Form::Between, DeValue::Array(list)) => match &list[..] {
                [least, most] => Self::Between(owned(least.get_ref())?, owned(most.get_ref())?),
                _ => return None,
            },
            (Form::OneOf, DeValue::Array(list)) => Self::OneOf(items(list)?),
            _ => Self::Fixed(owned(value)?),
        })
    }
}

/// The open keys of a table of faults. What looks open and is not right is noted as an error.
pub(super) fn open_keys<'i>(
    table: &DeTable<'i>,
    keys: &'static [&'static str],
    section: &Section<'_, '_>,
) -> Option<Vec<Open<'i>>> {
    let mut open = Vec::new();
    let mut is_right = true;
    for key in keys {
        let Some(value) = table.get(*key) else {
            continue;
        };
        match options(key, value, table) {
            Ok(Some(options)) => open.push(Open { key, options }),
            Ok(None) => {}
            Err((title, label)) => {
                is_right = false;
                let title = format!("`nemesis.{key}` {title}");
                section.note(PlanError::at(&value.span(), title, label));
            }
        }
    }
    is_right.then_some(open)
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Fixed,
    Between,
    OneOf,
    Any,
    /// A list that is none of these.
    Neither,
}

fn form(key: &str, value: &DeValue<'_>) -> Form {
    let list = match value {
        DeValue::String(text) if text == ANY && !OWN.contains(&key) && !LISTS.contains(&key) => {
            return Form::Any;
        }
        DeValue::Array(list) if !OWN.contains(&key) && !LISTS.contains(&key) => list,
        _ => return Form::Fixed,
    };
    let all = |is: fn(&DeValue<'_>) -> bool| list.iter().all(|item| is(item.get_ref()));
    match key {
        "kinds" if !list.is_empty() && all(|item| item.is_array()) => Form::OneOf,
        // A list of nodes is these nodes.
        "target" | "peers" | "members" | "add" | "remove"
            if all(|item| !item.is_str() || is_node(item)) =>
        {
            Form::Fixed
        }
        "kinds" => Form::Fixed,
        _ if list.len() == 2 && (all(is_number) || all(is_duration)) => Form::Between,
        _ if !list.is_empty() && all(|item| item.is_str() && !is_duration(item)) => Form::OneOf,
        _ => Form::Neither,
    }
}

type Refused = (String, String);

/// The values that an open key can have, or the two ends of what it can be; none if it is not open.
fn options<'i>(
    key: &str,
    value: &Spanned<DeValue<'i>>,
    table: &DeTable<'i>,
) -> Result<Option<Vec<Spanned<DeValue<'i>>>>, Refused> {
    let list = || {
        value
            .get_ref()
            .as_array()
            .into_iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
    };
    let options = match form(key, value.get_ref()) {
        Form::Fixed => return Ok(None),
        Form::Any => {
            let named = any_of(key, table).into_iter().flatten();
            let options: Vec<_> = named
                .filter_map(|name| spanned(&name, &value.span()))
                .collect();
            if options.is_empty() {
                let label = "expected a value, or a range of two".to_owned();
                return Err(("cannot be \"any\"".to_owned(), label));
            }
            options
        }
        Form::Between => {
            let list = list();
            if let [least, most] = list.as_slice()
                && size(least.get_ref()) > size(most.get_ref())
            {
                let label = "expected the least and then the most".to_owned();
                return Err(("is a range backwards".to_owned(), label));
            }
            list
        }
        Form::OneOf => list(),
        Form::Neither => {
            let label = "expected one value, a range such as [\"1s\", \"2s\"] or [0.1, 0.5], or a \
                         list of names to choose from";
            let is = describe(value.get_ref());
            return Err((
                format!("is {is} that leaves nothing open"),
                label.to_owned(),
            ));
        }
    };
    if options.len() > MAX_OPTIONS {
        let title = format!("leaves {} values open", options.len());
        return Err((title, format!("expected at most {MAX_OPTIONS}")));
    }
    Ok(Some(options))
}

/// The kinds of messages that any group says.
fn kinds() -> impl Iterator<Item = &'static str> {
    let kinds = MESSAGE_KINDS.iter().copied();
    kinds.filter(|kind| !EPOCH_KINDS.contains(kind) && !READ_KINDS.contains(kind))
}

/// All values that have a name.
fn any_of(key: &str, table: &DeTable<'_>) -> Option<Vec<toml::Value>> {
    let text = |name: &str| toml::Value::String(name.to_owned());
    Some(match key {
        "target" | "peers" => target::names_of_targets().map(text).collect(),
        "kind" => kinds().map(text).collect(),
        "kinds" => kinds()
            .filter(|kind| *kind != viewstorm_nemesis::PROBE_KIND)
            .map(|kind| toml::Value::Array(vec![text(kind)]))
            .collect(),
        key => {
            let fault = table
                .get("fault")
                .and_then(|fault| fault.get_ref().as_str());
            names_of(key, fault)?.into_iter().map(text).collect()
        }
    })
}

fn is_node(value: &DeValue<'_>) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.parse::<NodeId>().is_ok())
}

fn is_number(value: &DeValue<'_>) -> bool {
    value.is_integer() || value.is_float()
}

fn is_duration(value: &DeValue<'_>) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()))
}

/// How much a number or a duration is.
fn size(value: &DeValue<'_>) -> f64 {
    match owned(value) {
        Some(toml::Value::String(text)) => {
            duration::parse(&text).map_or(0.0, |it| it.as_secs_f64())
        }
        Some(toml::Value::Integer(number)) => number as f64,
        Some(toml::Value::Float(number)) => number,
        _ => 0.0,
    }
}

/// A value without its places; none if it is too large for one.
fn owned(value: &DeValue<'_>) -> Option<toml::Value> {
    Some(match value {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => {
            toml::Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Float(number) => toml::Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(flag) => toml::Value::Boolean(*flag),
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
        DeValue::Array(list) => toml::Value::Array(
            list.iter()
                .map(|item| owned(item.get_ref()))
                .collect::<Option<_>>()?,
        ),
    })
}

/// A name, or a list of names, as if it stood at this place.
fn spanned<'i>(value: &toml::Value, span: &Span) -> Option<Spanned<DeValue<'i>>> {
    let inner = match value {
        toml::Value::String(text) => DeValue::String(text.clone().into()),
        toml::Value::Array(list) => DeValue::Array(
            list.iter()
                .map(|item| spanned(item, span))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    };
    Some(Spanned::new(span.clone(), inner))
}

impl Serialize for OpenFault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let chance = (self.chance < 1.0).then_some(("chance", toml::Value::Float(self.chance)));
        let settings = self
            .settings
            .iter()
            .map(|(key, setting)| (key.as_str(), setting.written()));
        serializer.collect_map(chance.into_iter().chain(settings))
    }
}

impl Setting {
    /// As a plan has it.
    pub(super) fn written(&self) -> toml::Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Between(least, most) => toml::Value::Array(vec![least.clone(), most.clone()]),
            Self::OneOf(values) => toml::Value::Array(values.clone()),
            Self::Any(_) => toml::Value::String(ANY.to_owned()),
        }
    }
}
