//! Message rules: what the nemesis does to the messages that pass a node's tap, above the transport.
//!
//! Rules are values. They travel to replica processes as JSON on the control channel, and the simulator uses
//! them as they are.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use viewstorm_history::Seed;
use viewstorm_protocol::{Direction, Instant, NodeId, Passing, Tap, TapVerdict};

use crate::Delay;

/// The kind that taps give to the nemesis' own test traffic.
pub const PROBE_KIND: &str = "Probe";

/// Which messages at a tap, and what becomes of them. What is left out matches everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TapRule {
    /// Which way they go.
    #[serde(default)]
    pub flow: Flow,
    /// Whom they go to or come from; none: anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<NodeId>,
    /// Their kinds; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Their view-numbers, in whichever epoch. A message without a view is then not matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<Numbers>,
    /// Their numbers (op, request or sequence number). A message without one is then not matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
    /// The share of them, 0 to 1, drawn independently from the rule's own stream.
    #[serde(default = "certain", skip_serializing_if = "is_certain")]
    pub probability: f64,
    /// So many of them are left alone first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u64,
    /// So many of them at most; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The rule's own random stream.
    pub seed: Seed,
    /// What becomes of them.
    pub act: TapAct,
}

/// Messages at a tap that the nemesis wants to be told of: nothing becomes of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TapWatch {
    /// Its name.
    pub id: u64,
    /// Which way they go.
    pub flow: Flow,
    /// Whom they go to or come from; none: anybody.
    pub peer: Option<NodeId>,
    /// Their kind.
    pub kind: String,
}

impl TapWatch {
    /// Whether it is about such a message.
    pub fn matches(&self, passing: &Passing) -> bool {
        self.flow.includes(passing.direction)
            && self.peer.is_none_or(|peer| peer == passing.peer)
            && self.kind == passing.kind
    }
}

/// Which ways through a tap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// What the node sends.
    Send,
    /// What the node receives.
    Receive,
    /// Either.
    #[default]
    Both,
}

/// A closed range of numbers, written `[from, to]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Numbers {
    /// The least.
    pub from: u64,
    /// The most.
    pub to: u64,
}

/// What becomes of a message that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TapAct {
    /// It is gone.
    Drop,
    /// It goes on later, so that later ones may overtake it.
    Delay(Delay),
    /// It goes on now and once more after this long.
    Duplicate(Delay),
    /// Later ones may overtake it: it is held back for so long.
    Reorder(Delay),
    /// It waits until the rule is lifted.
    Hold,
    /// It goes on now, and once more when the rule is lifted: a message of the past.
    Replay,
}

impl TapRule {
    /// A rule for everything that passes.
    pub const fn new(act: TapAct, seed: Seed) -> Self {
        Self {
            flow: Flow::Both,
            peers: Vec::new(),
            kinds: Vec::new(),
            views: None,
            numbers: None,
            probability: 1.0,
            skip: 0,
            limit: None,
            seed,
            act,
        }
    }

    /// Whether the rule could act on such a message, chance and counts aside.
    pub fn matches(&self, passing: &Passing) -> bool {
        self.flow.includes(passing.direction)
            && (self.peers.is_empty() || self.peers.contains(&passing.peer))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == passing.kind))
            && self
                .views
                .is_none_or(|views| views.has(passing.view.map(|view| view.number)))
            && self
                .numbers
                .is_none_or(|numbers| numbers.has(passing.number))
    }
}

impl Flow {
    /// Whether it includes this direction.
    pub const fn includes(self, direction: Direction) -> bool {
        match (self, direction) {
            (Self::Both, _)
            | (Self::Send, Direction::Send)
            | (Self::Receive, Direction::Receive) => true,
            (Self::Send, Direction::Receive) | (Self::Receive, Direction::Send) => false,
        }
    }
}

impl Numbers {
    fn has(self, number: Option<u64>) -> bool {
        number.is_some_and(|number| (self.from..=self.to).contains(&number))
    }
}

impl From<(u64, u64)> for Numbers {
    fn from((from, to): (u64, u64)) -> Self {
        Self { from, to }
    }
}

impl From<Numbers> for (u64, u64) {
    fn from(numbers: Numbers) -> Self {
        (numbers.from, numbers.to)
    }
}

/// A node's tap under the nemesis' rules: the first rule that acts on a message decides. One that matches but
/// whose chance or count says no leaves the message to those after it, so that overlapping faults add up.
///
/// Counts and random streams of a rule begin when it is first set, and go on for as long as it stays, whatever
/// comes and goes beside it.
#[derive(Debug)]
pub struct RuleTap {
    rules: Vec<Active>,
}

/// A rule on its way.
#[derive(Debug)]
struct Active {
    rule: TapRule,
    random: ChaCha8Rng,
    matched: u64,
    acted: u64,
}

impl RuleTap {
    /// A tap with these rules, in this order.
    pub fn new(rules: Vec<TapRule>) -> Self {
        let active = |rule: TapRule| Active {
            random: ChaCha8Rng::seed_from_u64(rule.seed.0),
            rule,
            matched: 0,
            acted: 0,
        };
        Self {
            rules: rules.into_iter().map(active).collect(),
        }
    }

    /// Replaces the rules. One that it had already goes on where it was.
    pub fn set(&mut self, rules: Vec<TapRule>) {
        let before = std::mem::replace(self, Self::new(rules)).rules;
        let mut before: Vec<Option<Active>> = before.into_iter().map(Some).collect();
        for active in &mut self.rules {
            let is_it =
                |old: &&mut Option<Active>| old.as_ref().is_some_and(|old| old.rule == active.rule);
            if let Some(old) = before.iter_mut().find(is_it).and_then(Option::take) {
                *active = old;
            }
        }
    }
}

impl Tap for RuleTap {
    fn inspect(&mut self, _now: Instant, passing: &Passing) -> TapVerdict {
        self.rules
            .iter_mut()
            .find_map(|rule| rule.act(passing))
            .unwrap_or(TapVerdict::Pass)
    }
}

impl Active {
    /// What becomes of the message, if the rule acts on it.
    fn act(&mut self, passing: &Passing) -> Option<TapVerdict> {
        if !self.rule.matches(passing) {
            return None;
        }
        self.matched += 1;
        let is_spent = self.rule.limit.is_some_and(|limit| self.acted >= limit);
        if self.matched <= self.rule.skip || is_spent || !self.chance() {
            return None;
        }
        self.acted += 1;
        Some(match self.rule.act {
            TapAct::Drop => TapVerdict::Drop,
            TapAct::Hold => TapVerdict::Hold,
            TapAct::Replay => TapVerdict::Replay,
            TapAct::Delay(delay) | TapAct::Reorder(delay) => TapVerdict::Delay(self.draw(delay)),
            TapAct::Duplicate(delay) => TapVerdict::Duplicate(self.draw(delay)),
        })
    }

    /// Draws nothing where there is nothing to decide.
    fn chance(&mut self) -> bool {
        self.rule.probability >= 1.0 || self.random.random::<f64>() < self.rule.probability
    }

    fn draw(&mut self, delay: Delay) -> Duration {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let least = nanos(delay.base.saturating_sub(delay.jitter));
        let most = nanos(delay.base.saturating_add(delay.jitter));
        Duration::from_nanos(self.random.random_range(least..=most))
    }
}

const fn certain() -> f64 {
    1.0
}

// serde hands out references.
fn is_certain(probability: &f64) -> bool {
    *probability >= 1.0
}

const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use viewstorm_protocol::ViewNumber;

    use super::*;

    fn passing(direction: Direction, peer: u16, kind: &'static str, view: Option<u64>) -> Passing {
        let view = view.map(ViewNumber::new);
        Passing {
            direction,
            peer: NodeId::replica(peer),
            kind,
            view,
            number: Some(9),
        }
    }

    fn drop_rule() -> TapRule {
        TapRule::new(TapAct::Drop, Seed(1))
    }

    fn verdicts(rules: Vec<TapRule>, count: usize, passing: &Passing) -> Vec<TapVerdict> {
        let mut tap = RuleTap::new(rules);
        (0..count)
            .map(|_| tap.inspect(Instant::ORIGIN, passing))
            .collect()
    }

    #[test]
    fn a_rule_acts_on_what_all_its_matchers_match() {
        let rule = TapRule {
            flow: Flow::Send,
            peers: vec![NodeId::replica(1)],
            kinds: vec!["Prepare".to_owned(), "Commit".to_owned()],
            views: Some(Numbers { from: 2, to: 3 }),
            numbers: Some(Numbers { from: 9, to: 9 }),
            ..drop_rule()
        };
        let good = passing(Direction::Send, 1, "Commit", Some(3));
        assert!(rule.matches(&good));
        for other in [
            Passing {
                direction: Direction::Receive,
                ..good
            },
            Passing {
                peer: NodeId::Client(1),
                ..good
            },
            Passing {
                kind: "PrepareOk",
                ..good
            },
            Passing {
                view: Some(ViewNumber::new(4)),
                ..good
            },
            Passing { view: None, ..good },
            Passing {
                number: Some(8),
                ..good
            },
            Passing {
                number: None,
                ..good
            },
        ] {
            assert!(!rule.matches(&other), "{other:?}");
        }
    }

    #[test]
    fn the_first_rule_that_acts_decides() {
        let hold = TapRule {
            limit: Some(1),
            ..TapRule::new(TapAct::Hold, Seed(2))
        };
        let message = passing(Direction::Send, 1, "Prepare", None);
        assert_eq!(
            verdicts(vec![hold, drop_rule()], 3, &message),
            [TapVerdict::Hold, TapVerdict::Drop, TapVerdict::Drop]
        );
    }

    #[test]
    fn the_nth_alone_is_one_after_the_others_are_skipped() {
        let rule = TapRule {
            skip: 2,
            limit: Some(1),
            ..drop_rule()
        };
        let message = passing(Direction::Receive, 1, "Prepare", None);
        let (pass, drop) = (TapVerdict::Pass, TapVerdict::Drop);
        assert_eq!(
            verdicts(vec![rule], 5, &message),
            [pass, pass, drop, pass, pass]
        );
    }

    #[test]
    fn chance_is_the_rules_own_and_the_same_for_the_same_seed() {
        let rule = TapRule {
            probability: 0.25,
            ..drop_rule()
        };
        let message = passing(Direction::Send, 1, "Prepare", None);
        let one = verdicts(vec![rule.clone()], 4_000, &message);
        let dropped = one
            .iter()
            .filter(|verdict| **verdict == TapVerdict::Drop)
            .count();
        assert!((850..1_150).contains(&dropped), "{dropped}");
        assert_eq!(one, verdicts(vec![rule], 4_000, &message));
    }

    #[test]
    fn a_rule_that_stays_goes_on_counting() {
        let second = TapRule {
            skip: 1,
            limit: Some(1),
            ..TapRule::new(TapAct::Drop, Seed(1))
        };
        let other = TapRule {
            kinds: vec!["Commit".to_owned()],
            ..TapRule::new(TapAct::Hold, Seed(2))
        };
        let message = passing(Direction::Send, 1, "Prepare", None);
        let mut tap = RuleTap::new(vec![second.clone()]);
        assert_eq!(tap.inspect(Instant::ORIGIN, &message), TapVerdict::Pass);
        tap.set(vec![other, second.clone()]);
        assert_eq!(tap.inspect(Instant::ORIGIN, &message), TapVerdict::Drop);
        tap.set(vec![second.clone()]);
        assert_eq!(tap.inspect(Instant::ORIGIN, &message), TapVerdict::Pass);
        tap.set(Vec::new());
        tap.set(vec![second]);
        assert_eq!(tap.inspect(Instant::ORIGIN, &message), TapVerdict::Pass);
        assert_eq!(tap.inspect(Instant::ORIGIN, &message), TapVerdict::Drop);
    }

    #[test]
    fn a_delay_stays_in_its_range() {
        let delay = Delay {
            base: Duration::from_millis(5),
            jitter: Duration::from_millis(10),
        };
        let rule = TapRule::new(TapAct::Delay(delay), Seed(3));
        for verdict in verdicts(
            vec![rule],
            200,
            &passing(Direction::Send, 1, "Prepare", None),
        ) {
            let TapVerdict::Delay(by) = verdict else {
                panic!("{verdict:?}")
            };
            assert!(by <= Duration::from_millis(15));
        }
    }

    #[test]
    fn a_rule_reads_back_as_it_is_written() {
        let delay = Delay {
            base: Duration::from_millis(5),
            jitter: Duration::ZERO,
        };
        let full = TapRule {
            flow: Flow::Receive,
            peers: vec![NodeId::replica(1), NodeId::Client(0)],
            kinds: vec!["Prepare".to_owned()],
            views: Some(Numbers {
                from: 1,
                to: u64::MAX,
            }),
            numbers: Some(Numbers { from: 0, to: 3 }),
            probability: 0.1,
            skip: 1,
            limit: Some(2),
            seed: Seed(u64::MAX),
            act: TapAct::Duplicate(delay),
        };
        for rule in [full, drop_rule(), TapRule::new(TapAct::Hold, Seed(0))] {
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(
                serde_json::from_str::<TapRule>(&json).unwrap(),
                rule,
                "{json}"
            );
        }
        assert_eq!(
            serde_json::to_string(&drop_rule()).unwrap(),
            r#"{"flow":"both","seed":1,"act":"drop"}"#
        );
        assert!(serde_json::from_str::<TapRule>(r#"{"seed":1,"act":"drop","kind":"x"}"#).is_err());
    }
}
