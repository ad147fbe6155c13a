//! Whole replicas and client hosts in one process, over real sockets and files.

mod cluster;
mod endings;
mod partitions;
mod strangers;
mod support;
mod taps;
mod traces;
