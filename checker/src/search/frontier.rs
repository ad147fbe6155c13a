//! Tells what the search found: the operations that no order fits, and where the deepest attempt ended.

use super::depth_first::Frontier;
use crate::Violation;
use crate::model::Model;
use crate::operation::Operation;
use crate::partition::Partition;
use crate::story::Story;

/// How many operations are told. More are counted only.
const SHOWN: usize = 12;

/// The violation of `operations`, which no order fits.
pub(crate) fn explain<M: Model>(
    partition: &Partition<'_, M>,
    operations: &[Operation<M::Action>],
    frontier: &Frontier,
) -> Violation {
    let mut story = Story::new(partition.log);
    // The frontier's first, where not all can be told; then those that come last.
    let mut order = frontier.rejected.clone();
    order.extend(
        (0..operations.len())
            .rev()
            .filter(|place| !frontier.rejected.contains(place)),
    );
    order.truncate(SHOWN);
    order.sort_unstable();
    for place in order {
        story.name(operations[place].call);
    }
    let rejected: Vec<String> = frontier
        .rejected
        .iter()
        .map(|place| story.name(operations[*place].call))
        .collect();
    let count = operations.len();
    let more = match count.saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" ({more} more are not shown)"),
    };
    let left = state_words(partition, operations, frontier);
    let argument = format!(
        "No order of these {count} operations{more} fits both their results and their times. The deepest \
         attempt took {} of them and left {left}; one of {} had to come next, and none could.",
        frontier.taken.len(),
        rejected.join(", "),
    );
    let summary = format!(
        "no order fits {count} operations on {}",
        partition.key_name()
    );
    story.end("non-linearizable", summary, &argument)
}

/// The state that the deepest attempt had reached.
fn state_words<M: Model>(
    partition: &Partition<'_, M>,
    operations: &[Operation<M::Action>],
    frontier: &Frontier,
) -> String {
    let model = &partition.model;
    let mut state = model.initial();
    for place in &frontier.taken {
        drop(model.apply(&mut state, &operations[*place as usize].action));
    }
    model.words(&state, partition)
}
