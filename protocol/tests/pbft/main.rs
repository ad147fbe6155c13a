//! PBFT: signatures and certificates, the paper's sentences, stories, random schedules.

mod certificates;
mod cluster;
mod keys;
mod paper;
mod schedules;
mod wire;
