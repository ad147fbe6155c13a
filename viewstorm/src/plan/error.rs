//! What is wrong with a plan: every error of it at once, each with its place, what was expected and what was
//! probably meant. It does not decide what is an error.

use std::fmt;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Place, Sources, Span};

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    title: String,
    primary: Option<Mark>,
    secondary: Vec<Mark>,
    help: Vec<String>,
    place: Option<Place>,
    kind: Kind,
}

/// A stretch of a text with words under it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    span: Span,
    label: String,
}

/// How an error relates to the text's syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It is not TOML.
    Syntax,
    /// Something is there that must not be.
    Content,
    /// Something is not there that must be: where the syntax is broken, it may well be there.
    Missing,
}

impl PlanError {
    /// An error at a place: `label` stands under it and says what was expected.
    pub(super) fn at(span: &Span, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            primary: Some(Mark {
                span: span.clone(),
                label: label.into(),
            }),
            ..Self::new(title)
        }
    }

    /// An error without a place inside the text.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            primary: None,
            secondary: Vec::new(),
            help: Vec::new(),
            place: None,
            kind: Kind::Content,
        }
    }

    /// Also shows another place that the error is about.
    pub(super) fn and(mut self, span: Option<&Span>, label: impl Into<String>) -> Self {
        let mark = span.map(|span| Mark {
            span: span.clone(),
            label: label.into(),
        });
        self.secondary.extend(mark);
        self
    }

    /// Adds advice.
    pub(super) fn help(mut self, advice: impl Into<String>) -> Self {
        self.help.push(advice.into());
        self
    }

    /// Adds advice if there is some.
    pub(super) fn maybe_help(self, advice: Option<String>) -> Self {
        match advice {
            Some(advice) => self.help(advice),
            None => self,
        }
    }

    /// Marks an error as one about the syntax.
    pub(super) fn syntax(self) -> Self {
        Self {
            kind: Kind::Syntax,
            ..self
        }
    }

    /// Marks an error as one about something that is not there.
    pub(super) fn missing(self) -> Self {
        Self {
            kind: Kind::Missing,
            ..self
        }
    }

    /// What is wrong, in one line.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where, in the plan's file or in an argument; none for an error about the file as a whole.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    fn report<'a>(&'a self, sources: &'a Sources) -> Group<'a> {
        let mut group = Group::with_title(Level::ERROR.primary_title(self.title.as_str()));
        let marks = || {
            let primary = self
                .primary
                .iter()
                .map(|mark| (AnnotationKind::Primary, mark));
            primary.chain(
                self.secondary
                    .iter()
                    .map(|mark| (AnnotationKind::Context, mark)),
            )
        };
        let mut shown = Vec::new();
        for (_, first) in marks() {
            let Some((index, _)) = sources.locate(&first.span) else {
                continue;
            };
            if shown.contains(&index) {
                continue;
            }
            shown.push(index);
            let Some(text) = sources.text(index) else {
                continue;
            };
            let mut snippet = Snippet::source(text.content.as_str())
                .path(text.label.as_str())
                .line_numbering(text.is_file);
            for (kind, mark) in marks() {
                let Some((_, local)) = sources.locate(&mark.span).filter(|(at, _)| *at == index)
                else {
                    continue;
                };
                let label = Some(mark.label.as_str()).filter(|label| !label.is_empty());
                snippet = snippet.annotation(kind.span(local).label(label));
            }
            group = group.element(snippet);
        }
        group.elements(
            self.help
                .iter()
                .map(|advice| Level::HELP.message(advice.as_str())),
        )
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(&self.title)
    }
}

/// All that is wrong with a plan, in the order of the text. Never empty.
#[derive(Clone)]
pub struct PlanErrors {
    sources: Sources,
    errors: Vec<PlanError>,
}

impl PlanErrors {
    /// Puts errors in order, each once. Where the syntax is broken, what the broken line led to is left out.
    pub(super) fn new(sources: Sources, mut errors: Vec<PlanError>) -> Self {
        assert!(!errors.is_empty(), "no error is no PlanErrors");
        for error in &mut errors {
            error.place = error
                .primary
                .as_ref()
                .and_then(|mark| sources.place(&mark.span));
        }
        let broken: Vec<usize> = errors
            .iter()
            .filter(|error| error.kind == Kind::Syntax)
            .filter_map(|error| error.place.map(|place| place.line))
            .collect();
        if !broken.is_empty() {
            errors.retain(|error| match error.kind {
                Kind::Syntax => true,
                Kind::Missing => false,
                Kind::Content => error
                    .place
                    .is_some_and(|place| !broken.contains(&place.line)),
            });
        }
        let start = |error: &PlanError| error.primary.as_ref().map_or(0, |mark| mark.span.start);
        errors.sort_by_key(start);
        errors.dedup();
        Self { sources, errors }
    }

    /// What the first of them says, without its place.
    pub(super) fn first_title(&self) -> &str {
        self.errors.first().map_or("", PlanError::title)
    }

    /// The errors, in the order of the text.
    pub fn errors(&self) -> &[PlanError] {
        &self.errors
    }

    /// The errors for a reader, with the lines they are about; in colour for a terminal.
    pub fn render(&self, color: bool) -> String {
        const WIDTH: usize = 120;
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
        let mut rendered = String::new();
        for error in &self.errors {
            rendered.push_str(&renderer.render(&[error.report(&self.sources)]));
            rendered.push_str("\n\n");
        }
        let count = match self.errors.len() {
            1 => "1 error".to_owned(),
            count => format!("{count} errors"),
        };
        rendered + "the plan has " + &count + "\n"
    }
}

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// As [`Display`](fmt::Display): so that an unwrapped one reads well.
impl fmt::Debug for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for PlanErrors {}
