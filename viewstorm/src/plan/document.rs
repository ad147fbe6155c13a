//! A plan's text as a tree of values with places: the file, the bases that it extends, then the overrides of the
//! command line put into it. It does not know what a plan is.

use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::error::{PlanError, PlanErrors};
use super::extends::{self, Base};
use super::overrides::{Override, Placed};
use super::source::Sources;

/// The largest plan that is read; the longest resolved timelines are a tenth of it.
const MAX_BYTES: usize = 16 << 20;

/// The texts of a plan: its file, the bases and the overrides.
pub(super) struct Texts<'i> {
    file: &'i str,
    /// Those that it extends, the nearest first; none where it has no file.
    bases: Option<Vec<Base>>,
    overrides: Vec<Placed>,
    /// Where everything is.
    pub(super) sources: Sources,
}

/// The texts read as TOML, as far as they could be.
pub(super) struct Document<'i> {
    /// The values, overrides included.
    pub(super) root: Spanned<DeTable<'i>>,
    /// What is wrong so far.
    pub(super) errors: Vec<PlanError>,
}

impl<'i> Texts<'i> {
    /// Lays a plan's texts out. `label` is the file's name for errors, `path` where it is, if it is a file.
    pub(super) fn new(
        label: &str,
        path: Option<&Path>,
        file: &'i str,
        overrides: &[Override],
    ) -> Result<Self, PlanErrors> {
        let mut sources = Sources::default();
        sources.add(label, true, file);
        let bases = match path {
            Some(path) => Some(extends::bases(path, file, &mut sources)?),
            None => None,
        };
        let overrides = overrides
            .iter()
            .map(|change| change.place(&mut sources))
            .collect();
        Ok(Self {
            file,
            bases,
            overrides,
            sources,
        })
    }

    /// Reads the file, fills in from its bases and puts the overrides into it, in their order.
    pub(super) fn document(&self) -> Document<'_> {
        let (mut root, errors) = DeTable::parse_recoverable(self.file);
        let mut errors: Vec<_> = errors
            .iter()
            .map(|error| syntax_error(error, self.file))
            .collect();
        errors.extend(extends::take(&mut root, self.bases.is_some()));
        for base in self.bases.iter().flatten() {
            base.merge_under(root.get_mut(), &mut errors);
            root.get_mut().remove(extends::KEY);
        }
        for change in &self.overrides {
            errors.extend(change.apply(root.get_mut()).err().map(|error| *error));
        }
        Document { root, errors }
    }
}

/// Reads a plan's file as text.
pub(super) fn read_text(path: &Path) -> Result<String, PlanErrors> {
    let name = path.display();
    let refuse = |error: PlanError| PlanErrors::new(Sources::default(), vec![error]);
    if path.is_dir() {
        let error = PlanError::new(format!("{name} is a directory, not a plan"));
        return Err(refuse(error.help("name the TOML file in it")));
    }
    let bytes = std::fs::read(path)
        .map_err(|error| refuse(PlanError::new(format!("{name} cannot be read: {error}"))))?;
    decode(&name.to_string(), bytes)
}

/// Reads bytes as text.
pub(super) fn decode(name: &str, bytes: Vec<u8>) -> Result<String, PlanErrors> {
    if bytes.len() > MAX_BYTES {
        let title = format!(
            "{name} has {} bytes; a plan has at most {MAX_BYTES}",
            bytes.len()
        );
        return Err(PlanErrors::new(
            Sources::default(),
            vec![PlanError::new(title)],
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let mut sources = Sources::default();
        sources.add(name, true, &text);
        let end = good + char::REPLACEMENT_CHARACTER.len_utf8();
        let error = PlanError::at(&(good..end), "a plan is UTF-8 text", "this is not UTF-8");
        PlanErrors::new(sources, vec![error])
    })
}

pub(super) fn syntax_error(error: &toml::de::Error, text: &str) -> PlanError {
    let span = error.span().unwrap_or(text.len()..text.len());
    if error.message() == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        return PlanError::at(&span, format!("`{key}` is there twice"), "the second time").syntax();
    }
    let (problem, expected) = match error.message().split_once(", expected ") {
        Some((problem, expected)) => (problem, format!("expected {expected}")),
        None => (error.message(), String::new()),
    };
    PlanError::at(&span, format!("not TOML: {problem}"), expected).syntax()
}
