//! Duplicates, reordering and corruption below QUIC never reach a replica: the transport hides them. There the
//! injector's own count is all the evidence there is, and the evidence says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use viewstorm_history::Timestamp;

use crate::probe::{Batch, Context, Finding};
use crate::{Action, Link, LinkCounters, LinkEffect};

/// How often counts are read: they cost a question for every link.
const READ_EVERY: Duration = Duration::from_millis(50);
/// How many datagrams the healed effect would have hit, had it not gone, for its absence to be seen.
const MISSED: f64 = 12.0;
/// The most datagrams that this is waited for.
const MAX_QUIET: f64 = 2_000.0;

/// Watches the counts of the links of a fault.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    links: BTreeSet<Link>,
    effect: LinkEffect,
    is_healed: bool,
    /// The first answer and the latest, of each link.
    answers: BTreeMap<Link, (LinkCounters, LinkCounters)>,
    /// Probes are traffic too: an idle link would count nothing.
    traffic: Batch<()>,
    next_read: Timestamp,
}

impl Count {
    pub(crate) fn new(
        links: BTreeSet<Link>,
        effect: LinkEffect,
        is_healed: bool,
        context: &Context<'_>,
    ) -> Self {
        let interval = context.options.look_interval;
        let traffic = Batch::new(u32::MAX, interval, Duration::ZERO, context.now);
        let next_read = context.now;
        Self {
            links,
            effect,
            is_healed,
            answers: BTreeMap::new(),
            traffic,
            next_read,
        }
    }

    pub(crate) fn counted(&mut self, link: Link, counters: LinkCounters) {
        if self.links.contains(&link) {
            self.answers.entry(link).or_insert((counters, counters)).1 = counters;
        }
    }

    /// Whether other faults do the same to every link, so that it cannot be seen to be gone.
    pub(crate) fn is_obstructed(&self, context: &Context<'_>) -> bool {
        self.is_healed && !self.links.iter().any(|link| self.is_still(*link, context))
    }

    fn is_still(&self, link: Link, context: &Context<'_>) -> bool {
        let rule = context.grip.rule(link);
        let is_still = match self.effect {
            LinkEffect::Duplicate(_) => rule.duplicate <= 0.0,
            LinkEffect::Reorder { .. } => rule.reorder <= 0.0,
            LinkEffect::Rate(_) => rule.rate.is_none(),
            _ => rule.corrupt <= 0.0,
        };
        is_still && context.grip.passes(link)
    }

    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        if context.now >= self.next_read {
            self.next_read = context.now + READ_EVERY;
            context
                .actions
                .extend(self.links.iter().map(|link| Action::ReadCounters(*link)));
        }
        while self.traffic.begin_round(context.now) {
            for link in &self.links {
                if context.grip.passes(*link) {
                    context.grip.probe(*link, context.actions);
                }
            }
        }
        let finding = self.judge(context);
        if self.is_healed && matches!(finding, Finding::Open(_)) && self.hits(context).1 > 0 {
            // What was on its way at the heal: count from here.
            self.answers.clear();
        }
        finding
    }

    /// How many datagrams there were, and how many of them it hit.
    fn hits(&self, context: &Context<'_>) -> (u64, u64) {
        let (mut offered, mut hit) = (0_u64, 0_u64);
        for (link, (first, last)) in &self.answers {
            if self.is_healed && !self.is_still(*link, context) {
                continue;
            }
            offered += last.offered.saturating_sub(first.offered);
            hit += self.field(last).saturating_sub(self.field(first));
        }
        (offered, hit)
    }

    fn judge(&self, context: &Context<'_>) -> Finding {
        let (offered, hit) = self.hits(context);
        let what = match self.effect {
            LinkEffect::Duplicate(_) => "sent twice",
            LinkEffect::Reorder { .. } => "held back",
            LinkEffect::Rate(_) => "let through at the rate",
            _ => "given a flipped bit",
        };
        let links = self.answers.len();
        let count = format!(
            "by the injector's own count (the transport hides the effect) {hit} of {offered} \
             datagrams on {links} links were {what}"
        );
        match self.is_healed {
            false if hit > 0 => Finding::Shown(count),
            true if hit == 0 && offered as f64 >= self.quiet() => Finding::Shown(count),
            _ => Finding::Open(count),
        }
    }

    /// How many datagrams without the effect show that it is gone.
    fn quiet(&self) -> f64 {
        let share = match self.effect {
            LinkEffect::Reorder { share, .. }
            | LinkEffect::Duplicate(share)
            | LinkEffect::Corrupt(share)
            | LinkEffect::Loss(share) => share,
            _ => 1.0,
        };
        (MISSED / share.max(f64::EPSILON)).min(MAX_QUIET)
    }

    fn field(&self, counters: &LinkCounters) -> u64 {
        match self.effect {
            LinkEffect::Duplicate(_) => counters.duplicated,
            LinkEffect::Reorder { .. } => counters.reordered,
            LinkEffect::Rate(_) => counters.limited,
            _ => counters.corrupted,
        }
    }

    pub(crate) fn next_timeout(&self) -> Timestamp {
        self.next_read.min(self.traffic.next_timeout())
    }
}
