//! From the plan's list of faults and the run's seed to the timeline: every single fault with its time.
//!
//! Every draw comes from a stream that the run's seed and the fault's own key fix. The key is the fault's
//! name, or, without one, its kind and its times: taking a fault away shifts nothing of the others.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use viewstorm_history::Seed;

use crate::{Fault, Trigger};

/// The most faults of one run: a recurring one with a slip in its period is cut off there.
pub const MAX_FAULTS: usize = 10_000;

/// A fault as the plan declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Its name, if it has one of its own.
    pub name: Option<String>,
    /// What it is.
    pub fault: Fault,
    /// When it comes.
    pub when: When,
    /// How long it stays; none: until the end of the run.
    pub length: Option<Duration>,
    /// What fixes its draws; none: the run's seed and its key.
    pub seed: Option<Seed>,
}

/// When a fault comes, counted from the start of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Once.
    At(Duration),
    /// Again and again.
    Every {
        /// From one to the next.
        period: Duration,
        /// The first.
        first: Duration,
        /// Each comes earlier or later by up to this.
        jitter: Duration,
        /// None comes at or after this.
        until: Option<Duration>,
        /// There are so many at most.
        count: Option<u32>,
    },
    /// When something happens.
    On {
        /// What.
        trigger: Trigger,
        /// So often: again each time that it has happened as many times more.
        times: u32,
    },
}

/// One fault of the timeline. Its target is still symbolic.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduledFault {
    /// Its declaration's name, if it has one.
    pub name: Option<String>,
    /// What it is.
    pub fault: Fault,
    /// When it comes, counted from the start of the load; with a trigger, from when on that counts.
    pub at: Duration,
    /// What must happen for it to come.
    pub trigger: Option<Trigger>,
    /// How long it stays; none: until the end of the run.
    pub length: Option<Duration>,
    /// Its own random stream.
    pub seed: Seed,
}

/// All faults of a run, in the order of their times. A fault's place is its number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    faults: Vec<ScheduledFault>,
}

impl Timeline {
    /// The faults that the declarations make in a run of this length.
    pub fn expand(declarations: &[Declaration], seed: Seed, duration: Duration) -> Self {
        let mut keys: BTreeMap<String, u32> = BTreeMap::new();
        let mut faults = Vec::new();
        for declaration in declarations {
            let key = declaration.key();
            let twins = keys.entry(key.clone()).or_default();
            *twins += 1;
            let stream = match twins {
                1 => seed.stream(&format!("fault {key}")),
                twins => seed.stream(&format!("fault {key} #{twins}")),
            };
            let room = MAX_FAULTS.saturating_sub(faults.len());
            faults.extend(declaration.expand(stream, duration).take(room));
        }
        faults.sort_by_key(|fault| fault.at);
        Self { faults }
    }

    /// The faults.
    pub fn faults(&self) -> &[ScheduledFault] {
        &self.faults
    }

    /// The faults as declarations: they expand to this timeline whatever the seed of the run.
    pub fn declarations(&self) -> Vec<Declaration> {
        let declare = |fault: &ScheduledFault| Declaration {
            name: fault.name.clone(),
            fault: fault.fault.clone(),
            when: match &fault.trigger {
                None => When::At(fault.at),
                Some(trigger) => When::On {
                    trigger: trigger.clone(),
                    times: 1,
                },
            },
            length: fault.length,
            seed: Some(fault.seed),
        };
        self.faults.iter().map(declare).collect()
    }
}

impl Declaration {
    /// What its streams hang on.
    fn key(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("{} {}", self.fault.name(), self.when),
        }
    }

    /// How many faults it makes in a run of this length, at most: jitter may carry the last beyond the end.
    pub fn count(&self, duration: Duration) -> u64 {
        match self.when {
            When::On { times, .. } => u64::from(times),
            When::At(at) => u64::from(at < duration),
            When::Every {
                period,
                first,
                until,
                count,
                ..
            } => {
                let end = until.unwrap_or(duration).min(duration);
                let left = end.saturating_sub(first).as_nanos();
                let most = left.div_ceil(period.as_nanos().max(1));
                u64::try_from(most)
                    .unwrap_or(u64::MAX)
                    .min(count.map_or(u64::MAX, u64::from))
            }
        }
    }

    fn expand(
        &self,
        stream: Seed,
        duration: Duration,
    ) -> impl Iterator<Item = ScheduledFault> + '_ {
        let seed = self.seed.unwrap_or(stream);
        let fault = move |index| ScheduledFault {
            name: self.name.clone(),
            fault: self.fault.clone(),
            at: self.when.time(index, seed),
            trigger: self.when.trigger(index),
            length: self.length,
            seed: match self.when {
                When::At(_) | When::On { times: 1, .. } => seed,
                When::Every { .. } | When::On { .. } => seed.stream(&format!("occurrence {index}")),
            },
        };
        // Jitter may carry the last one beyond the end.
        (0..self.count(duration))
            .map(fault)
            .filter(move |fault| fault.at < duration)
    }
}

impl When {
    /// When the fault comes for the `index`th time, from 0.
    fn time(&self, index: u64, seed: Seed) -> Duration {
        let (period, first, jitter) = match *self {
            Self::At(at) => return at,
            Self::On { ref trigger, .. } => return trigger.from,
            Self::Every {
                period,
                first,
                jitter,
                ..
            } => (period, first, jitter),
        };
        let times = u32::try_from(index).unwrap_or(u32::MAX);
        let middle = first.saturating_add(period.saturating_mul(times));
        let width = u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX / 2);
        let time_seed = seed.stream(&format!("time {index}"));
        let shift = ChaCha8Rng::seed_from_u64(time_seed.0).random_range(0..=2 * width);
        middle
            .saturating_add(Duration::from_nanos(shift))
            .saturating_sub(jitter)
    }
}

impl When {
    /// What must happen for it to come for the `index`th time, from 0.
    fn trigger(&self, index: u64) -> Option<Trigger> {
        let Self::On { trigger, .. } = self else {
            return None;
        };
        let times = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let count = trigger.count.saturating_mul(times);
        Some(Trigger {
            count,
            ..trigger.clone()
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On { trigger, .. } => write!(f, "on {trigger}"),
            Self::At(at) => write!(f, "at {at:?}"),
            Self::Every { period, first, .. } => write!(f, "every {period:?} from {first:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    const RUN: Duration = Duration::from_secs(20);

    fn declaration(fault: Fault, when: When) -> Declaration {
        Declaration {
            name: None,
            fault,
            when,
            length: Some(Duration::from_secs(1)),
            seed: None,
        }
    }

    fn every(seconds: u64, jitter: u64) -> When {
        When::Every {
            period: Duration::from_secs(seconds),
            first: Duration::from_secs(seconds),
            jitter: Duration::from_millis(jitter),
            until: None,
            count: None,
        }
    }

    fn three() -> Vec<Declaration> {
        vec![
            declaration(Fault::Kill(Target::One), every(4, 500)),
            declaration(Fault::Pause(Target::Minority), every(3, 900)),
            declaration(
                Fault::Kill(Target::Primary),
                When::At(Duration::from_secs(2)),
            ),
        ]
    }

    #[test]
    fn taking_a_fault_away_shifts_nothing_of_the_others() {
        let whole = Timeline::expand(&three(), Seed(7), RUN);
        for gone in 0..3 {
            let mut declarations = three();
            let fault = declarations.remove(gone).fault;
            let rest: Vec<_> = whole
                .faults()
                .iter()
                .filter(|one| one.fault != fault)
                .cloned()
                .collect();
            assert_eq!(Timeline::expand(&declarations, Seed(7), RUN).faults(), rest);
        }
    }

    #[test]
    fn a_timeline_is_the_seeds_and_in_order() {
        let one = Timeline::expand(&three(), Seed(7), RUN);
        assert_eq!(one, Timeline::expand(&three(), Seed(7), RUN));
        assert_ne!(one, Timeline::expand(&three(), Seed(8), RUN));
        assert!(one.faults().is_sorted_by_key(|fault| fault.at));
        assert_eq!(one.faults().len(), 4 + 6 + 1);
    }

    #[test]
    fn jitter_stays_in_its_bounds() {
        let declarations = [declaration(Fault::Kill(Target::One), every(2, 700))];
        for seed in 0..50 {
            let timeline = Timeline::expand(&declarations, Seed(seed), RUN);
            for (index, fault) in (1..).zip(timeline.faults()) {
                let middle = Duration::from_secs(2 * index);
                assert!(fault.at.abs_diff(middle) <= Duration::from_millis(700));
            }
        }
    }

    #[test]
    fn jitter_carries_no_fault_beyond_the_end() {
        let declarations = [declaration(Fault::Kill(Target::One), every(3, 2_900))];
        let counts = (0..50).map(|seed| {
            let timeline = Timeline::expand(&declarations, Seed(seed), RUN);
            assert!(timeline.faults().iter().all(|fault| fault.at < RUN));
            timeline.faults().len()
        });
        let counts: Vec<_> = counts.collect();
        assert!(counts.contains(&5) && counts.contains(&6), "{counts:?}");
    }

    #[test]
    fn twins_have_streams_of_their_own() {
        let twin = declaration(Fault::Kill(Target::One), When::At(Duration::from_secs(1)));
        let timeline = Timeline::expand(&[twin.clone(), twin], Seed(7), RUN);
        assert_ne!(timeline.faults()[0].seed, timeline.faults()[1].seed);
    }

    #[test]
    fn what_recurs_ends_with_its_end_its_count_or_the_run() {
        let count = |until: Option<u64>, count| {
            let when = When::Every {
                period: Duration::from_secs(4),
                first: Duration::from_secs(2),
                jitter: Duration::ZERO,
                until: until.map(Duration::from_secs),
                count,
            };
            let declarations = [declaration(Fault::Kill(Target::One), when)];
            Timeline::expand(&declarations, Seed(1), RUN).faults().len()
        };
        // 2, 6, 10, 14, 18
        assert_eq!(count(None, None), 5);
        assert_eq!(count(Some(10), None), 2);
        assert_eq!(count(Some(11), None), 3);
        assert_eq!(count(None, Some(2)), 2);
        assert_eq!(count(Some(100), None), 5);
    }

    #[test]
    fn a_timeline_is_declarations_that_expand_to_it_whatever_the_seed() {
        let timeline = Timeline::expand(&three(), Seed(7), RUN);
        assert_eq!(
            Timeline::expand(&timeline.declarations(), Seed(99), RUN),
            timeline
        );
    }
}
