//! The command line of viewstorm, as a library: plans, worlds, the runner and the judge.

pub mod bench;
pub mod cli;
pub mod judge;
pub mod mutants;
pub mod nightly;
pub mod plan;
pub mod run;
pub mod run_facts;
pub mod run_folder;
pub mod runner;
pub mod shrink;
pub mod simulate;
pub mod world;
pub mod worlds;
