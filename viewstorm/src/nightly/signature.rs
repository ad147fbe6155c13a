//! What makes two failures the same: experiment, checks, and the first reason without its numbers.

/// How long the part from the reason may be.
const REASON_CHARS: usize = 120;

/// The signature of a failure.
pub(super) fn signature(experiment: &str, checks: &[String], reasons: &[String]) -> String {
    let mut checks: Vec<&str> = checks.iter().map(String::as_str).collect();
    checks.sort_unstable();
    checks.dedup();
    let reason = reasons
        .first()
        .map_or(String::new(), |reason| shape(reason));
    format!("{experiment}: {}: {reason}", checks.join("+"))
}

/// A reason without what differs from seed to seed: numbers, and the names that end in them.
fn shape(reason: &str) -> String {
    let mut shape = String::new();
    for word in reason.split_whitespace() {
        if !shape.is_empty() {
            shape.push(' ');
        }
        // A number ends with its word: its unit may differ, too.
        let digit = word.find(|c: char| c.is_ascii_digit());
        shape.push_str(&word[..digit.unwrap_or(word.len())]);
        if digit.is_some() {
            shape.push('#');
        }
    }
    shape.chars().take(REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_matter_and_words_do() {
        let of = |reason: &str| signature("storm", &["b".into(), "a".into()], &[reason.to_owned()]);
        assert_eq!(of("op 17 of r2 is lost"), of("op 4 of r0 is lost"));
        assert_ne!(of("op 17 of r2 is lost"), of("op 17 of r2 differs"));
        assert_eq!(of("took 1.6s, too long"), of("took 993.0ms, too long"));
        assert_eq!(of("op 1"), "storm: a+b: op #");
    }
}
