//! Durability of acknowledged writes: what was acknowledged is there at the end, or something that may have
//! come after it. Judged from the final reads alone and what their values say; knows nothing of the
//! algorithms for linearizability.

mod judge;
mod last;
mod lives;

#[cfg(test)]
mod tests;

pub(crate) use judge::judge;
