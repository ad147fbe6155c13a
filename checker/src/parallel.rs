//! Work on many partitions at a time, with results in the order of the work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Threads at most, whatever the machine has.
const MAX_THREADS: usize = 8;

/// Does `work` on each of `0..count` and collects the results in order. `size` is how many operations there are
/// in all: a few are not worth a thread.
pub(crate) fn for_each<R: Send>(
    count: usize,
    size: usize,
    work: impl Fn(usize) -> R + Sync,
) -> Vec<R> {
    const WORTH_A_THREAD: usize = 20_000;
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let threads = cores
        .min(MAX_THREADS)
        .min(count)
        .min(size / WORTH_A_THREAD + 1);
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return done;
            }
            done.push((place, work(place)));
        }
    };
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let mut results = take();
        for other in others {
            match other.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
