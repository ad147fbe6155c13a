//! What plugs the nemesis' rules into the honest replica, which knows nothing of them.

use serde_json::Value;
use viewstorm_nemesis::{RuleTap, TapRule, TapWatch};
use viewstorm_protocol::{Instant, Passing, Tap, TapVerdict};
use viewstorm_replica::TapControl;

/// The nemesis' rules at a node's message tap, in a replica's process and in the clients' host.
#[derive(Debug, Default)]
pub struct NemesisTap {
    rules: Option<RuleTap>,
    watches: Vec<TapWatch>,
}

impl Tap for NemesisTap {
    fn inspect(&mut self, now: Instant, passing: &Passing) -> TapVerdict {
        self.rules
            .as_mut()
            .map_or(TapVerdict::Pass, |rules| rules.inspect(now, passing))
    }
}

impl TapControl for NemesisTap {
    fn set_rules(&mut self, rules: &Value) -> Result<(), String> {
        let rules: Vec<TapRule> =
            serde::Deserialize::deserialize(rules).map_err(|error| error.to_string())?;
        match &mut self.rules {
            Some(tap) if !rules.is_empty() => tap.set(rules),
            tap => *tap = (!rules.is_empty()).then(|| RuleTap::new(rules)),
        }
        Ok(())
    }

    fn set_watches(&mut self, watches: &Value) -> Result<(), String> {
        self.watches =
            serde::Deserialize::deserialize(watches).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn seen(&self, passing: &Passing, seen: &mut Vec<u64>) {
        let about = self.watches.iter().filter(|watch| watch.matches(passing));
        seen.extend(about.map(|watch| watch.id));
    }
}
