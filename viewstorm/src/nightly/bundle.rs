//! A bundle: a run's folder in one file that can be taken anywhere.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::run_folder::PLAN_FILE;

/// The most that a bundle may hold, unpacked: what it claims to be is not to be believed.
const BYTES_MAX: u64 = 4 << 30;
/// The most files.
const FILES_MAX: usize = 10_000;

/// Why there is no bundle, or nothing in it.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a bundle, or one that would write where it must not.
    #[error("{path}: is not a bundle of a run: {problem}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// What is in it would overwrite something.
    #[error("{path} exists: nothing is overwritten (--into DIR names another place)")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
}

/// Packs the folder of a run into `file`, whole or not at all.
pub fn write_bundle(folder: &Path, file: &Path) -> Result<(), BundleError> {
    let error = |source| BundleError::Io {
        path: file.to_owned(),
        source,
    };
    let name = folder.file_name().unwrap_or("run".as_ref());
    let mut beside = file.as_os_str().to_owned();
    beside.push(".partial");
    let pack = || {
        let encoder = GzEncoder::new(File::create(&beside)?, Compression::default());
        let mut archive = tar::Builder::new(encoder);
        archive.follow_symlinks(false);
        archive.append_dir_all(name, folder)?;
        archive.into_inner()?.finish()?.sync_all()?;
        fs::rename(&beside, file)
    };
    pack().map_err(|source| {
        // The first error is the one worth reporting.
        drop(fs::remove_file(&beside));
        error(source)
    })
}

/// Unpacks a bundle below `into` and returns the run's folder. Files only, below one folder that did not exist.
pub fn open_bundle(file: &Path, into: &Path) -> Result<PathBuf, BundleError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Io { path, source }
    };
    let malformed = |problem: String| BundleError::Malformed {
        path: file.to_owned(),
        problem,
    };
    let reader = File::open(file).map_err(io(file))?;
    fs::create_dir_all(into).map_err(io(into))?;
    // Beside its place, so that a broken bundle leaves nothing that looks like a run.
    let stage = tempfile::tempdir_in(into).map_err(io(into))?;
    let mut archive = tar::Archive::new(GzDecoder::new(reader));
    let mut bytes = 0u64;
    let entries = archive
        .entries()
        .map_err(|error| malformed(error.to_string()))?;
    for (index, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|error| malformed(error.to_string()))?;
        bytes = bytes.saturating_add(entry.size());
        if bytes > BYTES_MAX || index >= FILES_MAX {
            return Err(malformed("it is too large".to_owned()));
        }
        let kind = entry.header().entry_type();
        if !(kind.is_file() || kind.is_dir()) {
            return Err(malformed(
                "it holds something that is neither file nor folder".to_owned(),
            ));
        }
        let inside = entry
            .unpack_in(stage.path())
            .map_err(|error| malformed(error.to_string()))?;
        if !inside {
            return Err(malformed("it names a file outside of it".to_owned()));
        }
    }
    let mut roots = fs::read_dir(stage.path()).map_err(io(stage.path()))?;
    let root = match (roots.next(), roots.next()) {
        (Some(Ok(root)), None) if root.path().join(PLAN_FILE).is_file() => root,
        _ => {
            return Err(malformed(format!(
                "it is not one folder with a {PLAN_FILE}"
            )));
        }
    };
    let place = into.join(root.file_name());
    if place.exists() {
        return Err(BundleError::Exists { path: place });
    }
    fs::rename(root.path(), &place).map_err(io(&place))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_packed_comes_out_and_overwrites_nothing() {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("simulated-abc-7");
        fs::create_dir_all(run.join("trace")).unwrap();
        fs::write(run.join(PLAN_FILE), "name = \"x\"").unwrap();
        fs::write(run.join("trace/r0.jsonl"), "{}\n").unwrap();
        let file = home.path().join("b.tar.gz");
        write_bundle(&run, &file).unwrap();
        let into = home.path().join("elsewhere");
        let opened = open_bundle(&file, &into).unwrap();
        assert_eq!(
            fs::read_to_string(opened.join("trace/r0.jsonl")).unwrap(),
            "{}\n"
        );
        let again = open_bundle(&file, &into).unwrap_err();
        assert!(matches!(again, BundleError::Exists { .. }), "{again}");
        assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
    }

    #[test]
    fn a_bundle_that_climbs_out_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("evil.tar.gz");
        let encoder = GzEncoder::new(File::create(&file).unwrap(), Compression::fast());
        let mut archive = tar::Builder::new(encoder);
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        let name = b"../evil";
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        archive.append(&header, &b"evil"[..]).unwrap();
        archive.into_inner().unwrap().finish().unwrap();
        let into = home.path().join("deep/into");
        let error = open_bundle(&file, &into).unwrap_err();
        assert!(matches!(error, BundleError::Malformed { .. }), "{error}");
        assert!(!home.path().join("deep/evil").exists());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_a_bundle_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            let home = tempfile::tempdir().unwrap();
            let file = home.path().join("some.tar.gz");
            fs::write(&file, bytes).unwrap();
            let into = home.path().join("into");
            prop_assert!(open_bundle(&file, &into).is_err());
            prop_assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
        }
    }
}
