//! A small tap: `{"Prepare": "drop"}` and so on, by kind and whichever way.

use std::collections::BTreeMap;
use std::time::Duration;

use viewstorm_protocol::{Instant, Passing, Tap, TapVerdict};
use viewstorm_replica::TapControl;

/// What the rules of [`ByKind`] delay by.
pub(crate) const DELAY: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct ByKind(BTreeMap<String, String>);

impl Tap for ByKind {
    fn inspect(&mut self, _now: Instant, passing: &Passing) -> TapVerdict {
        match self.0.get(passing.kind).map(String::as_str) {
            Some("drop") => TapVerdict::Drop,
            Some("hold") => TapVerdict::Hold,
            Some("delay") => TapVerdict::Delay(DELAY),
            Some("duplicate") => TapVerdict::Duplicate(DELAY),
            _ => TapVerdict::Pass,
        }
    }
}

impl TapControl for ByKind {
    fn set_rules(&mut self, rules: &serde_json::Value) -> Result<(), String> {
        self.0 = serde_json::from_value(rules.clone()).map_err(|error| error.to_string())?;
        Ok(())
    }
}
