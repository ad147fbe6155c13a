//! One cluster a value: who wrote it, who saw it, when it was first certain and when it was last needed.

use crate::model::ValueId;
use crate::moment::Moment;
use crate::operation::Operation;
use crate::register::{Action, INITIAL, Partition};

/// A value with all that is known of it. Operations go by their places in the partition.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// Who wrote it; none for the initial value, and for a value that nobody can have written.
    pub(super) writer: Option<usize>,
    /// When the writer began.
    pub(super) begun: Moment,
    /// The earliest return of its operations (`f` in the literature): from then on the value was there.
    pub(super) first: Edge,
    /// The latest invoke of its operations (`s`): the value was there, or came, after that.
    pub(super) last: Edge,
    /// The compare-and-set that replaced it, and by what.
    pub(super) next: Option<(usize, ValueId)>,
    /// Whether a compare-and-set wrote it.
    pub(super) is_chained: bool,
    /// Whether it stands in the judgement: it was written, and no violation has been told of it yet.
    pub(super) stands: bool,
}

/// A time, and the operation that it comes from; none for the ends of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) time: Moment,
    pub(super) operation: Option<usize>,
}

impl Cluster {
    fn unwritten() -> Self {
        Self {
            writer: None,
            begun: Moment::BEFORE_ALL,
            first: Edge {
                time: Moment::NEVER,
                operation: None,
            },
            last: Edge {
                time: Moment::BEFORE_ALL,
                operation: None,
            },
            next: None,
            is_chained: false,
            stands: false,
        }
    }

    fn include(&mut self, place: usize, operation: &Operation<Action>) {
        if operation.returned < self.first.time {
            self.first = Edge {
                time: operation.returned,
                operation: Some(place),
            };
        }
        if operation.invoke > self.last.time {
            self.last = Edge {
                time: operation.invoke,
                operation: Some(place),
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
    pub(super) fn gather(partition: &Partition<'_>) -> Result<Self, NotUnique> {
        let writers = writers(partition)?;
        let observed = observed(partition, &writers);
        let mut all = vec![Cluster::unwritten(); partition.values.len()];
        let initial = &mut all[INITIAL as usize];
        initial.stands = true;
        initial.first.time = Moment::BEFORE_ALL;
        let mut forks = Vec::new();
        for (place, operation) in partition.operations.iter().enumerate() {
            let wrote = operation.action.wrote();
            let happened = operation.is_certain() || wrote.is_some_and(|v| observed[v as usize]);
            if !happened {
                continue;
            }
            if let Some(value) = wrote {
                let cluster = &mut all[value as usize];
                cluster.writer = Some(place);
                cluster.begun = operation.invoke;
                cluster.stands = true;
                cluster.is_chained = matches!(operation.action, Action::Cas { .. });
                cluster.include(place, operation);
            }
            if let Some(value) = operation.action.saw() {
                let cluster = &mut all[value as usize];
                cluster.include(place, operation);
                if let Action::Cas { new, .. } = operation.action {
                    match cluster.next {
                        Some((earlier, _)) => forks.push((earlier, place)),
                        None => cluster.next = Some((place, new)),
                    }
                }
            }
        }
        Ok(Self { all, forks })
    }
}

/// Who may have written each value.
fn writers(partition: &Partition<'_>) -> Result<Vec<Option<usize>>, NotUnique> {
    let mut writers = vec![None; partition.values.len()];
    for (place, operation) in partition.operations.iter().enumerate() {
        let Some(value) = operation.action.wrote() else {
            continue;
        };
        let writer = &mut writers[value as usize];
        if value == INITIAL || writer.is_some() {
            return Err(NotUnique { value });
        }
        *writer = Some(place);
    }
    Ok(writers)
}

/// Which values somebody saw. An indeterminate compare-and-set whose new value was seen did happen, and so
/// saw its expected value itself.
fn observed(partition: &Partition<'_>, writers: &[Option<usize>]) -> Vec<bool> {
    let mut observed = vec![false; writers.len()];
    let mut due: Vec<ValueId> = Vec::new();
    for operation in &partition.operations {
        if operation.is_certain() {
            due.extend(operation.action.saw());
        }
        while let Some(value) = due.pop() {
            if std::mem::replace(&mut observed[value as usize], true) {
                continue;
            }
            let writer = writers[value as usize].map(|place| &partition.operations[place]);
            due.extend(writer.and_then(|writer| writer.action.saw()));
        }
    }
    observed
}
