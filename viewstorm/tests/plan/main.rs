//! Plans: what is refused and how that reads, what is written and reads back, and that no bytes at all make
//! the parser panic.

mod any_bytes;
mod errors;
mod experiments;
mod extends;
mod faults;
mod open;
mod overrides;
mod resolved;
