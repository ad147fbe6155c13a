//! Exit codes, and the one place where they are decided.

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;

use super::{Arguments, Verb};
use crate::plan::SeedQuantifier;

/// How a command ended. In a set of runs the worst wins: harness, plan, invalid, unknown, expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: as expected.
    Expected,
    /// 2: the verdict is unknown.
    Unknown,
    /// 1: a property is violated, or an expected violation did not come.
    Invalid,
    /// 3: the plan or the arguments are wrong.
    Plan,
    /// 4: the harness failed; this says nothing about the system under test.
    Harness,
}

impl Exit {
    /// The process exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Expected => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
            Self::Plan => 3,
            Self::Harness => 4,
        }
    }

    /// What a code means.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Expected,
            1 => Self::Invalid,
            2 => Self::Unknown,
            3 => Self::Plan,
            _ => Self::Harness,
        }
    }

    /// What a judged run ends with.
    pub fn of(results: &viewstorm_report::Results) -> Self {
        Self::from_code(results.outcome.exit.code)
    }

    /// What a set of runs comes to: the worst, or, where one as expected is enough and there is one, that.
    pub fn overall(exits: &[Self], quantifier: SeedQuantifier) -> Self {
        let worst = exits.iter().copied().max().unwrap_or(Self::Expected);
        match quantifier {
            SeedQuantifier::Any if worst < Self::Plan && exits.contains(&Self::Expected) => {
                Self::Expected
            }
            SeedQuantifier::Any | SeedQuantifier::Every => worst,
        }
    }
}

/// Parses the arguments and does what they say.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; clap knows where each is to be printed.
            let exit = if error.use_stderr() {
                Exit::Plan
            } else {
                Exit::Expected
            };
            drop(error.print());
            return ExitCode::from(exit.code());
        }
    };
    // A panic unwinds first, which ends every child and relay; then it is a harness failure.
    let exit = match catch_unwind(|| dispatch(&arguments.verb)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => {
            eprintln!("viewstorm: {error:#}");
            Exit::Harness
        }
        Err(_) => Exit::Harness,
    };
    ExitCode::from(exit.code())
}

fn dispatch(verb: &Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Run(arguments) => super::run::run(arguments),
        Verb::Doctor => Ok(super::doctor::doctor()),
        Verb::Model => Ok(super::model::model()),
        Verb::DryRun(arguments) => super::dry_run::dry_run(arguments),
        Verb::Simulate(arguments) => super::simulate::simulate(arguments),
        Verb::Replay(arguments) => super::replay::replay(arguments),
        Verb::Shrink(arguments) => super::shrink::shrink(arguments),
        Verb::Reproduce(arguments) => super::shrink::reproduce(arguments),
        Verb::Mutants(arguments) => super::mutants::mutants(arguments),
        Verb::Nightly(arguments) => super::nightly::nightly(arguments),
        Verb::Open(arguments) => super::open::open(arguments),
        Verb::Check(arguments) => super::check::check(arguments),
        Verb::Report(arguments) => super::report::report(arguments),
        Verb::Replica(arguments) => super::replica::replica(arguments),
        Verb::Bench(arguments) => super::bench::bench(arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_as_expected_is_enough_where_the_plan_says_any() {
        let exits = [Exit::Invalid, Exit::Expected, Exit::Unknown];
        assert_eq!(Exit::overall(&exits, SeedQuantifier::Any), Exit::Expected);
        assert_eq!(Exit::overall(&exits, SeedQuantifier::Every), Exit::Invalid);
        let harness = [Exit::Harness, Exit::Expected];
        assert_eq!(Exit::overall(&harness, SeedQuantifier::Any), Exit::Harness);
    }

    #[test]
    fn in_a_set_the_worst_wins() {
        let from_worst = [
            Exit::Harness,
            Exit::Plan,
            Exit::Invalid,
            Exit::Unknown,
            Exit::Expected,
        ];
        assert!(from_worst.is_sorted_by(|worse, better| worse > better));
        assert_eq!(from_worst.map(Exit::code), [4, 3, 1, 2, 0]);
    }
}
