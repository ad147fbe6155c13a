//! PBFT: signatures and certificates, the paper's sentences, stories, random schedules.

mod certificates;
mod keys;
mod wire;
