//! What clients ask and what replicas answer: one file a workload, each with its operations, its seeded
//! generator and its replicated service.
//!
//! A workload's operations are the words of the checker's model of the same name. The service is judged by
//! that model, never by itself.

mod objects;
mod register;
mod workload;

pub use objects::{ObjectKind, ObjectOptions, Objects};
pub use register::{Register, RegisterMix, RegisterOptions, RegisterService};
pub use workload::{Invocation, Outcome, UnreadableResult, Workload};
