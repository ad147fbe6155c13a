//! How stale reads are: the time since a newer value was certainly there.

use crate::moment::Moment;
use crate::partition::Partition;
use crate::register::Register;

/// The reads of one key that were stale.
#[derive(Debug, Default)]
pub(super) struct Staleness {
    pub(super) reads: u64,
    /// Nanoseconds, of each stale read.
    pub(super) ages: Vec<u64>,
    /// The stalest read: its place, and that of the first newer write that had ended.
    pub(super) worst: Option<(u64, usize, usize)>,
}

impl Staleness {
    pub(super) fn of(partition: &Partition<'_, Register>) -> Self {
        let operations = &partition.operations;
        let mut ended = vec![Moment::BEFORE_ALL; partition.values.len()];
        let mut writes: Vec<(Moment, Moment, usize)> = Vec::new();
        for (place, operation) in operations.iter().enumerate() {
            if let Some(value) = operation.action.wrote() {
                ended[value as usize] = operation.returned;
                if operation.is_certain() {
                    writes.push((operation.invoke, operation.returned, place));
                }
            }
        }
        writes.sort_unstable();
        // Of all writes from each on, the one that ended first.
        let mut first = writes.clone();
        for place in (1..first.len()).rev() {
            if first[place].1 < first[place - 1].1 {
                first[place - 1] = first[place];
            }
        }
        let mut staleness = Self::default();
        for (place, operation) in operations.iter().enumerate() {
            let Some(saw) = operation.action.saw().filter(|_| operation.is_certain()) else {
                continue;
            };
            staleness.reads += 1;
            let newer = writes.partition_point(|(invoke, ..)| *invoke <= ended[saw as usize]);
            let Some((_, returned, writer)) = first.get(newer).copied() else {
                continue;
            };
            if returned < operation.invoke {
                let age = returned.until(operation.invoke);
                staleness.ages.push(age);
                if staleness.worst.is_none_or(|(worst, ..)| worst < age) {
                    staleness.worst = Some((age, place, writer));
                }
            }
        }
        staleness
    }
}
