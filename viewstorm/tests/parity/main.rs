//! The simulator's fakes against the real things: one script drives both, and both must keep the same promises.

mod disk;
mod real_disk;
mod script;
mod simulated_disk;
