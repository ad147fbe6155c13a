//! Why a register's operations contradict each other, told with three to six of them.

use super::blocks::Block;
use super::chains::ChainFault;
use super::clusters::{Cluster, Clusters};
use crate::Violation;
use crate::model::ValueId;
use crate::moment::Milliseconds;
use crate::operation::Operation;
use crate::partition::Partition;
use crate::register::{Action, INITIAL, Register};
use crate::story::Story;

/// Tells violations of one partition.
pub(super) struct Evidence<'p, 'h> {
    pub(super) partition: &'p Partition<'h, Register>,
}

/// How many links of a chain are written out.
const CHAIN_SHOWN: usize = 6;

/// How many links of a chain are among the operations of a story.
const LINKS_NAMED: usize = 12;

impl<'p, 'h> Evidence<'p, 'h> {
    pub(super) fn new(partition: &'p Partition<'h, Register>) -> Self {
        Self { partition }
    }

    fn operation(&self, place: usize) -> &'p Operation<Action> {
        &self.partition.operations[place]
    }

    fn process(&self, place: usize) -> u64 {
        self.partition.process(self.operation(place))
    }

    fn name(&self, story: &mut Story<'h>, place: usize) -> String {
        story.name(self.operation(place).call)
    }

    /// An operation saw a value that nobody can have written.
    pub(super) fn unwritten(
        &self,
        clusters: &Clusters,
        reader: usize,
        value: ValueId,
    ) -> Violation {
        let mut story = Story::new(self.partition.log);
        let key = self.partition.key_name();
        let text = self.partition.value(value);
        let process = self.process(reader);
        let failed = self.partition.failed_writer(value);
        let writer = failed.map(|call| story.name_without_effect(call));
        let happened = self.happened(clusters, &mut story, reader);
        let reader = self.name(&mut story, reader);
        match writer {
            Some(writer) => {
                let argument = format!(
                    "{writer} ended as one that had no effect, and nobody else writes {text}; yet \
                     {reader} saw it.{happened}"
                );
                let summary = format!(
                    "process {process} saw {key} = {text}, whose only writer had failed without effect"
                );
                story.end("aborted-read", summary, &argument)
            }
            None => {
                let argument = format!(
                    "{reader} saw {text}, and no operation of the history writes it.{happened}"
                );
                let summary = format!("process {process} saw {key} = {text}, which nobody wrote");
                story.end("garbage-read", summary, &argument)
            }
        }
    }

    /// How it is known that a compare-and-set of unknown outcome happened: somebody saw its value, or one
    /// that was made from it.
    fn happened(&self, clusters: &Clusters, story: &mut Story<'h>, place: usize) -> String {
        let operation = self.operation(place);
        let Some(mut value) = operation.action.wrote().filter(|_| !operation.is_certain()) else {
            return String::new();
        };
        // A chain has no more links than there are values.
        for _ in 0..clusters.all.len() {
            let cluster = &clusters.all[value as usize];
            if let Some(witness) = cluster.first.operation() {
                let name = self.name(story, place);
                let witness = self.name(story, witness);
                return format!(" {name} did happen: {witness} shows what came of it.");
            }
            match cluster.next() {
                Some((link, next)) => {
                    self.name(story, link);
                    value = next;
                }
                None => break,
            }
        }
        String::new()
    }

    /// A compare-and-set was refused although it saw what it expected.
    pub(super) fn refused(&self, operation: &'p Operation<Action>) -> Violation {
        let mut story = Story::new(self.partition.log);
        let name = story.name(operation.call);
        let argument = format!("{name} saw what it expected, and should have succeeded.");
        let summary = format!(
            "process {}'s compare-and-set on {} was refused although it saw what it expected",
            self.partition.process(operation),
            self.partition.key_name()
        );
        story.end("cas-refused", summary, &argument)
    }

    /// Two compare-and-sets replaced the same value.
    pub(super) fn lost_update(&self, clusters: &Clusters, one: usize, other: usize) -> Violation {
        let mut story = Story::new(self.partition.log);
        let replaced = self.operation(one).action.saw().unwrap_or(INITIAL);
        if let Some(writer) = clusters.all[replaced as usize].writer() {
            self.name(&mut story, writer);
        }
        let (first, second) = (self.name(&mut story, one), self.name(&mut story, other));
        let text = self.partition.value(replaced);
        let key = self.partition.key_name();
        let argument = format!(
            "{first} and {second} both found {text} and replaced it. It was there once, so whichever came \
             second cannot have found it: one of the two updates is lost."
        );
        let summary = format!("two compare-and-sets on {key} both replaced {text}");
        self.end(clusters, story, "lost-update", summary, &argument)
    }

    /// A value was seen before its writer began.
    pub(super) fn early(&self, value: ValueId, reader: usize, writer: usize) -> Violation {
        let mut story = Story::new(self.partition.log);
        let (seen, written) = (self.operation(reader), self.operation(writer));
        let gap = Milliseconds(seen.returned.until(written.invoke));
        let writer = self.name(&mut story, writer);
        let reader = self.name(&mut story, reader);
        let text = self.partition.value(value);
        let argument = format!(
            "{reader} saw {text} and ended {gap} before {writer}, the only operation that writes it, began."
        );
        let summary = format!(
            "process {} saw {} = {text} {gap} before anybody began to write it",
            self.partition.process(seen),
            self.partition.key_name()
        );
        story.end("future-read", summary, &argument)
    }

    /// A chain of compare-and-sets contradicts the times of its operations.
    pub(super) fn chain(&self, clusters: &Clusters, fault: ChainFault) -> Violation {
        match fault {
            ChainFault::Cycle { value } => self.cycle(clusters, value),
            ChainFault::AgainstTime { earlier, later } => self.against(clusters, earlier, later),
        }
    }

    fn cycle(&self, clusters: &Clusters, value: ValueId) -> Violation {
        let mut story = Story::new(self.partition.log);
        let mut at = value;
        while let Some((place, next)) = clusters.all[at as usize].next() {
            if story.len() < LINKS_NAMED {
                self.name(&mut story, place);
            }
            at = next;
            if at == value {
                break;
            }
        }
        let links = self.links(clusters, value, value);
        let key = self.partition.key_name();
        let argument = format!(
            "Each of these values was made from the one before ({links}), and nobody else writes any of \
             them: none can have been the first."
        );
        let summary = format!("compare-and-sets on {key} made values from each other in a circle");
        self.end(clusters, story, "cas-cycle", summary, &argument)
    }

    fn against(&self, clusters: &Clusters, earlier: ValueId, later: ValueId) -> Violation {
        let mut story = Story::new(self.partition.log);
        let (old, new) = (
            &clusters.all[earlier as usize],
            &clusters.all[later as usize],
        );
        let links = self.links(clusters, earlier, later);
        let (early, late) = (self.partition.value(earlier), self.partition.value(later));
        for writer in [old.writer(), new.writer()].into_iter().flatten() {
            self.name(&mut story, writer);
        }
        self.name_links(clusters, &mut story, earlier, later);
        // Both edges are operations': the chain's first value is not replaced before it is there.
        let (Some(first), Some(last)) = (new.first.operation(), old.last.operation()) else {
            return self.end(clusters, story, "non-linearizable", String::new(), &links);
        };
        let gap = Milliseconds(new.first.time.until(old.last.time));
        let (seen, needed) = (self.operation(first), self.operation(last));
        let (first, last) = (self.name(&mut story, first), self.name(&mut story, last));
        let key = self.partition.key_name();
        let argument = format!(
            "Compare-and-sets lead from {early} to {late} ({links}), so {early} was gone for good once {late} \
             was there. {first} shows {late} and ended {gap} before {last} began, which needs {early} still \
             there or to come."
        );
        if matches!(needed.action, Action::Read { .. } | Action::Refused { .. }) {
            let summary = stale(self.partition.process(needed), key, &early, &gap);
            return self.end(clusters, story, "stale-read", summary, &argument);
        }
        let summary = format!(
            "process {} had {key} = {late} {gap} before process {} began what {late} was made from",
            self.partition.process(seen),
            self.partition.process(needed)
        );
        self.end(clusters, story, "chain-against-time", summary, &argument)
    }

    /// Two blocks of which each must come first.
    pub(super) fn conflict(&self, clusters: &Clusters, one: &Block, other: &Block) -> Violation {
        // The one that was needed last is the older; nothing is older than the initial value.
        let is_older = match (one.head, other.head) {
            (INITIAL, _) => true,
            (_, INITIAL) => false,
            _ => one.last.time >= other.last.time,
        };
        let (old, new) = if is_older { (one, other) } else { (other, one) };
        let mut story = Story::new(self.partition.log);
        let (Some(seen), Some(needed)) = (new.first.operation(), old.last.operation()) else {
            return self.end(clusters, story, "non-linearizable", String::new(), "");
        };
        let old_value = self.value_in(clusters, old, needed);
        let new_value = self.value_in(clusters, new, seen);
        let writers = [old_value, new_value].map(|value| clusters.all[value as usize].writer());
        for writer in writers.into_iter().flatten() {
            self.name(&mut story, writer);
        }
        let (old_text, new_text) = (
            self.partition.value(old_value),
            self.partition.value(new_value),
        );
        let mut argument = match (old.first.operation(), new.last.operation()) {
            (Some(first), Some(last)) => {
                let (first, last) = (self.name(&mut story, first), self.name(&mut story, last));
                format!("{first} ended before {last} began, so {old_text} came before {new_text}. ")
            }
            _ => String::from("The register held nothing at first. "),
        };
        let gap = Milliseconds(new.first.time.until(old.last.time));
        let operation = self.operation(needed);
        let (seen, needed) = (self.name(&mut story, seen), self.name(&mut story, needed));
        argument.push_str(&format!(
            "{seen} ended {gap} before {needed} began, so {new_text} was there by then; {needed} found \
             {old_text}, which would put {new_text} before it. Contradiction."
        ));
        for (block, value) in [(old, old_value), (new, new_value)] {
            for edge in [block.first, block.last] {
                if let Some(place) = edge.operation() {
                    let other = self.value_in(clusters, block, place);
                    self.name_links(clusters, &mut story, other, value);
                }
            }
            if clusters.all[block.head as usize].next().is_some() {
                let links = self.links(clusters, block.head, block.head);
                argument.push_str(&format!(
                    " Of {links}, each value was put in the place of the one before: no other fits between."
                ));
            }
        }
        let key = self.partition.key_name();
        match operation.action {
            Action::Read { .. } | Action::Refused { .. } => self.end(
                clusters,
                story,
                "stale-read",
                stale(self.partition.process(operation), key, &old_text, &gap),
                &argument,
            ),
            Action::Write { .. } | Action::Cas { .. } => {
                let summary = format!(
                    "process {}'s compare-and-set on {key} replaced {old_text}, which had been overwritten \
                     {gap} before it began",
                    self.partition.process(operation)
                );
                self.end(clusters, story, "lost-update", summary, &argument)
            }
        }
    }

    /// Ends a story, in which whatever is of unknown outcome is shown to have happened.
    fn end(
        &self,
        clusters: &Clusters,
        mut story: Story<'h>,
        class: &str,
        summary: String,
        argument: &str,
    ) -> Violation {
        let operations = &self.partition.operations;
        let mut argument = argument.to_owned();
        for call in story.calls() {
            if let Ok(place) = operations.binary_search_by_key(&call, |operation| operation.call) {
                argument.push_str(&self.happened(clusters, &mut story, place));
            }
        }
        story.end(class, summary, &argument)
    }

    /// Names the compare-and-sets that lead from one value of a chain to another, whichever comes first.
    fn name_links(&self, clusters: &Clusters, story: &mut Story<'h>, one: ValueId, other: ValueId) {
        let path = |from: ValueId, to: ValueId| {
            let mut path = Vec::new();
            let mut at = from;
            while at != to && path.len() < clusters.all.len() {
                let (place, next) = clusters.all[at as usize].next()?;
                path.push(place);
                at = next;
            }
            (at == to).then_some(path)
        };
        let links = path(one, other)
            .or_else(|| path(other, one))
            .unwrap_or_default();
        for place in links.into_iter().take(LINKS_NAMED) {
            self.name(story, place);
        }
    }

    /// The value of `block` that the operation at `place` wrote or saw.
    fn value_in(&self, clusters: &Clusters, block: &Block, place: usize) -> ValueId {
        let action = self.operation(place).action;
        let is_edge = |cluster: &Cluster| {
            [cluster.first, cluster.last]
                .iter()
                .any(|edge| edge.operation() == Some(place))
        };
        let mut candidates = [action.saw(), action.wrote()].into_iter().flatten();
        candidates
            .find(|value| is_edge(&clusters.all[*value as usize]))
            .unwrap_or(block.head)
    }

    /// A chain, written out: `3 -> 5 -> ... -> 9`. Ends at `to`, or at the chain's end if that is `from`.
    fn links(&self, clusters: &Clusters, from: ValueId, to: ValueId) -> String {
        let mut values = vec![from];
        let mut at = from;
        while let Some((_, next)) = clusters.all[at as usize].next() {
            values.push(next);
            at = next;
            if at == to || at == from {
                break;
            }
        }
        let mut texts: Vec<String> = values
            .iter()
            .map(|value| self.partition.value(*value))
            .collect();
        if texts.len() > CHAIN_SHOWN {
            let shown = CHAIN_SHOWN - 1;
            texts.splice(shown..texts.len() - 1, ["...".to_owned()]);
        }
        texts.join(" -> ")
    }
}

/// One sentence on an operation that saw what had been overwritten.
fn stale(process: u64, key: &str, old: &str, gap: &Milliseconds) -> String {
    format!(
        "process {process} saw {key} = {old}, overwritten {gap} before it began to look: a stale read"
    )
}
