//! The texts a plan is made of (its file, and each override of the command line), laid end to end in one
//! space of offsets, so that every value has one place wherever it came from.

use std::ops::Range;

/// A stretch of [`Sources`].
pub(super) type Span = Range<usize>;

/// All texts of one plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    texts: Vec<Text>,
}

/// One text.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// Its name in an error's first line.
    pub(super) label: String,
    /// Whether its lines are worth numbering: a file's are, an argument's are not.
    pub(super) is_file: bool,
    /// What it says.
    pub(super) content: String,
    /// Where it begins in the space of all offsets.
    start: usize,
}

/// A place as editors count it, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Sources {
    /// Appends a text and returns the offset that it begins at. Texts are one offset apart, so that the end
    /// of one is not the beginning of the next.
    pub(super) fn add(&mut self, label: &str, is_file: bool, content: &str) -> usize {
        let start = self
            .texts
            .last()
            .map_or(0, |last| last.start + last.content.len() + 1);
        let (label, content) = (label.to_owned(), content.to_owned());
        self.texts.push(Text {
            label,
            is_file,
            content,
            start,
        });
        start
    }

    /// The text that `span` lies in and where in it: always on character boundaries, whatever `span` is.
    pub(super) fn locate(&self, span: &Span) -> Option<(usize, Span)> {
        let index = self
            .texts
            .iter()
            .rposition(|text| text.start <= span.start)?;
        let text = self.texts.get(index)?;
        let boundary = |offset: usize| {
            let offset = offset.saturating_sub(text.start).min(text.content.len());
            (0..=offset)
                .rev()
                .find(|at| text.content.is_char_boundary(*at))
                .unwrap_or(0)
        };
        let (start, end) = (boundary(span.start), boundary(span.end));
        Some((index, start..end.max(start)))
    }

    /// The text with this number.
    pub(super) fn text(&self, index: usize) -> Option<&Text> {
        self.texts.get(index)
    }

    /// Where a stretch begins, in its own text.
    pub(super) fn place(&self, span: &Span) -> Option<Place> {
        let (index, local) = self.locate(span)?;
        Some(self.texts.get(index)?.place(local.start))
    }
}

impl Text {
    /// The line and column of an offset that lies on a character boundary.
    pub(super) fn place(&self, offset: usize) -> Place {
        let before = self.content.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Place { line, column }
    }
}
