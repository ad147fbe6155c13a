//! Foreign text made harmless: experiment names, evidence and explanations may hold anything.

/// What stands for a character that must not be shown.
const REPLACEMENT: char = '\u{fffd}';

/// Keeps line feeds and tabs; replaces every other control character, those that turn the direction
/// of writing (they can make text read as what it is not), and what XML 1.0 does not allow.
pub(crate) fn clean(text: &str) -> String {
    let replace = |character: char| match character {
        '\n' | '\t' => character,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => REPLACEMENT,
        _ if character.is_control() => REPLACEMENT,
        _ => character,
    };
    text.replace("\r\n", "\n").chars().map(replace).collect()
}

/// The same in one line, every run of white space one blank.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<_> = clean(text).split_whitespace().map(str::to_owned).collect();
    words.join(" ")
}

/// At most `limit` characters, with an ellipsis for what was cut.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text
            .chars()
            .take(limit.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_replaced_and_lines_stay() {
        assert_eq!(
            clean("a\0b\u{1b}[31mc\r\nd\te\u{202e}f"),
            "a\u{fffd}b\u{fffd}[31mc\nd\te\u{fffd}f"
        );
        assert_eq!(one_line("  a\n\n b\tc "), "a b c");
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüx", 3), "äö…");
    }

    proptest! {
        #[test]
        fn nothing_unprintable_is_left(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(cleaned.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
            prop_assert_eq!(clean(&cleaned), cleaned.clone());
            prop_assert!(!one_line(&text).contains('\n'));
        }
    }
}
