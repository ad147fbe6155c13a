//! What a history is judged for, and with how much effort.

use viewstorm_history::History;

use crate::SearchBudget;
use crate::register;

/// The properties that there are checks for.
pub const CHECKS: &[&str] = &["linearizability", "durability"];

/// The sequential models that there are.
pub const MODELS: &[&str] = &["register"];

/// How many violations a check reports unless it is told otherwise. One is enough to convict; a few more
/// show whether they have something in common.
pub const DEFAULT_MAX_VIOLATIONS: usize = 10;

/// How a history is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckOptions {
    /// The properties, by their names in [`CHECKS`]. Default: all.
    pub checks: Vec<String>,
    /// The model, by its name in [`MODELS`]. Default: the one that the history's header names; for a history
    /// without a header the one whose operations it has.
    pub model: Option<String>,
    /// How much the search may spend.
    pub search_budget: SearchBudget,
    /// How many violations a check reports at most. Default: [`DEFAULT_MAX_VIOLATIONS`].
    pub max_violations: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            checks: CHECKS.iter().map(|check| (*check).to_owned()).collect(),
            model: None,
            search_budget: SearchBudget::default(),
            max_violations: DEFAULT_MAX_VIOLATIONS,
        }
    }
}

/// Why a history is not judged at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A property was asked for that nothing checks.
    #[error("there is no check called {name:?}; there are {}", CHECKS.join(", "))]
    UnknownCheck {
        /// The name that was asked for.
        name: String,
    },
    /// No property was asked for.
    #[error("nothing is to be checked; there are {}", CHECKS.join(", "))]
    NothingToCheck,
    /// The options or the history's header name a model that there is not.
    #[error("{by} names the model {name:?}; there are {}", MODELS.join(", "))]
    UnknownModel {
        /// Who named it.
        by: &'static str,
        /// The name.
        name: String,
    },
    /// Neither the options nor the history say which model it is, and its operations fit none.
    #[error(
        "the history has no header, no model was named, and no model has an operation called {f:?}; \
         there are {}",
        MODELS.join(", ")
    )]
    NoModelFits {
        /// The first operation that fits no model.
        f: String,
    },
}

/// The models, as the code tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelKind {
    Register,
}

/// The properties, as the code tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    Linearizability,
    Durability,
}

impl Property {
    /// Its name in [`CHECKS`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linearizability => "linearizability",
            Self::Durability => "durability",
        }
    }
}

impl CheckOptions {
    /// The properties to check, in the order asked for.
    pub(crate) fn properties(&self) -> Result<Vec<Property>, CheckError> {
        if self.checks.is_empty() {
            return Err(CheckError::NothingToCheck);
        }
        let settle = |name: &String| match name.as_str() {
            "linearizability" => Ok(Property::Linearizability),
            "durability" => Ok(Property::Durability),
            _ => Err(CheckError::UnknownCheck { name: name.clone() }),
        };
        self.checks.iter().map(settle).collect()
    }

    /// The model that `history` is judged by.
    pub(crate) fn model_for(&self, history: &History) -> Result<ModelKind, CheckError> {
        let by_name = |by, name: &String| match name.as_str() {
            "register" => Ok(ModelKind::Register),
            _ => Err(CheckError::UnknownModel {
                by,
                name: name.clone(),
            }),
        };
        if let Some(name) = &self.model {
            return by_name("the caller", name);
        }
        if let Some(header) = &history.header {
            return by_name("the history's header", &header.model);
        }
        let foreign = |f: &&str| !register::OPERATIONS.contains(f);
        match history
            .operations
            .iter()
            .map(|event| event.f.as_str())
            .find(foreign)
        {
            Some(f) => Err(CheckError::NoModelFits { f: f.to_owned() }),
            None => Ok(ModelKind::Register),
        }
    }
}
