//! The command line as a user meets it: the binary is run, and what it leaves is looked at.

mod catch_up;
mod dry_run;
mod errors;
mod history;
mod lifetimes;
mod links;
mod machine_faults;
mod models;
mod nightly;
mod parity;
mod process_machines;
mod processes;
mod shrink;
mod simulated;
mod support;
mod triggers;
mod workloads;
