//! Finds what was probably meant.

/// How alike two names must be (Jaro-Winkler) for one to be offered instead of the other.
const LIKENESS: f64 = 0.75;

/// The candidate that is most like `text`, if one is like it at all.
pub(super) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let text = text.to_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&text, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, candidate)| candidate)
}

/// Values as a reader would list them: `"a", "b" or "c"`.
pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    join(names.into_iter().map(|name| format!("\"{name}\"")), "or")
}

/// Keys as a reader would list them: `` `a`, `b` and `c` ``.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    join(names.into_iter().map(|name| format!("`{name}`")), "and")
}

fn join(names: impl Iterator<Item = String>, last_word: &str) -> String {
    let names: Vec<String> = names.collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("{} {last_word} {last}", rest.join(", "))
        }
        Some((only, _)) => only.clone(),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let names = ["replicas", "protocol", "durability", "base-port"];
        assert_eq!(nearest("replica", names), Some("replicas"));
        assert_eq!(nearest("base_port", names), Some("base-port"));
        assert_eq!(nearest("PROTOCOL", names), Some("protocol"));
        assert_eq!(nearest("xyzzy", names), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(one_of(["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
        assert_eq!(list(["a", "b"]), "`a` and `b`");
    }
}
