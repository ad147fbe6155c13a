//! Whole replicas and client hosts in one process, over real sockets and files.

mod cluster;
mod support;
