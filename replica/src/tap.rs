//! The tap as the control channel sees it. How rules are written is the business of whoever plugs the tap in.

use viewstorm_protocol::{Instant, Passing, Tap, TapVerdict};

/// A tap whose rules come over the control channel.
pub trait TapControl: Tap + Send {
    /// From now on these are all its rules. An error says what is wrong with them; the old ones then stay.
    fn set_rules(&mut self, rules: &serde_json::Value) -> Result<(), String>;

    /// From now on these are all the messages that it watches for, as far as it can.
    fn set_watches(&mut self, _watches: &serde_json::Value) -> Result<(), String> {
        Err("this tap takes no watches".to_owned())
    }

    /// Adds the names of the watches that are about such a message.
    fn seen(&self, _passing: &Passing, _seen: &mut Vec<u64>) {}
}

/// The tap of an honest world: everything passes, and there are no rules to set.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenTapControl;

impl Tap for OpenTapControl {
    fn inspect(&mut self, _now: Instant, _passing: &Passing) -> TapVerdict {
        TapVerdict::Pass
    }
}

impl TapControl for OpenTapControl {
    fn set_rules(&mut self, _rules: &serde_json::Value) -> Result<(), String> {
        Err("this tap takes no rules".to_owned())
    }
}
