//! From the checks to the outcome: what the plan expected, and what it came to.

use viewstorm_checker::{CheckResult, Validity, Verdict};
use viewstorm_report::{Bound, Exit, Expectation, Outcome};

use crate::plan::Expect;

/// The outcome of a run with this verdict. Reservations leave nothing better than unknown; a judged bound that
/// was missed is a violation.
pub(super) fn outcome(
    verdict: &Verdict,
    reservations: &[String],
    bounds: &[Bound],
    expect: &Expect,
) -> Outcome {
    let mut validity = verdict.validity;
    if !reservations.is_empty() {
        validity = validity.max(Validity::Unknown);
    }
    if bounds.iter().any(|bound| bound.judged && !bound.met) {
        validity = Validity::Invalid;
    }
    let names_property = |property: &String| is_so(&verdict.checks, property, validity);
    let as_expected =
        validity == expect.verdict && expect.property.as_ref().is_none_or(names_property);
    let code = match validity {
        _ if as_expected => 0,
        // A violation that was to come and did not: the run shows nothing.
        Validity::Unknown => 2,
        Validity::Valid | Validity::Invalid => 1,
    };
    Outcome {
        validity,
        expected: Expectation {
            validity: expect.verdict,
            property: expect.property.clone(),
        },
        as_expected,
        exit: Exit::from_code(code),
    }
}

fn is_so(checks: &[CheckResult], property: &str, validity: Validity) -> bool {
    checks
        .iter()
        .any(|check| check.check == property && check.validity == validity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SeedQuantifier;

    fn check(name: &str, validity: Validity) -> CheckResult {
        CheckResult {
            check: name.to_owned(),
            validity,
            algorithms: Vec::new(),
            judged: 1,
            reason: None,
            violations: Vec::new(),
        }
    }

    fn exit(found: Validity, reserved: bool, expected: Validity, property: Option<&str>) -> u8 {
        let verdict = Verdict {
            validity: found,
            checks: vec![
                check("linearizability", found),
                check("durability", Validity::Valid),
            ],
        };
        let reservations = if reserved {
            vec!["interrupted".to_owned()]
        } else {
            Vec::new()
        };
        let expect = Expect {
            verdict: expected,
            property: property.map(str::to_owned),
            seeds: SeedQuantifier::Every,
        };
        outcome(&verdict, &reservations, &[], &expect).exit.code
    }

    #[test]
    fn the_exit_code_compares_what_came_with_what_was_expected() {
        use Validity::{Invalid, Unknown, Valid};
        assert_eq!(exit(Valid, false, Valid, None), 0);
        assert_eq!(exit(Invalid, false, Valid, None), 1);
        assert_eq!(exit(Unknown, false, Valid, None), 2);
        assert_eq!(exit(Valid, true, Valid, None), 2);
        // A violation stays one, whatever else went wrong.
        assert_eq!(exit(Invalid, true, Valid, None), 1);
        assert_eq!(exit(Invalid, false, Invalid, Some("linearizability")), 0);
        assert_eq!(exit(Invalid, false, Invalid, Some("durability")), 1);
        assert_eq!(exit(Valid, false, Invalid, None), 1);
        assert_eq!(exit(Unknown, false, Invalid, None), 2);
    }

    #[test]
    fn a_bound_counts_only_where_it_is_judged() {
        let verdict = Verdict {
            validity: Validity::Valid,
            checks: Vec::new(),
        };
        let expect = Expect::default();
        for (judged, validity) in [(false, Validity::Valid), (true, Validity::Invalid)] {
            let bound = Bound {
                name: "recovery".to_owned(),
                limit: "1s".to_owned(),
                measured: Some("2s".to_owned()),
                met: false,
                judged,
            };
            assert_eq!(outcome(&verdict, &[], &[bound], &expect).validity, validity);
        }
    }
}
