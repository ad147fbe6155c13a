//! `extends = "base.toml"`: a plan that says only how it differs from another one.
//!
//! Tables are merged key by key, and the plan that extends has the last word. Everything else, lists such as
//! `[[nemesis]]` too, replaces what the base has: `nemesis = []` is a base without its faults. A base may extend
//! another, up to [`BASES_MAX`] of them. Errors in a base are shown in the base's own file.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{self, syntax_error};
use super::error::{PlanError, PlanErrors};
use super::source::Sources;

/// The longest chain of bases.
const BASES_MAX: usize = 8;
/// The key that names the base.
pub(super) const KEY: &str = "extends";

/// A text that a plan builds on.
#[derive(Debug)]
pub(super) struct Base {
    /// The text behind as many blanks as make its offsets those of the plan's [`Sources`].
    padded: String,
}

/// Reads the bases of the plan in `path`, the nearest first, and lays them out behind the texts there are.
pub(super) fn bases(
    path: &Path,
    text: &str,
    sources: &mut Sources,
) -> Result<Vec<Base>, PlanErrors> {
    let mut bases: Vec<Base> = Vec::new();
    let mut chain = vec![canonical(path)];
    let mut directory = path.parent().map(Path::to_owned).unwrap_or_default();
    loop {
        let document = bases.last().map_or(text, |base| base.padded.as_str());
        let refuse = |error: PlanError| PlanErrors::new(sources.clone(), vec![error]);
        let (name, span) = match extended(document).map_err(|error| refuse(*error))? {
            Some(found) => found,
            None => return Ok(bases),
        };
        let base = directory.join(&name);
        let here = canonical(&base);
        if chain.contains(&here) {
            let title = format!("`{KEY}` goes in a circle");
            let label = format!("{} extends itself in the end", base.display());
            return Err(refuse(PlanError::at(&span, title, label)));
        }
        if chain.len() > BASES_MAX {
            let title = format!("the chain of `{KEY}` is longer than {BASES_MAX} plans");
            return Err(refuse(PlanError::at(&span, title, "one too many")));
        }
        let content = document::read_text(&base).map_err(|errors| {
            let title = errors.first_title().to_owned();
            refuse(PlanError::at(&span, title, "named here"))
        })?;
        let start = sources.add(&base.display().to_string(), true, &content);
        bases.push(Base {
            padded: format!("{:start$}{content}", ""),
        });
        directory = base.parent().map(Path::to_owned).unwrap_or_default();
        chain.push(here);
    }
}

impl Base {
    /// Fills in what `root` does not say from this base.
    pub(super) fn merge_under<'i>(&'i self, root: &mut DeTable<'i>, errors: &mut Vec<PlanError>) {
        let (base, wrong) = DeTable::parse_recoverable(&self.padded);
        errors.extend(wrong.iter().map(|error| syntax_error(error, &self.padded)));
        fill(root, base.into_inner());
    }
}

fn fill<'i>(upper: &mut DeTable<'i>, lower: DeTable<'i>) {
    for (key, value) in lower {
        let Some(there) = upper.get_mut(key.get_ref().as_ref()) else {
            upper.insert(key, value);
            continue;
        };
        if let (DeValue::Table(upper), DeValue::Table(_)) = (there.get_mut(), value.get_ref())
            && let DeValue::Table(lower) = value.into_inner()
        {
            fill(upper, lower);
        }
    }
}

/// The base that a text names, and where it does.
fn extended(text: &str) -> Result<Option<(PathBuf, std::ops::Range<usize>)>, Box<PlanError>> {
    let (root, _) = DeTable::parse_recoverable(text);
    let Some(value) = root.get_ref().get(KEY) else {
        return Ok(None);
    };
    let span = value.span();
    match value.get_ref() {
        DeValue::String(name) if !name.trim().is_empty() => {
            Ok(Some((PathBuf::from(name.as_ref()), span)))
        }
        _ => {
            let title = format!("`{KEY}` names no plan");
            let label = "expected the path of a plan, from this file's folder";
            Err(Box::new(PlanError::at(&span, title, label)))
        }
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Takes the key out of a plan whose bases have been read; a text without a file cannot have any.
pub(super) fn take(root: &mut Spanned<DeTable<'_>>, has_file: bool) -> Option<PlanError> {
    let value = root.get_mut().remove(KEY)?;
    (!has_file).then(|| {
        let title = format!("`{KEY}` stands in a plan that has no file");
        PlanError::at(&value.span(), title, "relative to which folder?")
    })
}
