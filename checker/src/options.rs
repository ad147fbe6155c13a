//! What a history is judged for, and with how much effort.

use crate::SearchBudget;

/// The properties that there are checks for.
pub const CHECKS: &[&str] = &["linearizability", "durability"];

/// Weaker properties of registers. They are judged when they are asked for, and beside linearizability where that
/// does not hold, so that one sees what is left.
pub const WEAKER_CHECKS: &[&str] = &[
    "read-your-writes",
    "monotonic-reads",
    "monotonic-writes",
    "writes-follow-reads",
    "causal-order",
    "freshness",
];

/// The sequential models that there are.
pub const MODELS: &[&str] = &[
    "register",
    "cas-register",
    "multi-register",
    "set",
    "counter",
    "queue",
    "list",
    "mutex",
    "bank",
    "list-append",
];

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
    /// Whether the search judges also what other algorithms have decided, as far as its budget goes, so that two
    /// independent ones have to agree. Default: true.
    pub cross_check: bool,
    /// How many violations a check reports at most. Default: [`DEFAULT_MAX_VIOLATIONS`].
    pub max_violations: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            checks: CHECKS.iter().map(|check| (*check).to_owned()).collect(),
            model: None,
            search_budget: SearchBudget::default(),
            cross_check: true,
            max_violations: DEFAULT_MAX_VIOLATIONS,
        }
    }
}

/// Why a history is not judged at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A property was asked for that nothing checks.
    #[error(
        "there is no check called {name:?}; there are {}, {}",
        CHECKS.join(", "),
        WEAKER_CHECKS.join(", ")
    )]
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
    MultiRegister,
    Set,
    Counter,
    Queue,
    List,
    Mutex,
    Bank,
    ListAppend,
}

impl ModelKind {
    /// Every name, in the order in which they are tried where none is given.
    const ALL: &'static [(&'static str, Self)] = &[
        ("register", Self::Register),
        ("cas-register", Self::Register),
        ("multi-register", Self::MultiRegister),
        ("set", Self::Set),
        ("counter", Self::Counter),
        ("queue", Self::Queue),
        ("list", Self::List),
        ("mutex", Self::Mutex),
        ("bank", Self::Bank),
        ("list-append", Self::ListAppend),
    ];

    /// The operations, as a history names them.
    fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Register => &["read", "write", "cas"],
            Self::MultiRegister => &["txn", "read", "write"],
            Self::Set | Self::Counter => &["add", "read"],
            Self::Queue => &["enqueue", "dequeue"],
            Self::List => &["append", "read"],
            Self::Mutex => &["acquire", "release"],
            Self::Bank => &["transfer", "read"],
            Self::ListAppend => &["txn"],
        }
    }
}

/// The properties, as the code tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    Linearizability,
    Durability,
    /// One of [`WEAKER_CHECKS`].
    Weaker(&'static str),
}

impl Property {
    /// Its name in [`CHECKS`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linearizability => "linearizability",
            Self::Durability => "durability",
            Self::Weaker(name) => name,
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
            other => {
                let weaker = WEAKER_CHECKS.iter().find(|name| **name == other);
                let unknown = || CheckError::UnknownCheck { name: name.clone() };
                weaker
                    .map(|name| Property::Weaker(name))
                    .ok_or_else(unknown)
            }
        };
        self.checks.iter().map(settle).collect()
    }

    /// The model that a history is judged by, whose header names `header` and whose operations are `functions`.
    pub(crate) fn model_for<'a>(
        &self,
        header: Option<&str>,
        functions: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<ModelKind, CheckError> {
        let by_name = |by, name: &str| {
            let known = ModelKind::ALL.iter().find(|(known, _)| *known == name);
            let unknown = || CheckError::UnknownModel {
                by,
                name: name.to_owned(),
            };
            known.map(|(_, kind)| *kind).ok_or_else(unknown)
        };
        if let Some(name) = &self.model {
            return by_name("the caller", name);
        }
        if let Some(name) = header {
            return by_name("the history's header", name);
        }
        let fits = |kind: &ModelKind| functions.clone().all(|f| kind.operations().contains(&f));
        let kinds = || ModelKind::ALL.iter().map(|(_, kind)| *kind);
        if let Some(kind) = kinds().find(fits) {
            return Ok(kind);
        }
        let is_foreign = |f: &&str| !kinds().any(|kind| kind.operations().contains(f));
        let f = functions
            .clone()
            .find(is_foreign)
            .or_else(|| functions.clone().last());
        Err(CheckError::NoModelFits {
            f: f.unwrap_or_default().to_owned(),
        })
    }
}
