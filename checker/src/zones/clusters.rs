//! One cluster a value: who wrote it, who saw it, when it was first certain and when it was last needed.

use crate::model::ValueId;
use crate::moment::Moment;
use crate::operation::Operation;
use crate::partition::Partition;
use crate::register::{Action, INITIAL, Register};

/// Stands for "none" among places and values, so that a cluster fits into a line of cache.
const NONE: u32 = u32::MAX;

/// A value with all that is known of it. Operations go by their places in the partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    /// The earliest return of its operations (`f` in the literature): from then on the value was there.
    pub(super) first: Edge,
    /// The latest invoke of its operations (`s`): the value was there, or came, after that.
    pub(super) last: Edge,
    /// When the writer began.
    pub(super) begun: Moment,
    writer: u32,
    next_operation: u32,
    next_value: ValueId,
    stands: bool,
}

/// A time, and the operation that it comes from; none for the ends of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) time: Moment,
    operation: u32,
}

impl Edge {
    /// A time that is no operation's.
    pub(super) const fn at(time: Moment) -> Self {
        Self {
            time,
            operation: NONE,
        }
    }

    pub(super) fn operation(self) -> Option<usize> {
        (self.operation != NONE).then_some(self.operation as usize)
    }
}

impl Cluster {
    const UNWRITTEN: Self = Self {
        first: Edge::at(Moment::NEVER),
        last: Edge::at(Moment::BEFORE_ALL),
        begun: Moment::BEFORE_ALL,
        writer: NONE,
        next_operation: NONE,
        next_value: NONE,
        stands: false,
    };

    /// Who wrote it; none for the initial value, and for a value that nobody can have written.
    pub(super) fn writer(&self) -> Option<usize> {
        (self.writer != NONE).then_some(self.writer as usize)
    }

    /// The compare-and-set that replaced it, and by what.
    pub(super) fn next(&self) -> Option<(usize, ValueId)> {
        (self.next_operation != NONE).then_some((self.next_operation as usize, self.next_value))
    }

    /// Whether it stands in the judgement: it was written, and no violation has been told of it yet.
    pub(super) fn stands(&self) -> bool {
        self.stands
    }

    pub(super) fn drop_out(&mut self) {
        self.stands = false;
    }

    fn include(&mut self, place: u32, operation: &Operation<Action>) {
        if operation.returned < self.first.time {
            self.first = Edge {
                time: operation.returned,
                operation: place,
            };
        }
        if operation.invoke > self.last.time {
            self.last = Edge {
                time: operation.invoke,
                operation: place,
            };
        }
    }
}

/// Two operations that write one value, or one that writes the initial value: this method cannot judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotUnique {
    pub(super) value: ValueId,
}

/// All clusters of a partition, by value.
#[derive(Debug)]
pub(super) struct Clusters {
    pub(super) all: Vec<Cluster>,
    /// Pairs of compare-and-sets that replaced the same value: lost updates.
    pub(super) forks: Vec<(usize, usize)>,
}

impl Clusters {
    /// Gathers the clusters. Indeterminate operations that nobody observed are left out: had they happened,
    /// nobody could tell.
    pub(super) fn gather(partition: &Partition<'_, Register>) -> Result<Self, NotUnique> {
        if !partition.values_are_unique {
            return Err(first_repeated(partition));
        }
        let observed = observed(partition);
        let mut all = vec![Cluster::UNWRITTEN; partition.values.len()];
        let initial = &mut all[INITIAL as usize];
        initial.stands = true;
        initial.first.time = Moment::BEFORE_ALL;
        let mut forks = Vec::new();
        for (place, operation) in (0..).zip(&partition.operations) {
            let wrote = operation.action.wrote();
            let is_observed = |value: ValueId| observed.get(value as usize).is_some_and(|it| *it);
            if !operation.is_certain() && !wrote.is_some_and(is_observed) {
                continue;
            }
            if let Some(value) = wrote {
                let cluster = &mut all[value as usize];
                cluster.writer = place;
                cluster.begun = operation.invoke;
                cluster.stands = true;
                cluster.include(place, operation);
            }
            if let Some(value) = operation.action.saw() {
                let cluster = &mut all[value as usize];
                cluster.include(place, operation);
                if let Action::Cas { new, .. } = operation.action {
                    match cluster.next() {
                        Some((earlier, _)) => forks.push((earlier, place as usize)),
                        None => (cluster.next_operation, cluster.next_value) = (place, new),
                    }
                }
            }
        }
        Ok(Self { all, forks })
    }
}

/// The value that is written twice, or the initial one that is written at all.
fn first_repeated(partition: &Partition<'_, Register>) -> NotUnique {
    let mut written = vec![false; partition.values.len()];
    written[INITIAL as usize] = true;
    let mut values = partition
        .operations
        .iter()
        .filter_map(|it| it.action.wrote());
    let repeated = values.find(|value| std::mem::replace(&mut written[*value as usize], true));
    NotUnique {
        value: repeated.unwrap_or(INITIAL),
    }
}

/// Which values somebody saw. An indeterminate compare-and-set whose new value was seen did happen, and so
/// saw its expected value itself. Empty if nothing is indeterminate.
fn observed(partition: &Partition<'_, Register>) -> Vec<bool> {
    let operations = &partition.operations;
    if operations.iter().all(Operation::is_certain) {
        return Vec::new();
    }
    // What indeterminate compare-and-sets made their values from.
    let mut sources = vec![NONE; partition.values.len()];
    for operation in operations
        .iter()
        .filter(|operation| !operation.is_certain())
    {
        if let (Some(new), Some(expected)) = (operation.action.wrote(), operation.action.saw()) {
            sources[new as usize] = expected;
        }
    }
    let mut observed = vec![false; partition.values.len()];
    for operation in operations.iter().filter(|operation| operation.is_certain()) {
        let mut due = operation.action.saw();
        while let Some(value) = due.take() {
            if !std::mem::replace(&mut observed[value as usize], true) {
                let source = sources[value as usize];
                due = (source != NONE).then_some(source);
            }
        }
    }
    observed
}
