//! Linearizability: the model's own algorithm where it has one, the order that the service reports, and a
//! search. Whichever of them can decide must agree.

use crate::model::{Exact, Model};
use crate::options::CheckOptions;
use crate::parallel;
use crate::partition::Partition;
use crate::search::{Frontier, Purse, Searched, explain, minimise, search};
use crate::verdict::{CheckResult, Validity, Violation};
use crate::witness::{self, Witness};

/// Steps that minimising one violation may take.
const MINIMISE_STEPS: u64 = 4_000_000;

/// What the per-partition methods say of one.
#[derive(Clone, Debug)]
struct Findings {
    exact: Exact,
    /// None where others had decided.
    search: Option<Searched>,
}

/// Judges all partitions.
pub(crate) fn judge<M: Model>(
    partitions: &[Partition<'_, M>],
    options: &CheckOptions,
) -> CheckResult {
    let size = partitions
        .iter()
        .map(|partition| partition.operations.len())
        .sum();
    let exact = parallel::for_each(partitions.len(), size, |place| {
        M::exact(&partitions[place], options.max_violations)
    });
    let witness = witness::test(partitions, options.max_violations);
    let is_proven = witness == Witness::Explains;
    let is_open = |exact: &Exact| {
        options.cross_check || (!is_proven && matches!(exact, Exact::NotApplicable(_)))
    };
    let open = exact.iter().filter(|exact| is_open(exact)).count();
    let budget = options.search_budget.share(open);
    let searched = parallel::for_each(partitions.len(), size, |place| {
        let partition = &partitions[place];
        is_open(&exact[place]).then(|| {
            search(
                &partition.model,
                &partition.operations,
                partition.values_are_unique,
                &mut Purse::new(budget),
            )
        })
    });
    let findings: Vec<Findings> = exact
        .into_iter()
        .zip(searched)
        .map(|(exact, search)| Findings { exact, search })
        .collect();
    combine(partitions, &findings, witness, options)
}

/// Weighs the findings. Evidence is never dropped, and disagreement is never valid.
fn combine<M: Model>(
    partitions: &[Partition<'_, M>],
    findings: &[Findings],
    witness: Witness,
    options: &CheckOptions,
) -> CheckResult {
    let mut tally = Tally::default();
    let proven = witness == Witness::Explains;
    for (partition, findings) in partitions.iter().zip(findings) {
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
    let (judged, showing) = count(partitions);
    if judged == 0 {
        tally
            .doubts
            .push("no operation completed, so nothing was judged".to_owned());
    } else if showing == 0 && tally.violations.is_empty() {
        tally
            .doubts
            .push("no operation saw a value, so nothing could contradict".to_owned());
    }
    tally.result(judged, options.max_violations)
}

/// Operations that certainly happened, and those among them that show something.
fn count<M: Model>(partitions: &[Partition<'_, M>]) -> (u64, u64) {
    let (mut certain, mut showing) = (0, 0);
    for partition in partitions {
        for operation in partition
            .operations
            .iter()
            .filter(|operation| operation.is_certain())
        {
            certain += 1;
            showing += u64::from(partition.model.shows(&operation.action));
        }
    }
    (certain, showing)
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
    out_of_budget: Vec<(String, &'static str)>,
}

impl Tally {
    fn weigh<M: Model>(
        &mut self,
        partition: &Partition<'_, M>,
        findings: &Findings,
        proven_by_order: bool,
        options: &CheckOptions,
    ) {
        let key = partition.key_name();
        let exact = match &findings.exact {
            Exact::Linearizable => Some(true),
            Exact::Violated(violations) => {
                self.violations.extend(violations.iter().cloned());
                Some(false)
            }
            Exact::NotApplicable(reason) => {
                let reason = reason
                    .iter()
                    .map(|reason| format!("{}: {reason}", M::EXACT));
                self.notes.extend(reason);
                None
            }
        };
        let search = match &findings.search {
            Some(Searched::Linearizable) => Some(true),
            Some(Searched::NotLinearizable(frontier)) => {
                if exact != Some(false) {
                    self.violations.push(tell(partition, frontier, options));
                }
                Some(false)
            }
            Some(Searched::OutOfBudget(what)) => {
                self.out_of_budget.push((key.to_owned(), what));
                None
            }
            None => None,
        };
        let order = proven_by_order.then_some(true);
        let named = [
            (M::EXACT, exact),
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
        for (name, said) in [(M::EXACT, exact), ("search", search)] {
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
            let (first, what) = &self.out_of_budget[0];
            reasons.push(format!(
                "the search stopped at its budget of {what} on {count} keys ({first} first)"
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
fn tell<M: Model>(
    partition: &Partition<'_, M>,
    frontier: &Frontier,
    options: &CheckOptions,
) -> Violation {
    let mut purse = Purse::new(options.search_budget).portion(MINIMISE_STEPS);
    let few = minimise(partition, &mut purse);
    let unique = partition.values_are_unique;
    match search(
        &partition.model,
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
