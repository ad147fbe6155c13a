//! Delay and loss are shown by what probes on the links measure, never by the injector's own count.

use std::collections::BTreeSet;
use std::time::Duration;

use viewstorm_history::Timestamp;

use crate::fault::Percent;
use crate::probe::{Arrival, Batch, Context, Finding, Probe};
use crate::{Burst, Delay, Link, LinkEffect, LinkRule, ProbeId};

/// A timer of the injector's may be this early.
const EARLY: Duration = Duration::from_millis(1);
/// How many probes should be lost, and how many arrive, for the loss to be seen.
const LOSSES: f64 = 12.0;
/// How many probes measure a loss, over all links: at least, and at most.
const LOSS_PROBES: (f64, f64) = (60.0, 1_200.0);
/// Within how many standard deviations a measured loss must be: once in a million runs an honest one is not.
const DEVIATIONS: f64 = 5.0;
/// How many times each link is probed for a delay.
const DELAY_ROUNDS: u32 = 8;

/// Measures the links of a delay or a loss.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    links: BTreeSet<Link>,
    effect: LinkEffect,
    is_healed: bool,
    batch: Batch<LinkRule>,
    /// Why the last look showed nothing.
    problem: String,
}

impl Measure {
    /// Measures whether the effect is there, or, healed, whether it is gone.
    pub(crate) fn new(
        links: BTreeSet<Link>,
        effect: LinkEffect,
        is_healed: bool,
        context: &Context<'_>,
    ) -> Self {
        let batch = new_batch(links.len(), &effect, context);
        let problem = "the probes are on their way".to_owned();
        Self {
            links,
            effect,
            is_healed,
            batch,
            problem,
        }
    }

    /// Whether the probe is one of its own.
    pub(crate) fn is_about(&self, id: ProbeId) -> bool {
        self.batch.has(id)
    }

    pub(crate) fn arrived(&mut self, arrival: Arrival) {
        self.batch.arrived(arrival);
    }

    /// Whether nothing can be measured now.
    pub(crate) fn is_obstructed(&self, context: &Context<'_>) -> bool {
        !self.links.iter().any(|link| context.grip.passes(*link))
    }

    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        loop {
            while self.batch.begin_round(context.now) {
                self.send_round(context);
            }
            if !self.batch.is_over(context.now) && !self.is_spoilt(context) {
                return Finding::Open(self.problem.clone());
            }
            match self.judge(context) {
                Finding::Open(problem) => self.problem = problem,
                finding => return finding,
            }
            self.batch = new_batch(self.links.len(), &self.effect, context);
        }
    }

    fn send_round(&mut self, context: &mut Context<'_>) {
        for link in &self.links {
            let rule = context.grip.rule(*link);
            // A link on which nothing arrives by another fault's order measures nothing.
            if rule.is_shut() || !context.grip.can_probe(*link) {
                continue;
            }
            let grace = context
                .options
                .grace
                .saturating_add(context.grip.most_delay(*link));
            self.batch.extend_grace(grace, context.now);
            self.batch.send(*link, rule, context);
        }
    }

    /// Whether all were sent and other faults have spoilt every one: to wait for the last shows nothing.
    fn is_spoilt(&self, context: &Context<'_>) -> bool {
        let mut probes = self.batch.probes().peekable();
        self.batch.is_sent() && probes.peek().is_some() && !probes.any(|it| is_sound(it, context))
    }

    fn judge(&self, context: &Context<'_>) -> Finding {
        let probes = self.batch.probes().filter(|probe| is_sound(probe, context));
        let probes: Vec<_> = probes.collect();
        let links: BTreeSet<Link> = probes.iter().map(|probe| probe.link).collect();
        if probes.is_empty() {
            return Finding::Open("no link could be measured undisturbed".to_owned());
        }
        let seen = Seen {
            probes,
            links: links.len(),
        };
        match (self.effect.measured(), self.is_healed) {
            (Measured::Delay(_), false) => seen.is_delayed(context.options.slack),
            (Measured::Delay(limit), true) => seen.is_prompt(limit),
            (Measured::Loss(_), false) => seen.is_lossy(),
            (Measured::Loss(loss), true) => seen.is_lossless(loss),
            (Measured::Nothing, _) => Finding::Refuted("probes do not measure it".to_owned()),
        }
    }

    pub(crate) fn next_timeout(&self) -> Timestamp {
        self.batch.next_timeout()
    }
}

/// Whether both ends could speak and nobody changed the link's rule since the probe was sent.
fn is_sound(probe: &Probe<LinkRule>, context: &Context<'_>) -> bool {
    context.grip.were_awake_since(probe.link, probe.ordered)
        && context.grip.version(probe.link) == probe.version
}

fn new_batch(links: usize, effect: &LinkEffect, context: &Context<'_>) -> Batch<LinkRule> {
    let options = context.options;
    let window = options.probe_interval * options.probe_rounds;
    let rounds = match effect.measured() {
        Measured::Loss(share) => {
            let rarer = share.min(1.0 - share).max(f64::EPSILON);
            let probes = (LOSSES / rarer).clamp(LOSS_PROBES.0, LOSS_PROBES.1);
            // Rounded up and small: at most LOSS_PROBES.
            (probes / links.max(1) as f64).ceil() as u32
        }
        _ => DELAY_ROUNDS,
    };
    Batch::new(rounds, window / rounds.max(1), options.grace, context.now)
}

/// Probes whose link's rule did not change while they were on their way.
struct Seen<'a> {
    probes: Vec<&'a Probe<LinkRule>>,
    links: usize,
}

impl Seen<'_> {
    fn is_delayed(&self, slack: Duration) -> Finding {
        for probe in &self.probes {
            let (least, _) = probe.class.delay_bounds();
            if let Some(took) = probe.took.filter(|took| *took + EARLY < least) {
                let link = probe.link;
                let early = format!("a probe took {took:.1?} over {link}, and not {least:?}");
                return Finding::Refuted(early);
            }
        }
        let times = self.times();
        let is_late = |probe: &&&Probe<LinkRule>| {
            let (_, most) = probe.class.delay_bounds();
            probe
                .took
                .is_some_and(|took| took > most.saturating_add(slack))
        };
        let late = self.probes.iter().filter(is_late).count();
        let is_early = |probe: &&&Probe<LinkRule>| {
            let low = probe.class.delay_low();
            probe.took.is_some_and(|took| took + EARLY < low)
        };
        let early = self.probes.iter().filter(is_early).count();
        match times.is_empty() {
            true => Finding::Open(format!("none of {} probes arrived", self.probes.len())),
            false if 2 * early > times.len() => {
                Finding::Open(format!("probes came too early: {}", self.spread(&times)))
            }
            false if 2 * late > times.len() => {
                Finding::Open(format!("probes came too late: {}", self.spread(&times)))
            }
            false => Finding::Shown(format!("measured {}", self.spread(&times))),
        }
    }

    /// At least half of the probes are faster than the delay allowed.
    fn is_prompt(&self, limit: Duration) -> Finding {
        let times = self.times();
        let is_prompt = |probe: &&&Probe<LinkRule>| {
            let (others, _) = probe.class.delay_bounds();
            probe
                .took
                .is_some_and(|took| took < others.saturating_add(limit))
        };
        let prompt = self.probes.iter().filter(is_prompt).count();
        match times.is_empty() {
            true => Finding::Open(format!("none of {} probes arrived", self.probes.len())),
            false if 2 * prompt >= times.len() => {
                Finding::Shown(format!("measured {}", self.spread(&times)))
            }
            false => Finding::Open(format!("still measured {}", self.spread(&times))),
        }
    }

    fn is_lossy(&self) -> Finding {
        let Loss {
            sent,
            lost,
            expected,
            deviation,
        } = self.loss();
        let evidence = self.lost();
        let off = (lost - expected).abs() > DEVIATIONS * deviation + 2.0;
        let none_arrived = lost >= sent && expected < sent;
        if off || lost < 1.0 || none_arrived {
            let share = Percent(expected / sent);
            return Finding::Open(format!("{evidence}, where the rule says {share}"));
        }
        Finding::Shown(evidence)
    }

    /// Fewer are lost than half of what the healed fault would have taken, over what other faults take.
    fn is_lossless(&self, healed: f64) -> Finding {
        let Loss {
            sent,
            lost,
            expected,
            deviation,
        } = self.loss();
        let evidence = self.lost();
        match lost <= expected + DEVIATIONS * deviation + sent * healed / 2.0 {
            true if lost < sent => Finding::Shown(evidence),
            _ => Finding::Open(evidence),
        }
    }

    fn loss(&self) -> Loss {
        let share = |probe: &&&Probe<LinkRule>| probe.class.mean_loss();
        let bursts = self.probes.iter().flat_map(|probe| &probe.class.bursts);
        let clumping = bursts.map(Burst::clumping).fold(1.0, f64::max);
        let shares = self.probes.iter().map(|probe| share(&probe));
        let lost = self
            .probes
            .iter()
            .filter(|probe| probe.took.is_none())
            .count();
        Loss {
            sent: self.probes.len() as f64,
            lost: lost as f64,
            expected: shares.clone().sum(),
            deviation: shares
                .map(|share| share * (1.0 - share))
                .sum::<f64>()
                .sqrt()
                * clumping,
        }
    }

    fn lost(&self) -> String {
        let Loss { sent, lost, .. } = self.loss();
        let share = Percent(lost / sent);
        format!(
            "{lost} of {sent} probes on {} links were lost, {share}",
            self.links
        )
    }

    fn times(&self) -> Vec<Duration> {
        let mut times: Vec<_> = self.probes.iter().filter_map(|probe| probe.took).collect();
        times.sort_unstable();
        times
    }

    fn spread(&self, times: &[Duration]) -> String {
        let at = |index: usize| times.get(index).copied().unwrap_or_default();
        let (least, median, most) = (at(0), at(times.len() / 2), at(times.len().max(1) - 1));
        let (count, links) = (times.len(), self.links);
        format!(
            "{least:.1?} to {most:.1?}, median {median:.1?}, by {count} probes on {links} links"
        )
    }
}

struct Loss {
    sent: f64,
    lost: f64,
    expected: f64,
    deviation: f64,
}

/// What probes can measure of an effect.
pub(crate) enum Measured {
    /// A delay: a probe that takes less than this is not delayed by it.
    Delay(Duration),
    /// A loss of this share.
    Loss(f64),
    Nothing,
}

impl LinkEffect {
    pub(crate) fn measured(&self) -> Measured {
        match self {
            Self::Delay(Delay { base, jitter }) => {
                let least = base.saturating_sub(*jitter);
                Measured::Delay(if least.is_zero() { *base } else { least })
            }
            Self::Spread(spread) => {
                let (low, most) = (spread.distribution.low(), spread.distribution.bounds().1);
                Measured::Delay(if low.is_zero() { most / 2 } else { low })
            }
            Self::Loss(share) => Measured::Loss(*share),
            Self::Burst(burst) => Measured::Loss(burst.mean()),
            Self::Duplicate(_)
            | Self::Reorder { .. }
            | Self::Corrupt(_)
            | Self::Rate(_)
            | Self::Hold => Measured::Nothing,
        }
    }
}
