//! Whatever bytes a plan's file holds, a plan or errors with places in that file come of it.

use proptest::prelude::*;
use viewstorm::plan::{Override, Plan};

/// What a fuzzer calls: reads any bytes as a plan, and holds what comes of it to what is promised.
fn fuzz(bytes: &[u8]) {
    let lines = String::from_utf8_lossy(bytes).matches('\n').count() + 1;
    match Plan::parse_bytes("fuzz.toml", bytes) {
        Ok(plan) => {
            let written = plan.to_toml();
            let again = Plan::parse("plan.toml", &written, &[]);
            assert_eq!(again.as_ref().ok(), Some(&plan), "{written}\n{again:?}");
        }
        Err(errors) => {
            assert!(!errors.errors().is_empty());
            let places = errors.errors().iter().filter_map(|error| error.place());
            for place in places {
                assert!(
                    (1..=lines).contains(&place.line),
                    "{place:?} of {lines} lines\n{errors}"
                );
            }
            assert!(errors.render(true).len() >= errors.render(false).len());
        }
    }
}

/// A change to a text.
#[derive(Clone, Debug)]
enum Mutation {
    Delete { at: usize, count: usize },
    Insert { at: usize, bytes: Vec<u8> },
    CopyLine { from: usize, to: usize },
    DropLine { line: usize },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let tokens = prop::sample::select(vec![
        "[",
        "]",
        "[[nemesis]]\n",
        "=",
        "\"",
        "'''",
        "\n",
        ".",
        "-",
        "{",
        "}",
        "0",
        "9999999999999999999",
        "1e400",
        "nan",
        "\"-1s\"",
        "true",
        "é",
        "\u{202e}",
        "r7",
        "#",
        ",",
        "\"1s\"",
        "_",
    ]);
    prop_oneof![
        (any::<usize>(), 1..20usize).prop_map(|(at, count)| Mutation::Delete { at, count }),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..4))
            .prop_map(|(at, bytes)| Mutation::Insert { at, bytes }),
        (any::<usize>(), tokens).prop_map(|(at, token)| Mutation::Insert {
            at,
            bytes: token.as_bytes().to_vec()
        }),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Mutation::CopyLine { from, to }),
        any::<usize>().prop_map(|line| Mutation::DropLine { line }),
    ]
}

fn mutate(text: &mut Vec<u8>, mutation: &Mutation) {
    let mut lines: Vec<Vec<u8>> = text
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    match mutation {
        Mutation::Delete { at, count } => {
            let at = at % (text.len() + 1);
            text.drain(at..(at + count).min(text.len()));
        }
        Mutation::Insert { at, bytes } => {
            let at = at % (text.len() + 1);
            text.splice(at..at, bytes.iter().copied());
        }
        Mutation::CopyLine { from, to } if !lines.is_empty() => {
            let line = lines[from % lines.len()].clone();
            lines.insert(to % (lines.len() + 1), line);
            *text = lines.concat();
        }
        Mutation::DropLine { line } if !lines.is_empty() => {
            lines.remove(line % lines.len());
            *text = lines.concat();
        }
        Mutation::CopyLine { .. } | Mutation::DropLine { .. } => {}
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_plan_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz(&bytes);
    }

    #[test]
    fn any_text_is_a_plan_or_errors(text in "\\PC{0,200}") {
        fuzz(text.as_bytes());
    }

    #[test]
    fn a_mutated_plan_is_a_plan_or_errors(
        plan in prop::sample::select(crate::experiments::texts()),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut text = plan.into_bytes();
        for mutation in &mutations {
            mutate(&mut text, mutation);
        }
        fuzz(&text);
    }

    #[test]
    fn any_override_is_a_plan_or_errors(key in "[a-z.0-9-]{0,30}", value in "\\PC{0,20}") {
        for plan in crate::experiments::texts() {
            let Ok(change) = Override::set(&format!("{key}={value}")) else { continue };
            if let Err(errors) = Plan::parse("x.toml", &plan, &[change]) {
                errors.render(true);
            }
        }
    }
}
