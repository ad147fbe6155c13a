//! From the configuration to the running loop.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use viewstorm_protocol::vr::{VrConfig, VrReplica};
use viewstorm_protocol::{ClockShim, Effects, Incarnation, NodeId, Outbox, Protocol, Recovered};
use viewstorm_workloads::RegisterService;

use super::channel_end::ChannelEnd;
use super::drive::{Durable, Inbox, drive};
use super::outward::Outward;
use super::trace_file::TraceFile;
use super::turn::{Node, disk_report};
use crate::control::{ControlChannel, Report, write_report};
use crate::fence::Fence;
use crate::gate::Gate;
use crate::storage::{Disk, Storage};
use crate::transport::{ARRIVALS_MAX, PROBES_MAX, Transport, TransportConfig, TransportError};
use crate::{
    ConfigError, ProtocolKind, ReplicaConfig, ReplicaError, RunClock, ServiceKind, TapControl,
};

/// How long a replica that stops at once waits for the sync that is under way.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a replica process until it is told to stop: commands on standard input, reports on standard output. It
/// dies with its parent. An error was reported when it is returned; the process then exits with code 1.
pub fn run_replica(config: ReplicaConfig, tap: Box<dyn TapControl>) -> Result<(), ReplicaError> {
    let channel = standard_channel(&config)?;
    run_replica_on(config, tap, channel)
}

/// The same with a core of the caller's.
pub fn run_replica_core<P>(
    config: ReplicaConfig,
    tap: Box<dyn TapControl>,
    core: P,
) -> Result<(), ReplicaError>
where
    P: Protocol,
    P::Message: Send + 'static,
    P::Record: Send + 'static,
{
    let mut channel = standard_channel(&config)?;
    let checked = config.check().map_err(ReplicaError::from);
    checked
        .and_then(|()| run_core(&config, tap, &mut channel, core))
        .map_err(|error| report_fatal(&mut channel, error))
}

/// Commands on standard input, reports on standard output, and an end with the parent.
fn standard_channel(config: &ReplicaConfig) -> Result<ControlChannel, ReplicaError> {
    report_panics();
    let mut channel = ControlChannel::standard();
    match die_with_parent(config.parent_pid) {
        Ok(()) => Ok(channel),
        Err(error) => Err(report_fatal(&mut channel, error)),
    }
}

/// Runs a replica until it is told to stop, on this thread, over any control channel.
pub fn run_replica_on(
    config: ReplicaConfig,
    tap: Box<dyn TapControl>,
    mut channel: ControlChannel,
) -> Result<(), ReplicaError> {
    run(config, tap, &mut channel).map_err(|error| report_fatal(&mut channel, error))
}

/// The one place that knows which cores there are.
fn run(
    config: ReplicaConfig,
    mut tap: Box<dyn TapControl>,
    channel: &mut ControlChannel,
) -> Result<(), ReplicaError> {
    config.check()?;
    if let Some(rules) = &config.tap_rules {
        set_first("tap-rules", rules, |rules| tap.set_rules(rules))?;
    }
    if let Some(watches) = &config.tap_watches {
        set_first("tap-watches", watches, |watches| tap.set_watches(watches))?;
    }
    match (config.protocol, config.service) {
        (ProtocolKind::Vr, ServiceKind::Register) => {
            let vr = VrConfig {
                me: config.me,
                replicas: config.group(),
                spares: config.spares.clone(),
                timeouts: config.timeouts,
                checkpoints: config.checkpoints,
                options: config.options,
                seed: config.seed,
                durability: config.durability,
                // A clock that all starts on this machine share never shows the same again.
                nonce: RunClock::since(config.clock_origin_nanos).now().as_nanos(),
            };
            run_core(&config, tap, channel, VrReplica::new(vr, RegisterService))
        }
    }
}

/// Gives the tap what it begins with, before anything passes it.
fn set_first(
    field: &'static str,
    json: &str,
    set: impl FnOnce(&serde_json::Value) -> Result<(), String>,
) -> Result<(), ReplicaError> {
    let read = serde_json::from_str(json).map_err(|error| error.to_string());
    read.and_then(|value| set(&value))
        .map_err(|reason| ConfigError::Field { field, reason }.into())
}

/// Recovers, listens, says hello and drives `core`.
fn run_core<P>(
    config: &ReplicaConfig,
    tap: Box<dyn TapControl>,
    channel: &mut ControlChannel,
    core: P,
) -> Result<(), ReplicaError>
where
    P: Protocol,
    P::Message: Send + 'static,
    P::Record: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(system("an async runtime"))?;
    let trace = TraceFile::open(&config.trace)?;
    let clock = RunClock::since(config.clock_origin_nanos);
    let disk = disk(config, clock)?;
    let (storage, recovered, incarnation) =
        Storage::open_on(&disk, &config.directory, config.starts)?;
    let recovered = Recovered {
        format: config.format,
        ..recovered
    };
    let (done, durable) = watch::channel(Durable::UpTo(None));
    let storage = storage
        .start(move |result| {
            done.send_replace(match result {
                Ok(record) => Durable::UpTo(Some(record)),
                Err(error) => Durable::Failed(error.to_string()),
            });
        })
        .map_err(system("a thread for storage"))?;
    let (arrivals_sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
    let (probes_sender, probes) = mpsc::channel(PROBES_MAX);
    let mut inbox = Inbox {
        durable,
        told: None,
        arrivals,
        probes,
        clock,
    };
    let driven = runtime.block_on(async {
        let transport = transport(config, incarnation, clock);
        let node = Node {
            core,
            effects: Effects::default(),
            outbox: Outbox::default(),
            disk: disk.clone(),
            clock: ClockShim::new(config.clock),
            fuse: None,
            burnt: None,
            outward: Outward::new(config.me, incarnation, trace),
            gate: Gate::new(tap, config.tap_buffer),
            fence: Fence::new(config.fence_incarnations),
            storage,
            transport: Transport::start(transport, arrivals_sender, probes_sender)?,
        };
        start(node, &mut inbox, &mut ChannelEnd(channel), recovered).await
    });
    if let Err(ReplicaError::StorageFailed(_)) = &driven {
        // Whoever ordered it wants to see it.
        let _ = (channel.reports)(&disk_report(&disk));
    }
    if driven.is_err() {
        // The directory is free once the storage thread is gone.
        let gone = async { while inbox.durable.changed().await.is_ok() {} };
        let _ = runtime.block_on(async { timeout(ABANDON_TIMEOUT, gone).await });
    }
    driven
}

/// What the replica's files lie on.
fn disk(config: &ReplicaConfig, clock: RunClock) -> Result<Disk, ReplicaError> {
    let (faults, tracks) = (config.disk, config.track_unsynced);
    Disk::faulty(clock, faults, &config.directory, tracks)
        .map_err(system("to keep track of what is not synced"))
}

async fn start<P>(
    mut node: Node<P>,
    inbox: &mut Inbox<P::Message>,
    channel: &mut ChannelEnd<'_>,
    recovered: Recovered<P::Record>,
) -> Result<(), ReplicaError>
where
    P: Protocol,
    P::Message: Send + 'static,
{
    let (incarnation, address) = (node.outward.incarnation, node.transport.address());
    tracing::info!(node = %node.outward.me, incarnation = incarnation.0, %address, "started");
    channel.report(&Report::Hello {
        incarnation,
        address,
    })?;
    node.begin_turn(inbox.clock.now());
    node.start(recovered);
    for report in node.end_turn()? {
        channel.report(&report)?;
    }
    drive(node, inbox, channel).await
}

fn transport(
    config: &ReplicaConfig,
    incarnation: Incarnation,
    clock: RunClock,
) -> TransportConfig<'_> {
    TransportConfig {
        me: NodeId::Replica(config.me),
        incarnation,
        listen: config.listen,
        credentials: &config.credentials,
        replicas: config.replicas.clone(),
        dial: config.dial.clone(),
        answer: config.answer.clone(),
        fence: config.fence_incarnations,
        probe_token: config.probe_token,
        clock,
        seed: config.seed,
    }
}

/// Sees to it that the process ends with the one that started it, which must still be there.
fn die_with_parent(parent: Option<u32>) -> Result<(), ReplicaError> {
    let Some(expected) = parent else {
        return Ok(());
    };
    let set = set_parent_process_death_signal(Some(Signal::KILL));
    set.map_err(|error| system("to die with the parent")(error.into()))?;
    // A parent that died before the line above sends no signal.
    let parent = getppid()
        .map(Pid::as_raw_pid)
        .and_then(|pid| u32::try_from(pid).ok());
    if parent == Some(expected) {
        Ok(())
    } else {
        Err(ReplicaError::Orphaned { expected })
    }
}

/// A panic is a bug, on whichever thread: the process reports it and ends.
fn report_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        let reason = format!("a bug: {info}");
        let _ = write_report(&mut io::stdout().lock(), &Report::Fatal { reason });
        std::process::exit(101);
    }));
}

fn report_fatal(channel: &mut ControlChannel, error: ReplicaError) -> ReplicaError {
    tracing::error!(%error, "fatal");
    // Whoever closed the channel does not hear why.
    let _ = (channel.reports)(&Report::Fatal {
        reason: error.to_string(),
    });
    error
}

fn system(what: &str) -> impl FnOnce(io::Error) -> ReplicaError {
    move |source| ReplicaError::System {
        what: what.to_owned(),
        source,
    }
}

impl From<TransportError> for ReplicaError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Identity { source, .. } => Self::Identity(source),
            TransportError::Socket {
                node,
                address,
                source,
            } => Self::System {
                what: format!("the address {address} of {node}"),
                source,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpenTapControl;

    #[test]
    fn first_rules_that_the_tap_does_not_take_are_a_mistake_of_the_configuration() {
        for rules in ["[", "[]"] {
            let mut tap = OpenTapControl;
            let error = set_first("tap-rules", rules, |rules| tap.set_rules(rules))
                .unwrap_err()
                .to_string();
            assert!(error.contains("tap-rules"), "{error}");
        }
    }
}
