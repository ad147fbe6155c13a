//! What happened over time, in buckets: the page holds these, never the operations.

use viewstorm_history::{Kind, Timestamp};

use crate::operations::Operation;

/// The most buckets a chart has, and the fewest it is made for.
const MAX_BUCKETS: u64 = 300;
const FEW_BUCKETS: u64 = 30;

/// About as many operations a bucket should hold, for its quantiles to mean something.
const OPERATIONS_PER_BUCKET: u64 = 20;

/// The narrowest bucket, in nanoseconds. Wider ones are 2, 5, 10, ... times as wide.
const NARROWEST: u64 = 1_000_000;

/// Figures over time, from a time on, in buckets of one width.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// Where the first bucket begins.
    pub(crate) from: Timestamp,
    /// Where the last one ends.
    pub(crate) to: Timestamp,
    /// How wide a bucket is, in nanoseconds.
    pub(crate) width: u64,
    /// The buckets, without a hole.
    pub(crate) buckets: Vec<Bucket>,
    /// Operations whose end the history does not tell; they are in no bucket.
    pub(crate) open: u64,
}

/// What happened in one bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bucket {
    /// Operations that were acknowledged in it.
    pub(crate) ok: u64,
    /// Operations that failed in it.
    pub(crate) fail: u64,
    /// Operations that were given up in it, their outcome unknown.
    pub(crate) info: u64,
    /// How long the acknowledged operations took that were due in it.
    pub(crate) latency: Option<BucketLatency>,
}

/// Latencies of one bucket, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketLatency {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

impl Series {
    /// The figures of a run between two times. An operation counts as ended where it ended, and its
    /// latency where it was due: a stall shows where it began.
    pub(crate) fn new(operations: &[Operation<'_>], from: Timestamp, to: Timestamp) -> Self {
        let enough = operations.len() as u64 / OPERATIONS_PER_BUCKET;
        let width = width_for(
            to.0.saturating_sub(from.0),
            enough.clamp(FEW_BUCKETS, MAX_BUCKETS),
        );
        let number = to.0.saturating_sub(from.0).div_ceil(width).max(1);
        let index = |at: Timestamp| {
            let position = at.0.checked_sub(from.0)? / width;
            usize::try_from(position)
                .ok()
                .filter(|position| *position < number as usize)
        };
        let mut buckets = vec![Bucket::default(); number as usize];
        let mut latencies = vec![Vec::new(); number as usize];
        let mut open = 0;
        for operation in operations.iter().filter(|operation| !operation.is_final()) {
            if let (Some(latency), Some(index)) = (operation.latency(), index(operation.due())) {
                latencies[index].push(latency);
            }
            let Some(end) = operation.end else {
                open += 1;
                continue;
            };
            let Some(index) = index(end.time) else {
                continue;
            };
            match end.kind {
                Kind::Ok => buckets[index].ok += 1,
                Kind::Fail => buckets[index].fail += 1,
                Kind::Info | Kind::Invoke => buckets[index].info += 1,
            }
        }
        for (bucket, latencies) in buckets.iter_mut().zip(latencies) {
            bucket.latency = BucketLatency::of(latencies);
        }
        let to = Timestamp(from.0.saturating_add(number.saturating_mul(width)));
        Self {
            from,
            to,
            width,
            buckets,
            open,
        }
    }

    /// A bucket's count as a rate a second.
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1e9 / self.width as f64
    }

    /// Whether nothing happened.
    pub(crate) fn is_empty(&self) -> bool {
        self.open == 0
            && self
                .buckets
                .iter()
                .all(|bucket| *bucket == Bucket::default())
    }

    /// Where a time lies between the beginning (0) and the end (1); outside it may be less or more.
    pub(crate) fn fraction(&self, at: Timestamp) -> f64 {
        let span = self.to.0.saturating_sub(self.from.0).max(1);
        (at.0 as f64 - self.from.0 as f64) / span as f64
    }
}

impl BucketLatency {
    fn of(mut latencies: Vec<u64>) -> Option<Self> {
        latencies.sort_unstable();
        let max = *latencies.last()?;
        Some(Self {
            p50: quantile(&latencies, 0.5),
            p99: quantile(&latencies, 0.99),
            max,
        })
    }
}

/// The smallest of the sorted values that at least a share `q` of them does not exceed. There must
/// be one.
pub(crate) fn quantile(sorted: &[u64], q: f64) -> u64 {
    // A share such as 1 - 0.1 is a little more than what it stands for.
    let rank = (q * sorted.len() as f64 * (1.0 - 1e-12)).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// The narrowest round width with which a span has at most so many buckets.
fn width_for(span: u64, limit: u64) -> u64 {
    let mut decade = NARROWEST;
    loop {
        for factor in [1, 2, 5] {
            let width = decade.saturating_mul(factor);
            if span.div_ceil(width) <= limit {
                return width;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use viewstorm_history::History;

    use super::*;
    use crate::operations::operations;

    #[test]
    fn widths_are_round_and_buckets_few() {
        assert_eq!(width_for(0, 300), 1_000_000);
        assert_eq!(width_for(30_000_000_000, 300), 100_000_000);
        assert_eq!(width_for(30_000_000_001, 300), 200_000_000);
        assert_eq!(width_for(3_600_000_000_000, 300), 20_000_000_000);
        assert_eq!(width_for(30_000_000_000, 30), 1_000_000_000);
    }

    #[test]
    fn an_operation_ends_where_it_ended_and_is_slow_where_it_was_due() {
        let lines = concat!(
            "{\"time\":1000000,\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"intended\":500000}\n",
            "{\"time\":1000001,\"process\":2,\"type\":\"invoke\",\"f\":\"read\"}\n",
            "{\"time\":2500000,\"process\":1,\"type\":\"ok\",\"f\":\"read\"}\n",
        );
        let history = History::read(lines.as_bytes()).unwrap();
        let series = Series::new(&operations(&history), Timestamp::ZERO, Timestamp(3_000_000));
        let ok: Vec<_> = series.buckets.iter().map(|bucket| bucket.ok).collect();
        assert_eq!(ok, [0, 0, 1]);
        let max: Vec<_> = series
            .buckets
            .iter()
            .map(|bucket| bucket.latency.map(|l| l.max))
            .collect();
        assert_eq!(max, [Some(2_000_000), None, None]);
        assert_eq!(series.open, 1);
        assert_eq!(series.per_second(1), 1000.0);
    }

    #[test]
    fn quantiles_are_values_that_occur() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(quantile(&values, 0.0), 1);
        assert_eq!(quantile(&values, 0.5), 50);
        assert_eq!(quantile(&values, 0.99), 99);
        assert_eq!(quantile(&values, 1.0), 100);
        assert_eq!(quantile(&[7], 0.5), 7);
    }

    proptest! {
        #[test]
        fn any_span_has_few_buckets_that_cover_it(from in any::<u64>(), to in any::<u64>()) {
            let series = Series::new(&[], Timestamp(from), Timestamp(to));
            prop_assert!(!series.buckets.is_empty());
            prop_assert!(series.buckets.len() as u64 <= MAX_BUCKETS);
            prop_assert!(series.to.0 >= to || series.to.0 == u64::MAX);
        }
    }
}
