//! The host's handle.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use tokio::sync::mpsc;
use viewstorm_protocol::vr::VrClient;
use viewstorm_protocol::{Client, ClientId, Completion, EpochNumber, ReplicaId, Service};
use viewstorm_workloads::RegisterService;

use super::endpoint::{Endpoints, Inbox};
use super::work::{Host, Order, work};
use crate::{ClientHostConfig, ClientHostError, ProtocolKind, TapControl};

/// How many orders wait for the host's thread; whoever gives more waits.
const ORDERS_MAX: usize = 1 << 14;

/// Something that happened in the client host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A session's operation completed.
    Completed {
        /// Which session.
        client: ClientId,
        /// When the session knew, in nanoseconds on the run's clock.
        time_nanos: u64,
        /// The service's answer.
        completion: Completion,
    },
    /// A probe arrived at an endpoint.
    ProbeArrived {
        /// Its name.
        id: u64,
        /// Where.
        endpoint: u16,
        /// Whose.
        from: ReplicaId,
        /// When it was sent, in nanoseconds on the run's clock.
        sent: u64,
        /// When it arrived, on the same clock.
        received: u64,
    },
    /// The endpoint's tap has the rules of the latest [`ClientHost::set_tap`].
    TapSet {
        /// Which endpoint.
        endpoint: u16,
    },
    /// A message passed an endpoint's tap that a watch of the latest [`ClientHost::set_watches`] is about.
    MessageSeen {
        /// Which watch.
        watch: u64,
    },
    /// An administrator's reconfiguration came to something.
    Reconfigured {
        /// Which.
        request: u64,
        /// The epoch in which the new group works, or why it was refused.
        outcome: Result<EpochNumber, String>,
    },
    /// The host cannot go on: its last event.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Client sessions on their endpoints, on a thread of their own. Dropping it closes all connections, ends the
/// thread and waits for it. Not for async code: an order waits while too many others do.
#[derive(Debug)]
pub struct ClientHost {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    addresses: BTreeMap<u16, SocketAddr>,
}

impl ClientHost {
    /// Starts the host. `tap` makes the tap of each endpoint; `events` is called on the host's thread, in the
    /// order in which things happen, and must not block.
    pub fn start(
        config: ClientHostConfig,
        tap: impl Fn(u16) -> Box<dyn TapControl> + Send + 'static,
        mut events: impl FnMut(ClientEvent) + Send + 'static,
    ) -> Result<Self, ClientHostError> {
        config.check()?;
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        let (started, result) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("clients".to_owned())
            .spawn(move || {
                let run = || run(&config, &tap, receiver, &mut events, &started);
                if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                    let reason = format!("a bug: {}", panic_message(&*panic));
                    events(ClientEvent::Failed { reason });
                }
            });
        let failed = |source| ClientHostError::System {
            what: "a thread".to_owned(),
            source,
        };
        let thread = thread.map_err(failed)?;
        let addresses = result.recv().map_err(|_| ClientHostError::Died)??;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
            addresses,
        })
    }

    /// Where each endpoint's socket is bound.
    pub const fn addresses(&self) -> &BTreeMap<u16, SocketAddr> {
        &self.addresses
    }

    /// Starts an operation in a session. A session is opened by its first operation and has one outstanding
    /// at a time.
    pub fn invoke(&self, client: ClientId, operation: Bytes) {
        self.order(Order::Invoke(client, operation));
    }

    /// Makes these replicas the group, as an administrator at the first endpoint does, who asks until it is answered:
    /// [`ClientEvent::Reconfigured`]. `request` names it.
    pub fn reconfigure(&self, request: u64, members: Vec<ReplicaId>) {
        self.order(Order::Reconfigure(request, members));
    }

    /// Ends a session, whatever it waits for.
    pub fn retire(&self, client: ClientId) {
        self.order(Order::Retire(client));
    }

    /// From now on these are all the rules of the endpoint's tap. Answered by [`ClientEvent::TapSet`].
    pub fn set_tap(&self, endpoint: u16, rules: &serde_json::Value) {
        self.order(Order::SetTap(endpoint, rules.clone()));
    }

    /// From now on these are all the messages that the endpoint's tap watches for. Each is told by
    /// [`ClientEvent::MessageSeen`].
    pub fn set_watches(&self, endpoint: u16, watches: &serde_json::Value) {
        self.order(Order::SetWatches(endpoint, watches.clone()));
    }

    /// Sends a probe from the endpoint to a replica.
    pub fn probe(&self, endpoint: u16, id: u64, to: ReplicaId) {
        self.order(Order::Probe { endpoint, id, to });
    }

    /// A host that has failed said so in its last event, and takes no orders.
    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.blocking_send(order);
        }
    }
}

impl Drop for ClientHost {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It has caught its panics.
            let _ = thread.join();
        }
    }
}

type Started = SyncSender<Result<BTreeMap<u16, SocketAddr>, ClientHostError>>;

/// The thread. The one place that knows which client cores there are.
fn run(
    config: &ClientHostConfig,
    tap: &dyn Fn(u16) -> Box<dyn TapControl>,
    orders: mpsc::Receiver<Order>,
    events: &mut dyn FnMut(ClientEvent),
    started: &Started,
) {
    match config.protocol {
        ProtocolKind::Vr => {
            let (replicas, timeouts) = (config.replicas.clone(), config.timeouts.vr);
            let spares = config.spares.clone();
            let backup_reads = config.backup_reads;
            let factory = move |id| {
                let client = VrClient::new(id, replicas.clone(), timeouts).with_spares(&spares);
                match backup_reads {
                    true => client.reading_at_backups(|read| RegisterService.is_read(read)),
                    false => client,
                }
            };
            run_sessions(config, tap, orders, events, started, Box::new(factory));
        }
    }
}

fn run_sessions<C>(
    config: &ClientHostConfig,
    tap: &dyn Fn(u16) -> Box<dyn TapControl>,
    orders: mpsc::Receiver<Order>,
    events: &mut dyn FnMut(ClientEvent),
    started: &Started,
    factory: Box<dyn Fn(ClientId) -> C>,
) where
    C: Client,
    C::Message: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => {
            let what = "an async runtime".to_owned();
            let _ = started.send(Err(ClientHostError::System { what, source }));
            return;
        }
    };
    runtime.block_on(async {
        let (inbox, arrivals, probes) = Inbox::new(orders);
        match Endpoints::start(config, tap, &arrivals, &probes) {
            Ok(endpoints) => {
                let _ = started.send(Ok(endpoints.addresses()));
                work(Host::new(config.clock, endpoints, factory, events), inbox).await;
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}
