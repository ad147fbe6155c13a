//! Whether what a final read saw may have been the last value.

use super::lives::Lives;
use crate::Violation;
use crate::model::ValueId;
use crate::moment::Milliseconds;
use crate::operation::Operation;
use crate::register::{Action, INITIAL};
use crate::story::Story;

impl<'p, 'h> Lives<'p, 'h> {
    /// Judges a final read: whether the value it saw may have been the last.
    pub(super) fn judge(&self, read: &'p Operation<Action>) -> Option<Violation> {
        let saw = read.action.saw()?;
        let origin = self.origin(saw) as ValueId;
        if origin != INITIAL && self.writers[origin as usize].is_none() {
            return Some(self.unwritten(read, saw, origin));
        }
        match self.writers[saw as usize] {
            Some(writer) if read.precedes(writer) => return Some(self.early(read, writer)),
            _ => {}
        }
        self.replaced(read, saw)
            .or_else(|| self.forked(read, saw))
            .or_else(|| self.overwritten(read, saw))
    }

    /// Compare-and-sets that were acknowledged before the read began lead away from the value it saw.
    fn replaced(&self, read: &'p Operation<Action>, saw: ValueId) -> Option<Violation> {
        let mut value = saw;
        // A chain has no more links than there are values.
        for _ in 0..self.successors.len() {
            let next = self.successors[value as usize]?;
            if next.precedes(read) {
                let mut story = self.begin(saw);
                let lost = story.name(next.call);
                let name = story.name(read.call);
                let text = self.partition.value(saw);
                let argument = format!(
                    "{lost} was acknowledged before {name} began, and what it put in place was made from \
                     {text}. {text} was put there once, so it cannot have come back; {name} found it all \
                     the same: {lost} is lost."
                );
                return Some(self.lost(story, read, next, &argument));
            }
            value = next.action.wrote()?;
        }
        None
    }

    /// What the read saw was made from a value that an acknowledged compare-and-set had replaced as well.
    fn forked(&self, read: &'p Operation<Action>, saw: ValueId) -> Option<Violation> {
        let mut value = saw;
        for _ in 0..self.sources.len() {
            let source = self.sources[value as usize]?;
            let takers = self.takers[source as usize].into_iter().flatten();
            let other = |it: &&Operation<Action>| it.action.wrote() != Some(value);
            if let Some(rival) = takers.filter(other).find(|rival| rival.precedes(read)) {
                let mut story = self.begin(saw);
                let taken = self.begin_with(&mut story, value);
                let lost = story.name(rival.call);
                let name = story.name(read.call);
                let text = self.partition.value(source);
                let argument = format!(
                    "{lost} and {taken} both replaced {text}, which was there once. What {name} found \
                     goes back to {taken}, so {lost}, which was acknowledged before {name} began, is lost."
                );
                return Some(self.lost(story, read, rival, &argument));
            }
            value = source;
        }
        None
    }

    /// A write was acknowledged before the read began, and began when the value seen, or one that it was
    /// made from or that was made from it, was already there.
    fn overwritten(&self, read: &'p Operation<Action>, saw: ValueId) -> Option<Violation> {
        let (latest, begun) = self.latest_other(saw, read)?;
        let origin = self.origin(saw);
        let is_first = origin == INITIAL as usize;
        let proof = self.proofs[origin].filter(|_| !is_first);
        if !is_first && !proof.is_some_and(|proof| proof.precedes(begun)) {
            return None;
        }
        let mut story = self.begin(saw);
        let text = self.partition.value(saw);
        let proof = proof.map(|proof| story.name(proof.call));
        let begun = story.name(begun.call);
        let lost = story.name(latest.call);
        let name = story.name(read.call);
        let after = match begun == lost {
            true => String::new(),
            false => format!(", which {lost}'s value was made from,"),
        };
        let chain = match self.writers[saw as usize].map(|writer| writer.action) {
            Some(Action::Cas { .. }) => {
                " (or a value of its chain of compare-and-sets, between which no other comes)"
            }
            _ => "",
        };
        let before = match proof {
            Some(proof) => format!("{proof} shows {text}{chain} before {begun}{after} began"),
            None => format!("Nothing comes before what the register held at first{chain}"),
        };
        let argument = format!(
            "{before}, and {lost} was acknowledged before {name} began. {text} was put there once, so it \
             cannot have come back; {name} found it all the same: {lost} is lost."
        );
        Some(self.lost(story, read, latest, &argument))
    }

    /// A story that begins with the value's writer.
    fn begin(&self, value: ValueId) -> Story<'h> {
        let mut story = Story::new(self.partition.log);
        self.begin_with(&mut story, value);
        story
    }

    fn begin_with(&self, story: &mut Story<'h>, value: ValueId) -> String {
        let writer = self.writers[value as usize];
        writer
            .map(|writer| story.name(writer.call))
            .unwrap_or_default()
    }

    fn lost(
        &self,
        story: Story<'h>,
        read: &Operation<Action>,
        lost: &Operation<Action>,
        argument: &str,
    ) -> Violation {
        let value = |value: Option<ValueId>| self.partition.value(value.unwrap_or(INITIAL));
        let summary = format!(
            "{} = {}, acknowledged to process {} {} before the final read, is lost: the key holds {}",
            self.partition.key_name(),
            value(lost.action.wrote()),
            self.partition.process(lost),
            Milliseconds(lost.returned.until(read.invoke)),
            value(read.action.saw()),
        );
        story.end("lost-write", summary, argument)
    }

    fn unwritten(&self, read: &'p Operation<Action>, saw: ValueId, origin: ValueId) -> Violation {
        let mut story = Story::new(self.partition.log);
        let failed = self.partition.failed_writer(origin);
        let failed = failed.map(|call| story.name_without_effect(call));
        if saw != origin {
            self.begin_with(&mut story, saw);
        }
        let name = story.name(read.call);
        let key = self.partition.key_name();
        let (held, text) = (self.partition.value(saw), self.partition.value(origin));
        let made = if saw == origin {
            ""
        } else {
            ", made by compare-and-sets from a value"
        };
        match failed {
            Some(failed) => {
                let summary =
                    format!("at the end {key} holds {held}{made} whose writer had failed");
                let argument = format!(
                    "{failed} had no effect and nobody else writes {text}, but {name} found {held}{made} \
                     that it would have put there."
                );
                story.end("aborted-read", summary, &argument)
            }
            None => {
                let summary = format!("at the end {key} holds {held}{made} that nobody wrote");
                let argument = format!("{name} found {held}, and no operation writes {text}.");
                story.end("garbage-read", summary, &argument)
            }
        }
    }

    fn early(&self, read: &'p Operation<Action>, writer: &'p Operation<Action>) -> Violation {
        let mut story = Story::new(self.partition.log);
        let (writer, name) = (story.name(writer.call), story.name(read.call));
        let summary = format!(
            "the final read of {} saw a value before anybody began to write it",
            self.partition.key_name()
        );
        let argument =
            format!("{name} ended before {writer}, the only writer of its value, began.");
        story.end("future-read", summary, &argument)
    }
}
