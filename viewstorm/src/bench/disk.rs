//! fdatasync of a 4 KiB overwrite in a preallocated file, alone and with as many writers as replicas.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::floors::{Floor, FloorsError, Sampler};

const BLOCK: usize = 4096;
const BLOCKS: u64 = 256;
const WRITERS: usize = 3;

pub(super) fn fdatasync_alone_and_with_three_writers(
    length: Duration,
) -> Result<[Floor; 2], FloorsError> {
    let error = |source| FloorsError::Io {
        what: "fdatasync",
        source,
    };
    // Beside the runs, so that it is the disk which the replicas write to.
    let home = tempfile::Builder::new()
        .prefix(".viewstorm-floors-")
        .tempdir_in(".")
        .map_err(error)?;
    let alone = write(&home.path().join("alone"), length).map_err(error)?;
    let writers: Vec<_> = std::thread::scope(|scope| {
        let start = |index: usize| {
            let path = home.path().join(format!("writer-{index}"));
            scope.spawn(move || write(&path, length))
        };
        let threads: Vec<_> = (0..WRITERS).map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, io::Result<Sampler>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a writer panicked")))
        };
        threads.into_iter().map(join).collect()
    });
    let mut together = Sampler::new();
    for writer in writers {
        together.merge(&writer.map_err(error)?);
    }
    Ok([
        alone.floor("fdatasync, alone"),
        together.floor("fdatasync, three writers"),
    ])
}

fn write(path: &std::path::Path, length: Duration) -> io::Result<Sampler> {
    let file = File::create_new(path)?;
    file.write_all_at(&vec![0; BLOCK * usize::try_from(BLOCKS).unwrap_or(0)], 0)?;
    file.sync_all()?;
    let mut sampler = Sampler::new();
    let start = Instant::now();
    let mut block = 0;
    while start.elapsed() < length {
        sampler.time(|| {
            file.write_all_at(&[1; BLOCK], block * BLOCK as u64)?;
            file.sync_data()
        })?;
        block = (block + 1) % BLOCKS;
    }
    Ok(sampler)
}
