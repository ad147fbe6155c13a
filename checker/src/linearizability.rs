//! Linearizability, three ways that must agree: zones (exact, for unique values), the order that the service
//! reports, and a search.

use crate::model::{Model, ValueId};
use crate::options::CheckOptions;
use crate::register::{Partition, Register};
use crate::search::{Frontier, Purse, Searched, explain, minimise, search};
use crate::verdict::{CheckResult, Validity, Violation};
use crate::witness::{self, Witness};
use crate::zones::{self, Zones};

/// Steps that minimising one violation may take.
const MINIMISE_STEPS: u64 = 4_000_000;

/// What the per-key methods say of one key.
#[derive(Clone, Debug)]
struct KeyFindings {
    zones: Zones,
    search: Searched<ValueId>,
}

/// Judges all keys.
pub(crate) fn judge(partitions: &[Partition<'_>], options: &CheckOptions) -> CheckResult {
    let mut purse = Purse::new(options.search_budget);
    let keys: Vec<KeyFindings> = partitions
        .iter()
        .map(|partition| KeyFindings {
            zones: zones::judge(partition, options.max_violations),
            search: search(
                &Register,
                &partition.operations,
                partition.values_are_unique,
                &mut purse,
            ),
        })
        .collect();
    let witness = witness::test(partitions, options.max_violations);
    combine(partitions, &keys, witness, options)
}

/// Weighs the findings. Evidence is never dropped, and disagreement is never valid.
fn combine(
    partitions: &[Partition<'_>],
    keys: &[KeyFindings],
    witness: Witness,
    options: &CheckOptions,
) -> CheckResult {
    let mut tally = Tally::default();
    let proven = witness == Witness::Explains;
    for (partition, findings) in partitions.iter().zip(keys) {
        tally.weigh(partition, findings, proven, options);
    }
    match witness {
        Witness::Explains => tally.algorithms.push("order-witness"),
        Witness::Contradicts(violations) => {
            tally.algorithms.push("order-witness");
            tally.violations.extend(violations);
        }
        Witness::NotApplicable(reason) => tally.notes.push(format!("order witness: {reason}")),
    }
    let (judged, seeing) = count(partitions);
    if judged == 0 {
        tally
            .doubts
            .push("no operation completed, so nothing was judged".to_owned());
    } else if seeing == 0 && tally.violations.is_empty() {
        tally
            .doubts
            .push("no operation saw a value, so nothing could contradict".to_owned());
    }
    tally.result(judged, options.max_violations)
}

/// Operations that certainly happened, and those among them that saw a value.
fn count(partitions: &[Partition<'_>]) -> (u64, u64) {
    let operations = partitions
        .iter()
        .flat_map(|partition| &partition.operations);
    let certain = operations.filter(|operation| operation.is_certain());
    let seeing = certain
        .clone()
        .filter(|it| Register.wants(&it.action).is_some())
        .count();
    (certain.count() as u64, seeing as u64)
}

#[derive(Debug, Default)]
struct Tally {
    violations: Vec<Violation>,
    /// Two methods say opposite things: one of them is wrong.
    disagreements: Vec<String>,
    /// Why something is not decided.
    doubts: Vec<String>,
    /// What a reader should know besides.
    notes: Vec<String>,
    algorithms: Vec<&'static str>,
    out_of_budget: Vec<String>,
}

impl Tally {
    fn weigh(
        &mut self,
        partition: &Partition<'_>,
        findings: &KeyFindings,
        proven_by_order: bool,
        options: &CheckOptions,
    ) {
        let key = partition.key_name();
        let zones = match &findings.zones {
            Zones::Linearizable => Some(true),
            Zones::Violated(violations) => {
                self.violations.extend(violations.iter().cloned());
                Some(false)
            }
            Zones::NotApplicable(reason) => {
                self.notes.push(format!("zones: {reason}"));
                None
            }
        };
        let search = match &findings.search {
            Searched::Linearizable => Some(true),
            Searched::NotLinearizable(frontier) => {
                if zones != Some(false) {
                    self.violations.push(tell(partition, frontier, options));
                }
                Some(false)
            }
            Searched::OutOfBudget => {
                self.out_of_budget.push(key.to_owned());
                None
            }
        };
        let order = proven_by_order.then_some(true);
        let named = [
            ("zones", zones),
            ("search", search),
            ("order-witness", order),
        ];
        let saying = |answer| {
            let sayers = named.iter().filter(|(_, said)| *said == Some(answer));
            sayers.map(|(name, _)| *name).collect::<Vec<_>>()
        };
        let (for_it, against) = (saying(true), saying(false));
        if !for_it.is_empty() && !against.is_empty() {
            self.disagreements.push(format!(
                "{key}: {} finds it linearizable, {} finds that it is not",
                for_it.join(" and "),
                against.join(" and "),
            ));
        } else if for_it.is_empty() && against.is_empty() {
            self.doubts.push(format!(
                "{key}: the search's budget did not suffice, and nothing else decides"
            ));
        }
        for (name, said) in [("zones", zones), ("search", search)] {
            if said.is_some() && !self.algorithms.contains(&name) {
                self.algorithms.push(name);
            }
        }
    }

    fn result(mut self, judged: u64, max_violations: usize) -> CheckResult {
        self.violations.sort_by_key(|violation| violation.window);
        self.violations.truncate(max_violations.max(1));
        let validity = if !self.disagreements.is_empty() {
            Validity::Unknown
        } else if !self.violations.is_empty() {
            Validity::Invalid
        } else if !self.doubts.is_empty() {
            Validity::Unknown
        } else {
            Validity::Valid
        };
        let mut reasons = Vec::new();
        if !self.disagreements.is_empty() {
            let said = self.disagreements.join("; ");
            reasons.push(format!(
                "THE CHECKER CONTRADICTS ITSELF, so one of its methods is wrong: {said}"
            ));
        }
        reasons.extend(shorten(self.doubts));
        if !self.out_of_budget.is_empty() {
            let count = self.out_of_budget.len();
            let first = &self.out_of_budget[0];
            reasons.push(format!(
                "the search stopped at its budget on {count} keys ({first} first); the others decided there"
            ));
        }
        reasons.extend(shorten(self.notes));
        CheckResult {
            check: "linearizability".to_owned(),
            validity,
            algorithms: self.algorithms.into_iter().map(str::to_owned).collect(),
            judged,
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            violations: self.violations,
        }
    }
}

fn shorten(mut reasons: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 5;
    let more = reasons.len().saturating_sub(SHOWN);
    reasons.truncate(SHOWN);
    if more > 0 {
        reasons.push(format!("and {more} more of the kind"));
    }
    reasons
}

/// A violation that the search alone found, cut down to a few operations.
fn tell(
    partition: &Partition<'_>,
    frontier: &Frontier<ValueId>,
    options: &CheckOptions,
) -> Violation {
    let unique = partition.values_are_unique;
    let mut purse = Purse::new(options.search_budget).portion(MINIMISE_STEPS);
    let few = minimise(&partition.operations, unique, &mut purse);
    match search(
        &Register,
        &few,
        unique,
        &mut Purse::new(options.search_budget),
    ) {
        Searched::NotLinearizable(frontier) => explain(partition, &few, &frontier),
        _ => explain(partition, &partition.operations, frontier),
    }
}

#[cfg(test)]
mod tests;
