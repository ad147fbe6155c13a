//! Tells what the search found: the operations that no order fits, and where the deepest attempt ended.

use super::depth_first::Frontier;
use crate::Violation;
use crate::model::ValueId;
use crate::operation::Operation;
use crate::register::{Action, Partition};
use crate::story::Story;

/// How many operations are told. More are counted only.
const SHOWN: usize = 12;

/// The violation of `operations`, which no order fits.
pub(crate) fn explain(
    partition: &Partition<'_>,
    operations: &[Operation<Action>],
    frontier: &Frontier<ValueId>,
) -> Violation {
    let mut story = Story::new();
    // The frontier's first, where not all can be told.
    let all = 0..operations.len();
    let mut order = frontier.rejected.clone();
    order.extend(all.filter(|place| !frontier.rejected.contains(place)));
    order.truncate(SHOWN);
    order.sort_unstable();
    for place in order {
        story.name(partition, &operations[place]);
    }
    let rejected: Vec<String> = frontier
        .rejected
        .iter()
        .map(|place| story.name(partition, &operations[*place]))
        .collect();
    let count = operations.len();
    let more = match count.saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" ({more} more are not shown)"),
    };
    let held = partition.value(frontier.state);
    let argument = format!(
        "No order of these {count} operations{more} fits both their results and their times. The deepest \
         attempt took {} of them and left {} holding {held}; one of {} had to come next, and none could.",
        frontier.depth,
        partition.key_name(),
        rejected.join(", "),
    );
    let summary = format!(
        "no order fits {count} operations on {}",
        partition.key_name()
    );
    story.end("non-linearizable", summary, &argument)
}
