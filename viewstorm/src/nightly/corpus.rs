//! Old failing seeds: a folder of complete plans, each with its signature in its first line. A plan of its own
//! means the same run whatever a later version draws from the seed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use viewstorm_history::Seed;

/// What the first line of a plan of the corpus begins with.
const SIGNATURE: &str = "# signature: ";
/// How many plans a corpus has at most.
const PLANS_MAX: usize = 1_000;

/// A plan that failed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Old {
    pub(super) signature: String,
    pub(super) plan: PathBuf,
}

/// The plans of the corpus, by name. A folder that is not there is an empty one.
pub(super) fn read(folder: &Path) -> io::Result<Vec<Old>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for entry in entries {
        let plan = entry?.path();
        if plan.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&plan)?;
        let signature = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(SIGNATURE));
        let signature = signature.map_or_else(|| plan.display().to_string(), str::to_owned);
        all.push(Old { signature, plan });
    }
    all.sort_by(|a, b| a.plan.cmp(&b.plan));
    all.truncate(PLANS_MAX);
    Ok(all)
}

/// Adds a complete plan. One of the same signature stays as it is.
pub(super) fn add(folder: &Path, signature: &str, story: &str, plan: &str) -> io::Result<()> {
    let all = read(folder)?;
    if all.len() >= PLANS_MAX || all.iter().any(|old| old.signature == signature) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let name = format!("{}.toml", slug(signature));
    let mut text = format!("{SIGNATURE}{}\n", signature.replace(['\n', '\r'], " "));
    for line in story.lines() {
        text.push_str(&format!("# {line}\n"));
    }
    text.push_str(plan);
    fs::write(folder.join(name), text)
}

/// A short name for a file: what is readable of the signature, and a number that tells it from others.
pub(super) fn slug(signature: &str) -> String {
    let mut name = String::new();
    for c in signature.chars().take(48) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            'A'..='Z' => name.push(c.to_ascii_lowercase()),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    let name = name.trim_end_matches('-');
    format!("{name}-{:08x}", Seed(0).stream(signature).0 & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_there_once_and_comes_back() {
        let home = tempfile::tempdir().unwrap();
        let corpus = home.path().join("corpus");
        assert!(read(&corpus).unwrap().is_empty());
        add(
            &corpus,
            "storm: a: op # is lost",
            "seed 7",
            "name = \"x\"\n",
        )
        .unwrap();
        add(
            &corpus,
            "storm: a: op # is lost",
            "seed 8",
            "name = \"y\"\n",
        )
        .unwrap();
        add(
            &corpus,
            "storm: b: op # is lost",
            "seed 9",
            "name = \"z\"\n",
        )
        .unwrap();
        let all = read(&corpus).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].signature, "storm: a: op # is lost");
        let text = fs::read_to_string(&all[0].plan).unwrap();
        assert!(text.contains("# seed 7\nname = \"x\""), "{text}");
    }
}
