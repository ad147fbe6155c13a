//! How a run is judged, and what is expected of it.

use std::time::Duration;

use serde::Serialize;
use viewstorm_checker::{CHECKS, Validity};

use super::choice::{Choice, choice};
use super::error::PlanError;
use super::read::unknown_name;
use super::section::{Field, Section};
use super::source::Span;
use super::{duration, keys};

/// What every run is judged for, as far as its world shows it: replicas end by the nemesis' hand alone, the theorems
/// about their states hold, and the group makes progress once everything is healed.
pub const ALWAYS_CHECKED: &[&str] = &["replica-exits", "invariants", "liveness"];

/// How a run is judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// The properties to be checked. Default: all.
    pub checks: Vec<String>,
    /// Who is healed after the load, and has to make progress then. Default: all.
    pub liveness: Liveness,
    /// Whether a missed bound fails a run on processes, where the machine has a say in it. Default: false.
    pub strict_bounds: bool,
    /// How well the run must do. Default: no bounds.
    pub bounds: Bounds,
}

choice! {
    /// Who is healed after the load.
    pub enum Liveness {
        /// A majority, which each seed draws: what is broken outside it stays so.
        Core = "core",
        /// Everybody.
        All = "all",
    }
}

/// How well a run must do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bounds {
    /// The least share of operations that end ok, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// The most time from a fault's heal to the next operation that ends ok.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "duration::serialize_some"
    )]
    pub recovery: Option<Duration>,
    /// The most that 99 of 100 operations take.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "duration::serialize_some"
    )]
    pub latency_p99: Option<Duration>,
}

/// What is expected of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expect {
    /// The verdict. Default: valid.
    pub verdict: Validity,
    /// Which property is not valid, where the verdict is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// With a range of seeds: of how many this is expected. Default: every.
    pub seeds: SeedQuantifier,
}

choice! {
    /// Of how many seeds something is expected.
    pub enum SeedQuantifier {
        /// At least one.
        Any = "any",
        /// All.
        Every = "every",
    }
}

impl Choice for Validity {
    const ALL: &'static [(&'static str, Self)] = &[
        ("valid", Self::Valid),
        ("invalid", Self::Invalid),
        ("unknown", Self::Unknown),
    ];
}

impl Default for Check {
    fn default() -> Self {
        let checks = CHECKS.iter().map(|check| (*check).to_owned()).collect();
        Self {
            checks,
            liveness: Liveness::All,
            strict_bounds: false,
            bounds: Bounds::default(),
        }
    }
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            verdict: Validity::Valid,
            property: None,
            seeds: SeedQuantifier::Every,
        }
    }
}

impl Check {
    /// Reads `[check]`. The second is the place of the list of checks if there is one.
    pub(super) fn read(plan: &mut Section<'_, '_>) -> (Self, Option<Span>) {
        let default = Self::default();
        let mut section = plan.section("check", keys::CHECK);
        let list = section.texts("checks");
        let span = list.span().cloned();
        let checks = match list {
            Field::Here(list, span) => settle_checks(&section, list, &span),
            Field::Absent | Field::Invalid => default.checks,
        };
        let check = Self {
            checks,
            liveness: section.choice("liveness").or(default.liveness),
            strict_bounds: section.flag("strict-bounds").or(default.strict_bounds),
            bounds: Bounds::read(&mut section),
        };
        section.finish();
        (check, span)
    }
}

fn settle_checks(
    section: &Section<'_, '_>,
    list: Vec<(String, Span)>,
    list_span: &Span,
) -> Vec<String> {
    if list.is_empty() {
        let title = "a run that nothing checks proves nothing";
        section.note(
            PlanError::at(list_span, title, "expected at least one check")
                .help("leave `checks` out for all of them"),
        );
    }
    let mut checks: Vec<String> = Vec::new();
    for (check, span) in list {
        if !CHECKS.contains(&check.as_str()) {
            section.note(no_such_check(section, "checks", &check, &span));
        } else if checks.contains(&check) {
            let title = format!("\"{check}\" is listed twice");
            section.note(PlanError::at(&span, title, "the second time"));
        } else {
            checks.push(check);
        }
    }
    checks
}

fn no_such_check(section: &Section<'_, '_>, key: &str, check: &str, span: &Span) -> PlanError {
    let refusal = unknown_name(check, CHECKS.iter().copied());
    let title = format!("`{}` {}", section.full(key), refusal.problem);
    PlanError::at(span, title, refusal.expected).maybe_help(refusal.help)
}

impl Bounds {
    fn read(check: &mut Section<'_, '_>) -> Self {
        let mut section = check.section("bounds", keys::BOUNDS);
        let share = |share: f64| (0.0..=1.0).contains(&share);
        let bounds = Self {
            availability: section
                .number("availability", "a share from 0 to 1", share)
                .value(),
            recovery: section.duration("recovery", Duration::ZERO).value(),
            latency_p99: section.duration("latency-p99", Duration::ZERO).value(),
        };
        section.finish();
        bounds
    }
}

impl Expect {
    /// Reads `[expect]`; the property must be among the checks.
    pub(super) fn read(
        plan: &mut Section<'_, '_>,
        check: &Check,
        checks_span: Option<&Span>,
    ) -> Self {
        let default = Self::default();
        let mut section = plan.section("expect", keys::EXPECT);
        let verdict = section.choice("verdict");
        let property = section.text("property");
        if let Field::Here(property, span) = &property {
            if ALWAYS_CHECKED.contains(&property.as_str()) {
                // No plan leaves it out.
            } else if !CHECKS.contains(&property.as_str()) {
                section.note(no_such_check(&section, "property", property, span));
            } else if !check.checks.contains(property) {
                let title = format!("\"{property}\" is expected to be judged but not checked");
                let error = PlanError::at(span, title, "expected one of the checks");
                section.note(error.and(checks_span, "the checks"));
            }
            check_needed(&section, &verdict, span);
        }
        let expect = Self {
            verdict: verdict.or(default.verdict),
            property: property.value(),
            seeds: section.choice("seeds").or(default.seeds),
        };
        section.finish();
        expect
    }
}

/// A property is named for a verdict that is not valid: valid means that all of them hold.
fn check_needed(section: &Section<'_, '_>, verdict: &Field<Validity>, property: &Span) {
    let (verdict, span) = match verdict {
        Field::Here(Validity::Valid, span) => ("valid", Some(span)),
        Field::Absent => ("valid, the default", None),
        _ => return,
    };
    let title = format!("a property is expected, but the expected verdict is {verdict}");
    let label = "goes with `verdict = \"invalid\"` or \"unknown\"";
    section.note(PlanError::at(property, title, label).and(span, "the verdict"));
}
