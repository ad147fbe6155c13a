//! `viewstorm replica --config FILE`: the one binary runs everything.

use tracing_subscriber::EnvFilter;
use viewstorm_replica::{ReplicaConfig, run_replica, run_replica_core};

use super::Exit;
use super::arguments::ReplicaArguments;
use crate::bench::Pattern;
use crate::worlds::NemesisTap;

/// What the replica's log is filtered by; RUST_LOG in the environment says otherwise.
const LOG_FILTER: &str = "info,quinn=warn,quinn_proto=warn,rustls=warn";

pub(super) fn replica(arguments: &ReplicaArguments) -> anyhow::Result<Exit> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG_FILTER));
    // Written at once and unbuffered: the lines before a kill are those that matter.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    log.with_ansi(false).init();
    let config = match ReplicaConfig::read(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Plan);
        }
    };
    let tap = Box::new(NemesisTap::default());
    if arguments.pattern {
        let pattern = Pattern::new(config.me, config.replicas.clone());
        run_replica_core(config, tap, pattern)?;
    } else {
        run_replica(config, tap)?;
    }
    Ok(Exit::Expected)
}
