//! Latency by percentile, as HdrHistogram plots it: the tail gets as much room as the middle.

use std::collections::BTreeMap;

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

/// The curve of all acknowledged operations.
pub(crate) fn overall(operations: &[Operation<'_>]) -> Option<Curve> {
    Curve::of("all operations", latencies(operations, |_| true))
}

/// One curve for each kind of operation; the most frequent, if there are many.
pub(crate) fn by_kind(operations: &[Operation<'_>]) -> Vec<Curve> {
    let mut kinds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| !operation.is_final()) {
        if let Some(latency) = operation.latency() {
            kinds.entry(&operation.invoke.f).or_default().push(latency);
        }
    }
    let mut curves: Vec<_> = kinds
        .into_iter()
        .filter_map(|(f, latencies)| Curve::of(f, latencies))
        .collect();
    curves.sort_by_key(|curve| std::cmp::Reverse(curve.count));
    curves.truncate(MAX_CURVES);
    curves
}

/// One curve for each phase with operations that were due in it; the first, if there are many.
pub(crate) fn by_phase(operations: &[Operation<'_>], phases: &[PhaseMeasures]) -> Vec<Curve> {
    let curve = |phase: &PhaseMeasures| {
        let is_in = |due: Timestamp| phase.from_ns <= due && due < phase.to_ns;
        Curve::of(&phase.name, latencies(operations, is_in))
    };
    phases.iter().filter_map(curve).take(MAX_CURVES).collect()
}

fn latencies(operations: &[Operation<'_>], is_in: impl Fn(Timestamp) -> bool) -> Vec<u64> {
    let chosen = operations
        .iter()
        .filter(|operation| !operation.is_final() && is_in(operation.due()));
    chosen.filter_map(Operation::latency).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
