//! Faults on their courses in a small world: inject, confirm, heal, confirm; and every way in which one of
//! these does not happen.

mod cores;
mod failures;
mod machine;
mod machines;
mod overlaps;
mod shown;
mod triggers;
mod world;
