//! A cut is shown by silence, and silence is evidence only where something could have been heard: probes on
//! cut links do not arrive while probes on uncut links do. A healed cut is shown by probes that arrive.

use std::collections::BTreeSet;
use std::time::Duration;

use viewstorm_history::Timestamp;

use crate::probe::{Arrival, Batch, Context, Finding};
use crate::{Link, ProbeId};

/// Why nothing can be heard on links any more.
pub(crate) const LOST: &str = "every link has an end that stays down, for its storage is damaged";

/// What a probe was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// It must not arrive.
    Cut,
    /// It should: on a link that is not cut.
    Control,
    /// It should: on a link that comes and goes, while it is whole.
    Whole,
}

/// Shows that links are cut.
#[derive(Clone, Debug)]
pub(crate) struct Silence {
    cut: BTreeSet<Link>,
    /// For a cut that comes and goes: how long each.
    flapping: Option<Duration>,
    is_whole: bool,
    /// When the links were made whole: what was sent before and arrives after says nothing.
    whole_times: Vec<Timestamp>,
    batch: Batch<Class>,
    leak: Option<String>,
    /// Why the last look showed nothing.
    problem: String,
}

impl Silence {
    pub(crate) fn new(
        cut: BTreeSet<Link>,
        flapping: Option<Duration>,
        context: &Context<'_>,
    ) -> Self {
        let batch = new_batch(flapping, context);
        let problem = "the probes are on their way".to_owned();
        let whole_times = Vec::new();
        Self {
            cut,
            flapping,
            is_whole: false,
            whole_times,
            batch,
            leak: None,
            problem,
        }
    }

    /// A cut that comes and goes has come or gone.
    pub(crate) fn flip(&mut self, is_whole: bool, now: Timestamp) {
        self.is_whole = is_whole;
        if is_whole {
            self.whole_times.push(now);
        }
    }

    /// Whether the probe is one of its own.
    pub(crate) fn is_about(&self, id: ProbeId) -> bool {
        self.batch.has(id)
    }

    /// Takes note of an arrival. One that should not be is handed out, in words, the first time.
    pub(crate) fn arrived(&mut self, arrival: Arrival) -> Option<String> {
        let probe = self.batch.arrived(arrival)?;
        let whole = self
            .whole_times
            .iter()
            .find(|whole| **whole >= probe.ordered);
        let after_cut = whole.is_some_and(|whole| arrival.received >= *whole);
        if probe.class != Class::Cut || after_cut || self.leak.is_some() {
            return None;
        }
        let (link, sent, received) = (probe.link, arrival.sent, arrival.received);
        let leak = format!("a probe that left at {sent} arrived over {link} at {received}");
        self.leak = Some(leak.clone());
        Some(leak)
    }

    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        if let Some(leak) = &self.leak {
            return Finding::Refuted(leak.clone());
        }
        loop {
            while self.batch.begin_round(context.now) {
                self.send_round(context);
            }
            if !self.batch.is_over(context.now) {
                return Finding::Open(self.problem.clone());
            }
            match self.judge(context) {
                Finding::Open(problem) => self.problem = problem,
                finding => return finding,
            }
            self.batch = new_batch(self.flapping, context);
        }
    }

    fn send_round(&mut self, context: &mut Context<'_>) {
        let class = if self.is_whole {
            Class::Whole
        } else {
            Class::Cut
        };
        for link in &self.cut {
            if context.grip.can_probe(*link) {
                self.batch.send(*link, class, context);
            }
        }
        for link in context.grip.controls(&self.cut) {
            let most_delay = context.grip.most_delay(link);
            self.batch.extend_grace(
                context.options.grace.saturating_add(most_delay),
                context.now,
            );
            self.batch.send(link, Class::Control, context);
        }
    }

    fn judge(&self, context: &Context<'_>) -> Finding {
        let is_sound = |link: Link, ordered| context.grip.were_awake_since(link, ordered);
        let of = |class| {
            self.batch
                .probes()
                .filter(move |probe| probe.class == class)
        };
        let cut: Vec<_> = of(Class::Cut)
            .filter(|probe| is_sound(probe.link, probe.ordered))
            .collect();
        let probed: BTreeSet<Link> = cut.iter().map(|probe| probe.link).collect();
        if probed.is_empty() {
            return Finding::Open("no cut link had both its ends up to be probed".to_owned());
        }
        let (whole_sent, whole_arrived) = count(of(Class::Whole));
        if self.flapping.is_some() && whole_arrived == 0 {
            let problem = format!("none of {whole_sent} probes arrived while the links were whole");
            return Finding::Open(problem);
        }
        let (control_sent, control_arrived) = count(of(Class::Control));
        if control_arrived + whole_arrived == 0 {
            return Finding::Open(match control_sent {
                0 => "there is no open link to compare the silence with".to_owned(),
                sent => format!("none of {sent} probes on open links arrived either"),
            });
        }
        let (count, links, all) = (cut.len(), probed.len(), self.cut.len());
        let mut evidence = format!("none of {count} probes on {links} of {all} cut links arrived");
        if links < all {
            evidence += " (the others had an end that was down or paused)";
        }
        if self.flapping.is_some() {
            evidence += &format!("; {whole_arrived} of {whole_sent} arrived while they were whole");
        }
        if control_sent > 0 {
            evidence += &format!("; {control_arrived} of {control_sent} on open links did");
        }
        Finding::Shown(evidence)
    }

    pub(crate) fn next_timeout(&self) -> Timestamp {
        self.batch.next_timeout()
    }
}

/// A cut that comes and goes is looked at over one whole turn.
fn new_batch(flapping: Option<Duration>, context: &Context<'_>) -> Batch<Class> {
    const ROUNDS_PER_TURN: u32 = 8;
    let options = context.options;
    let (rounds, interval) = match flapping {
        None => (options.probe_rounds, options.probe_interval),
        Some(length) => (ROUNDS_PER_TURN, 2 * length / ROUNDS_PER_TURN),
    };
    Batch::new(rounds, interval, options.grace, context.now)
}

fn count<'a>(probes: impl Iterator<Item = &'a crate::probe::Probe<Class>>) -> (usize, usize) {
    probes.fold((0, 0), |(sent, arrived), probe| {
        (sent + 1, arrived + usize::from(probe.took.is_some()))
    })
}

/// Shows that links are whole again.
#[derive(Clone, Debug)]
pub(crate) struct Sound {
    missing: BTreeSet<Link>,
    all: usize,
    batch: Batch<()>,
}

impl Sound {
    pub(crate) fn new(links: BTreeSet<Link>, context: &Context<'_>) -> Self {
        let interval = context.options.look_interval;
        let batch = Batch::new(u32::MAX, interval, Duration::ZERO, context.now);
        Self {
            all: links.len(),
            missing: links,
            batch,
        }
    }

    /// Whether the probe is one of its own.
    pub(crate) fn is_about(&self, id: ProbeId) -> bool {
        self.batch.has(id)
    }

    pub(crate) fn arrived(&mut self, arrival: Arrival) {
        if let Some(probe) = self.batch.arrived(arrival) {
            self.missing.remove(&probe.link);
        }
    }

    /// Whether nothing can be seen now: every link has an end that is down, or is cut by another fault.
    pub(crate) fn is_obstructed(&self, context: &Context<'_>) -> bool {
        self.heard() == 0 && !self.missing.iter().any(|link| context.grip.passes(*link))
    }

    fn heard(&self) -> usize {
        self.all - self.missing.len()
    }

    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        let waiting: Vec<Link> = self
            .missing
            .iter()
            .copied()
            .filter(|link| context.grip.passes(*link))
            .collect();
        let (heard, all) = (self.heard(), self.all);
        if heard > 0 && waiting.is_empty() {
            let mut evidence = format!("probes arrived over {heard} of {all} links");
            if heard < all {
                evidence += " (the others have an end that is down or are hit by another fault)";
            }
            return Finding::Shown(evidence);
        }
        while self.batch.begin_round(context.now) {
            for link in &waiting {
                self.batch.send(*link, (), context);
            }
        }
        Finding::Open(match waiting.first() {
            Some(link) => format!("no probe arrived over {link}, and over {heard} of {all} links"),
            None => "no link had both its ends up to be probed".to_owned(),
        })
    }

    pub(crate) fn next_timeout(&self) -> Timestamp {
        self.batch.next_timeout()
    }
}
