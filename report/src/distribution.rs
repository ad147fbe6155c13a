//! Latency by percentile, as HdrHistogram plots it: the tail gets as much room as the middle.

use std::collections::BTreeSet;

use viewstorm_history::Timestamp;

use crate::PhaseMeasures;
use crate::operations::Operation;
use crate::series::quantile;

/// Points to a factor of ten in 1/(1-p).
const POINTS_PER_DECADE: u32 = 24;

/// The most curves beside the one for all operations.
pub(crate) const MAX_CURVES: usize = 7;

/// The latencies of some operations.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    /// Which operations.
    pub(crate) name: String,
    /// How many.
    pub(crate) count: usize,
    /// The curve, from the shortest to the longest.
    pub(crate) points: Vec<Point>,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// How rare: the decimal logarithm of 1/(1-p). 0 is the shortest, 1 is p90, 2 is p99, ...
    pub(crate) nines: f64,
    /// Nanoseconds.
    pub(crate) latency: u64,
}

impl Curve {
    /// The curve of some latencies; none where there are none.
    pub(crate) fn of(name: &str, mut latencies: Vec<u64>) -> Option<Self> {
        latencies.sort_unstable();
        let longest = *latencies.last()?;
        // The longest of n stands where only one in n is as long.
        let end = (latencies.len() as f64).log10();
        let place = |step: u32| f64::from(step) / f64::from(POINTS_PER_DECADE);
        let point = |nines: f64| Point {
            nines,
            latency: quantile(&latencies, 1.0 - 10_f64.powf(-nines)),
        };
        let mut points: Vec<Point> = (0..)
            .map(place)
            .take_while(|nines| *nines < end - 1e-9)
            .map(point)
            .collect();
        points.push(Point {
            nines: end,
            latency: longest,
        });
        Some(Self {
            name: name.to_owned(),
            count: latencies.len(),
            points,
        })
    }
}

/// The curve of all acknowledged operations that were due from a time on.
pub(crate) fn overall(operations: &[Operation<'_>], from: Timestamp) -> Option<Curve> {
    Curve::of("all operations", latencies(operations, |due| from <= due))
}

/// One curve for each kind of operation; the most frequent, if there are many.
pub(crate) fn by_kind(operations: &[Operation<'_>], from: Timestamp) -> Vec<Curve> {
    let kinds: BTreeSet<&str> = operations
        .iter()
        .map(|operation| operation.invoke.f.as_str())
        .collect();
    let curve = |f: &str| {
        let of_kind: Vec<_> = operations
            .iter()
            .filter(|operation| operation.invoke.f == f)
            .copied()
            .collect();
        Curve::of(f, latencies(&of_kind, |due| from <= due))
    };
    let mut curves: Vec<_> = kinds.into_iter().filter_map(curve).collect();
    curves.sort_by_key(|curve| std::cmp::Reverse(curve.count));
    curves.truncate(MAX_CURVES);
    curves
}

/// One curve for each phase with operations that were due in it. If there are many, those in the
/// middle are left out: the first is the base line, and the last shows the recovery.
pub(crate) fn by_phase(operations: &[Operation<'_>], phases: &[PhaseMeasures]) -> Vec<Curve> {
    let curve = |phase: &PhaseMeasures| {
        let is_in = |due: Timestamp| phase.from_ns <= due && due < phase.to_ns;
        Curve::of(&phase.name, latencies(operations, is_in))
    };
    let mut curves: Vec<_> = phases.iter().filter_map(curve).collect();
    if curves.len() > MAX_CURVES {
        curves.drain(MAX_CURVES - 1..curves.len() - 1);
    }
    curves
}

fn latencies(operations: &[Operation<'_>], is_in: impl Fn(Timestamp) -> bool) -> Vec<u64> {
    let is_chosen = |operation: &&Operation<'_>| !operation.is_final() && is_in(operation.due());
    operations
        .iter()
        .filter(is_chosen)
        .filter_map(Operation::latency)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::operations::operations;
    use crate::sample;

    #[test]
    fn the_curve_passes_through_the_quantiles() {
        let curve = Curve::of("all", (1..=1000).rev().collect()).unwrap();
        let at = |nines: f64| {
            let is_there = |point: &&Point| (point.nines - nines).abs() < 1e-9;
            curve.points.iter().find(is_there).unwrap().latency
        };
        assert_eq!((at(0.0), at(1.0), at(2.0), at(3.0)), (1, 900, 990, 1000));
        assert_eq!(Curve::of("none", Vec::new()), None);
    }

    #[test]
    fn of_many_phases_the_first_and_the_last_are_drawn() {
        let (history, results) = (sample::history(), sample::valid());
        let phase = |number: u64| PhaseMeasures {
            name: number.to_string(),
            from_ns: sample::at(1_000 + 50 * number),
            to_ns: sample::at(1_050 + 50 * number),
            ..results.phases[0].clone()
        };
        let phases: Vec<_> = (0..20).map(phase).collect();
        let curves = by_phase(&operations(&history), &phases);
        let names: Vec<_> = curves.iter().map(|curve| curve.name.as_str()).collect();
        assert_eq!(names, ["0", "1", "2", "3", "4", "5", "19"]);
    }

    #[test]
    fn kinds_are_sorted_by_frequency_and_the_warm_up_left_out() {
        let history = sample::history();
        let operations = operations(&history);
        let counts = |from| {
            let curves = by_kind(&operations, from);
            curves
                .iter()
                .map(|curve| (curve.name.clone(), curve.count))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            counts(Timestamp::ZERO),
            [("read".to_owned(), 40), ("write".to_owned(), 30)]
        );
        assert_eq!(
            counts(sample::at(1_500)),
            [("read".to_owned(), 20), ("write".to_owned(), 15)]
        );
        assert_eq!(
            overall(&operations, sample::at(1_500)).map(|curve| curve.count),
            Some(35)
        );
    }

    proptest! {
        #[test]
        fn curves_rise_and_are_small(latencies in prop::collection::vec(any::<u64>(), 1..500)) {
            let longest = latencies.iter().copied().max();
            let curve = Curve::of("all", latencies).unwrap();
            prop_assert!(curve.points.len() < 100);
            prop_assert!(curve.points.is_sorted_by_key(|point| point.latency));
            prop_assert!(curve.points.is_sorted_by(|a, b| a.nines <= b.nines));
            prop_assert_eq!(curve.points.last().map(|point| point.latency), longest);
        }
    }
}
