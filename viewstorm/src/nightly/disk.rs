//! How much of the disk the nights take: the oldest evidence goes first, the figures stay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folders of a night that hold evidence.
const EVIDENCE: [&str; 3] = ["bundles", "evidence", "work"];

/// Removes the evidence of the oldest nights below `home` until all of it fits; that of `current` stays.
pub(super) fn keep_within(home: &Path, current: &Path, bytes: u64) -> io::Result<()> {
    let mut nights: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        for folder in EVIDENCE.map(|name| entry.path().join(name)) {
            if folder.is_dir() {
                nights.push((
                    entry.metadata()?.modified()?,
                    folder.clone(),
                    size(&folder)?,
                ));
            }
        }
    }
    nights.sort();
    let mut total: u64 = nights.iter().map(|(.., size)| size).sum();
    for (_, folder, size) in nights {
        if total <= bytes {
            break;
        }
        if !folder.starts_with(current) {
            fs::remove_dir_all(&folder)?;
            total -= size;
        }
    }
    Ok(())
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        total += match entry.file_type()?.is_dir() {
            true => size(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_evidence_goes_and_the_figures_stay() {
        let home = tempfile::tempdir().unwrap();
        let night = |name: &str, age: u64| {
            let folder = home.path().join(name);
            fs::create_dir_all(folder.join("bundles")).unwrap();
            fs::write(folder.join("bundles/a.tar.gz"), vec![0; 1000]).unwrap();
            fs::write(folder.join("results.json"), "{}").unwrap();
            let then = SystemTime::now() - std::time::Duration::from_secs(age);
            fs::File::open(&folder).unwrap().set_modified(then).unwrap();
            folder
        };
        let (old, newer, current) = (night("a", 300), night("b", 200), night("c", 400));
        keep_within(home.path(), &current, 2500).unwrap();
        assert!(!old.join("bundles").exists());
        assert!(old.join("results.json").exists());
        assert!(newer.join("bundles").exists());
        keep_within(home.path(), &current, 0).unwrap();
        assert!(!newer.join("bundles").exists());
        assert!(current.join("bundles").exists());
    }
}
