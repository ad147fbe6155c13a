//! How long a backup waits for its primary before it suspects it, and a primary for its backups before it abdicates.
//!
//! The adaptive detector estimates when the next sign of life is due from the gaps between earlier ones: their
//! mean and four times their mean deviation, as Jacobson does for retransmissions and Bertier, Marin and Sens
//! (DSN 2002) for failure detection. It is chosen over phi-accrual, which fits a normal distribution to a window
//! of gaps: these gaps have a long tail and no such shape, and two running averages need no window.
//!
//! Every mistake makes it twice as patient, up to the cap: where delays have a bound that nobody knows, that is
//! what makes a detector eventually accurate (Chandra and Toueg, JACM 1996).

use std::time::Duration;

use super::config::{MISTAKES_MAX, TIMELY_SIGNS_MIN};
use super::options::FailureDetector;
use crate::Instant;

/// What is known of how regularly the primary of the day speaks, or its backups speak to it.
#[derive(Debug)]
pub(super) struct Detector {
    choice: FailureDetector,
    /// What it begins with, and all there is to the fixed one.
    initial: Duration,
    /// An idle primary speaks this often.
    heartbeat: Duration,
    heard: Option<Instant>,
    estimate: Option<Estimate>,
    /// How often it suspected a primary that lived.
    mistakes: u32,
    /// How many signs of life were timely since the last mistake.
    timely: u32,
}

/// Of the gaps between signs of life, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    mean: u64,
    deviation: u64,
}

impl Estimate {
    const fn first(gap: u64) -> Self {
        Self {
            mean: gap,
            deviation: gap / 2,
        }
    }

    /// Jacobson's gains: an eighth for the mean, a quarter for the deviation.
    const fn with(self, gap: u64) -> Self {
        let error = gap.abs_diff(self.mean);
        Self {
            mean: self.mean - self.mean / 8 + gap / 8,
            deviation: self.deviation - self.deviation / 4 + error / 4,
        }
    }
}

impl Detector {
    pub(super) const fn new(
        choice: FailureDetector,
        initial: Duration,
        heartbeat: Duration,
    ) -> Self {
        Self {
            choice,
            initial,
            heartbeat,
            heard: None,
            estimate: None,
            mistakes: 0,
            timely: 0,
        }
    }

    /// Another primary: nothing is known of its gaps. What was learned from mistakes stays.
    pub(super) fn begin(&mut self, now: Instant) {
        self.heard = Some(now);
        self.estimate = None;
    }

    /// The primary speaks. `suspected`: although it was thought dead.
    pub(super) fn heard(&mut self, now: Instant, suspected: bool) {
        let gap = self.heard.map(|heard| now.saturating_since(heard));
        self.heard = Some(now);
        self.learn(gap.unwrap_or_default(), suspected);
    }

    /// Somebody spoke again after `gap`. `suspected`: although it was thought dead.
    pub(super) fn learn(&mut self, gap: Duration, suspected: bool) {
        if suspected {
            self.mistakes = (self.mistakes + 1).min(MISTAKES_MAX);
            self.timely = 0;
        }
        // Under load the gaps are those between requests: they say nothing about heartbeats.
        if gap < self.heartbeat / 2 {
            return;
        }
        let nanos = u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX);
        self.estimate = Some(match self.estimate {
            None => Estimate::first(nanos),
            Some(estimate) => estimate.with(nanos),
        });
        self.timely += 1;
        if self.timely >= TIMELY_SIGNS_MIN {
            self.timely = 0;
            self.mistakes = self.mistakes.saturating_sub(1);
        }
    }

    /// How long the primary may be silent from now on.
    pub(super) fn patience(&self) -> Duration {
        let FailureDetector::Adaptive { floor, cap } = self.choice else {
            return self.initial;
        };
        let expected = match self.estimate {
            None => self.initial,
            Some(Estimate { mean, deviation }) => {
                Duration::from_nanos(mean.saturating_add(deviation.saturating_mul(4)))
            }
        };
        let patience = expected.max(floor).saturating_mul(1 << self.mistakes);
        patience.min(cap.max(floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(20);
    const INITIAL: Duration = Duration::from_millis(150);
    const FLOOR: Duration = Duration::from_millis(50);
    const CAP: Duration = Duration::from_secs(1);

    fn adaptive() -> Detector {
        let choice = FailureDetector::Adaptive {
            floor: FLOOR,
            cap: CAP,
        };
        let mut detector = Detector::new(choice, INITIAL, BEAT);
        detector.begin(Instant::ORIGIN);
        detector
    }

    /// Signs of life after these gaps in milliseconds, again and again.
    fn hears(detector: &mut Detector, gaps: &[u64], rounds: usize) {
        for _ in 0..rounds {
            for gap in gaps {
                let now = detector.heard.unwrap() + Duration::from_millis(*gap);
                detector.heard(now, false);
            }
        }
    }

    #[test]
    fn the_fixed_one_never_changes() {
        let mut detector = Detector::new(FailureDetector::Fixed, INITIAL, BEAT);
        hears_first(&mut detector);
        hears(&mut detector, &[20, 90, 500], 20);
        assert_eq!(detector.patience(), INITIAL);
    }

    fn hears_first(detector: &mut Detector) {
        detector.begin(Instant::ORIGIN);
        detector.heard(Instant::ORIGIN, true);
    }

    #[test]
    fn regular_signs_make_it_as_impatient_as_it_may_be() {
        let mut detector = adaptive();
        assert_eq!(detector.patience(), INITIAL);
        hears(&mut detector, &[20], 100);
        assert_eq!(detector.patience(), FLOOR);
    }

    #[test]
    fn irregular_signs_make_it_more_patient_than_any_gap_it_saw() {
        let mut detector = adaptive();
        hears(&mut detector, &[20, 140], 50);
        assert!(detector.patience() > Duration::from_millis(140));
        assert!(detector.patience() < CAP);
    }

    #[test]
    fn a_flood_of_requests_says_nothing_about_heartbeats() {
        let mut detector = adaptive();
        hears(&mut detector, &[20, 100], 50);
        let before = detector.patience();
        hears(&mut detector, &[0, 1], 1000);
        assert_eq!(detector.patience(), before);
    }

    #[test]
    fn a_mistake_doubles_the_patience_and_a_long_good_time_takes_that_back() {
        let mut detector = adaptive();
        hears(&mut detector, &[20], 100);
        let mut patience = detector.patience();
        for _ in 0..3 {
            detector.heard(detector.heard.unwrap(), true);
            assert_eq!(detector.patience(), patience * 2);
            patience *= 2;
        }
        for _ in 0..100 {
            detector.heard(detector.heard.unwrap(), true);
        }
        assert_eq!(detector.patience(), CAP);
        hears(
            &mut detector,
            &[20],
            (TIMELY_SIGNS_MIN * MISTAKES_MAX) as usize,
        );
        assert_eq!(detector.patience(), FLOOR);
    }

    #[test]
    fn another_primary_starts_afresh_but_for_the_mistakes() {
        let mut detector = adaptive();
        hears(&mut detector, &[20], 100);
        detector.heard(detector.heard.unwrap(), true);
        detector.begin(detector.heard.unwrap());
        assert_eq!(detector.patience(), INITIAL * 2);
    }
}
