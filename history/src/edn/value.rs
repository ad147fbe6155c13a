//! EDN's values, as far as histories use them.

use serde_json::{Map, Number, Value};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Edn {
    Nil,
    Boolean(bool),
    Integer(i64),
    /// A whole number that is larger, a fraction, a symbol, a character: as it is written.
    Other(String),
    Float(f64),
    Text(String),
    Keyword(String),
    /// A list, a vector or a set.
    List(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
}

impl Edn {
    /// The field of a map under a keyword.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(fields) = self else {
            return None;
        };
        let is_it = |key: &Self| matches!(key, Self::Keyword(key) if key == name);
        fields
            .iter()
            .find(|(key, _)| is_it(key))
            .map(|(_, value)| value)
    }

    /// The name of a keyword, or a text.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Keyword(name) | Self::Text(name) | Self::Other(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn as_count(&self) -> Option<u64> {
        match self {
            Self::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The elements of a list of two.
    pub(super) fn as_pair(&self) -> Option<(&Self, &Self)> {
        match self {
            Self::List(elements) => match elements.as_slice() {
                [one, other] => Some((one, other)),
                _ => None,
            },
            _ => None,
        }
    }

    /// As a key of a partition or a field.
    pub(super) fn key_text(&self) -> String {
        match self {
            Self::Text(text) | Self::Keyword(text) | Self::Other(text) => text.clone(),
            other => other.to_json().to_string(),
        }
    }

    /// As JSON: keywords are texts, sets are lists.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Nil => Value::Null,
            Self::Boolean(it) => Value::Bool(*it),
            Self::Integer(number) => Value::Number((*number).into()),
            Self::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Other(text) | Self::Text(text) | Self::Keyword(text) => {
                Value::String(text.clone())
            }
            Self::List(elements) => elements.iter().map(Self::to_json).collect(),
            Self::Map(fields) => {
                let fields: Map<String, Value> = fields
                    .iter()
                    .map(|(key, value)| (key.key_text(), value.to_json()))
                    .collect();
                Value::Object(fields)
            }
        }
    }
}
