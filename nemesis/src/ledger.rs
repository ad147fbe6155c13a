//! What became of each fault: from its place in the plan to the probe that shows it gone.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};
use viewstorm_history::{FaultEvent, Stage, Timestamp};
use viewstorm_protocol::NodeId;

use crate::{Action, Link, ScheduledFault};

/// The most unexpected exits that are kept.
const MAX_EXITS: usize = 1_000;

/// What became of the faults of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    entries: Vec<LedgerEntry>,
    unexpected_exits: Vec<String>,
}

/// What became of a fault. A stage that was not reached has no time.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// Its number: its place in the timeline.
    pub id: u64,
    /// `partition`, `kill`, ...
    pub name: &'static str,
    /// The name that the plan gave it.
    pub label: Option<String>,
    /// Its parameters, in words.
    pub description: String,
    /// Whom it hit.
    pub targets: Vec<NodeId>,
    /// The directed links that it touched.
    pub links: Vec<Link>,
    /// Whether it waits for something to happen.
    pub has_trigger: bool,
    /// When the timeline wanted it; with a trigger, from when on that counted.
    pub planned_at: Timestamp,
    /// When it was applied.
    pub injected_at: Option<Timestamp>,
    /// When it was shown to have taken effect.
    pub confirmed_at: Option<Timestamp>,
    /// When it was taken back.
    pub healed_at: Option<Timestamp>,
    /// When it was shown to be gone.
    pub healed_confirmed_at: Option<Timestamp>,
    /// What shows that it took effect.
    pub evidence: Option<String>,
    /// What shows that it is gone.
    pub healed_evidence: Option<String>,
    /// What stays of it for ever, where only a core was healed.
    pub stays: Option<String>,
    /// What went wrong: not applied, not confirmed, not healed, and why.
    pub failure: Option<String>,
    /// All that went wrong came of faults that it overlapped with, which have evidence of their own.
    pub overlapped: bool,
    /// The run ended before its time came, or before what it waits for happened.
    pub not_reached: bool,
}

/// How many faults came and went as planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerTotals {
    /// In the timeline.
    pub planned: u64,
    /// Applied.
    pub applied: u64,
    /// Shown to have taken effect.
    pub confirmed: u64,
    /// Shown to be gone.
    pub healed: u64,
    /// Something went wrong with them, and it did not come of other faults alone.
    pub failed: u64,
    /// Other faults kept them from being applied or shown.
    pub overlapped: u64,
    /// The run ended before their time came.
    pub not_reached: u64,
}

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Inject,
    Confirm,
    Heal,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inject => "not applied",
            Self::Confirm => "not confirmed",
            Self::Heal => "not healed",
        })
    }
}

impl Ledger {
    /// Every fault, in the order of the timeline.
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.entries
    }

    /// Replicas that ended without the nemesis' doing: `r1: exit code 101 at 3.200s`.
    pub fn unexpected_exits(&self) -> &[String] {
        &self.unexpected_exits
    }

    /// The faults that are applied now, by name.
    pub fn active(&self) -> impl Iterator<Item = &'static str> + '_ {
        let is_active =
            |entry: &&LedgerEntry| entry.injected_at.is_some() && entry.healed_at.is_none();
        self.entries
            .iter()
            .filter(is_active)
            .map(|entry| entry.name)
    }

    /// The sums.
    pub fn totals(&self) -> LedgerTotals {
        let count = |is: &dyn Fn(&LedgerEntry) -> bool| {
            self.entries.iter().filter(|entry| is(entry)).count() as u64
        };
        LedgerTotals {
            planned: self.entries.len() as u64,
            applied: count(&|entry| entry.injected_at.is_some()),
            confirmed: count(&|entry| entry.confirmed_at.is_some()),
            healed: count(&|entry| entry.healed_confirmed_at.is_some()),
            failed: count(&|entry| entry.failure.is_some() && !entry.overlapped),
            overlapped: count(&|entry| entry.overlapped),
            not_reached: count(&|entry| entry.not_reached),
        }
    }

    pub(crate) fn plan(&mut self, fault: &ScheduledFault, start: Timestamp) {
        self.entries.push(LedgerEntry {
            id: self.entries.len() as u64,
            name: fault.fault.name(),
            label: fault.name.clone(),
            description: match &fault.trigger {
                None => fault.fault.to_string(),
                Some(trigger) => format!("{}, on {trigger}", fault.fault),
            },
            has_trigger: fault.trigger.is_some(),
            targets: Vec::new(),
            links: Vec::new(),
            planned_at: start + fault.at,
            injected_at: None,
            confirmed_at: None,
            healed_at: None,
            healed_confirmed_at: None,
            evidence: None,
            healed_evidence: None,
            stays: None,
            failure: None,
            overlapped: false,
            not_reached: false,
        });
    }

    pub(crate) fn entry(&mut self, fault: usize) -> &mut LedgerEntry {
        &mut self.entries[fault]
    }

    pub(crate) fn exited(&mut self, exit: String) {
        if self.unexpected_exits.len() < MAX_EXITS {
            self.unexpected_exits.push(exit);
        }
    }
}

/// Each changes the entry and writes the same to the history.
impl LedgerEntry {
    pub(crate) fn planned(&self, length: Option<Duration>, now: Timestamp) -> Action {
        let mut value = Map::new();
        if let Some(label) = &self.label {
            value.insert("name".to_owned(), json!(label));
        }
        value.insert("description".to_owned(), json!(self.description));
        let at = if self.has_trigger { "from" } else { "at" };
        value.insert(at.to_owned(), json!(self.planned_at));
        if let Some(length) = length {
            value.insert("for".to_owned(), json!(Timestamp::from(length)));
        }
        self.record(now, Stage::Plan, Value::Object(value))
    }

    pub(crate) fn injected(
        &mut self,
        targets: Vec<NodeId>,
        links: Vec<Link>,
        now: Timestamp,
    ) -> Action {
        let value = json!({ "targets": targets, "links": links });
        (self.targets, self.links, self.injected_at) = (targets, links, Some(now));
        self.record(now, Stage::Inject, value)
    }

    pub(crate) fn confirmed(&mut self, evidence: String, now: Timestamp) -> Action {
        self.confirmed_at = Some(now);
        let value = json!({ "evidence": evidence });
        self.evidence = Some(evidence);
        self.record(now, Stage::Confirm, value)
    }

    pub(crate) fn healed(&mut self, now: Timestamp) -> Action {
        self.healed_at = Some(now);
        let value = match &self.stays {
            None => Value::Null,
            Some(stays) => json!({ "stays": stays }),
        };
        self.record(now, Stage::Heal, value)
    }

    /// Nothing of it is taken back: all that it hits lies outside the core that is healed.
    pub(crate) fn stays(&mut self, stays: String, now: Timestamp) -> Action {
        let value = json!({ "stays": stays, "whole": true });
        self.stays = Some(stays);
        self.record(now, Stage::Heal, value)
    }

    pub(crate) fn healed_confirmed(&mut self, evidence: String, now: Timestamp) -> Action {
        self.healed_confirmed_at = Some(now);
        let value = json!({ "evidence": evidence });
        self.healed_evidence = Some(evidence);
        self.record(now, Stage::Healed, value)
    }

    /// It could not be applied or shown; `is_crowded` says whether that came of other faults.
    pub(crate) fn fell_short(
        &mut self,
        step: Step,
        reason: &str,
        is_crowded: bool,
        now: Timestamp,
    ) -> Action {
        if !is_crowded {
            return self.failed(step, reason, now);
        }
        let is_all = self.failure.is_none() || self.overlapped;
        self.fail(step, &format!("{reason}, under other faults"), is_all, now)
    }

    pub(crate) fn failed(&mut self, step: Step, reason: &str, now: Timestamp) -> Action {
        self.fail(step, reason, false, now)
    }

    fn fail(&mut self, step: Step, reason: &str, overlapped: bool, now: Timestamp) -> Action {
        self.overlapped = overlapped;
        let failure = format!("{step}: {reason}");
        self.failure = Some(match self.failure.take() {
            Some(earlier) => format!("{earlier}; {failure}"),
            None => failure.clone(),
        });
        let mut value = json!({ "failure": failure });
        if overlapped {
            value["overlapped"] = json!(true);
        }
        self.record(now, Stage::Failed, value)
    }

    /// It is taken back, and what stays broken outside the core hides that for ever.
    pub(crate) fn hidden(&mut self, reason: &str, now: Timestamp) -> Action {
        let action = self.fell_short(Step::Heal, reason, true, now);
        match action {
            Action::Record(mut event) => {
                event.value["hidden"] = json!(true);
                Action::Record(event)
            }
            action => action,
        }
    }

    fn record(&self, time: Timestamp, stage: Stage, value: Value) -> Action {
        Action::Record(FaultEvent {
            index: None,
            time,
            fault: self.id,
            f: self.name.to_owned(),
            stage,
            value,
            extra: Map::new(),
        })
    }
}
