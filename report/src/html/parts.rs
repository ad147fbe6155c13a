//! Small pieces that several sections use.

use maud::{Markup, html};
use serde_json::Value;
use viewstorm_checker::Validity;

use crate::text;

/// How much of a foreign text is shown.
const TEXT_CHARS: usize = 1200;

/// Foreign text, cleaned and cut. maud escapes it.
pub(super) fn foreign(foreign: &str) -> String {
    text::shorten(&text::clean(foreign), TEXT_CHARS)
}

/// The class that colours a verdict.
pub(super) fn verdict_class(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "valid",
        Validity::Unknown => "unknown",
        Validity::Invalid => "invalid",
    }
}

/// A verdict as a chip.
pub(super) fn verdict_chip(validity: Validity) -> Markup {
    html! { span.chip.(verdict_class(validity)) { (validity) } }
}

/// JSON that may stand in a script element: nothing in it ends the element.
pub(super) fn script_json(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_end_its_script() {
        let value = Value::String("</script><!--".to_owned());
        let json = script_json(&value);
        assert!(!json.contains('<'));
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
    }
}
