//! The command line: arguments in, exit code out.

mod arguments;
mod bench;
mod check;
mod doctor;
mod dry_run;
mod exit;
mod history_file;
mod interrupt;
mod load;
mod model;
mod mutants;
mod nightly;
mod open;
mod progress;
mod replay;
mod replica;
mod report;
mod run;
mod shrink;
mod simulate;

pub use arguments::{Arguments, Verb};
pub use exit::{Exit, main};
