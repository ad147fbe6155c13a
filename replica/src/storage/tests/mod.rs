//! Storage, crashed and damaged.

pub(super) mod journal;
