//! One connection, from the handshake's end to its close: hellos, then messages both ways.
//!
//! ```text
//!   stream 0 of each side: Hello, then ordinary messages, in order, or empty frames
//!   later streams:         one large message each, of lower priority
//! ```

use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::task::JoinSet;
use tokio::time::timeout;
use viewstorm_protocol::{Incarnation, Message, NodeId};

use super::frame::{self, Decoder, FrameError, Hello};
use super::link::{Arrival, Shared};
use super::peers::Admitted;
use super::queue::{Batch, Queue};
use super::tls;
use crate::passenger::Parcel;

/// How long the hello of a peer may take.
const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// The greatest Lamport stamp that is believed: no clock that counts events comes near it, and one that is set
/// to it can go on for ever.
const LAMPORT_MAX: u64 = 1 << 62;
/// After so long without a message we say that we live. QUIC's own signs of life come ever more rarely while
/// nothing is answered; new bytes go out at once, and so meet a restarted peer or a healed link within this
/// time, whatever the protocol has to say.
const PING_INTERVAL: Duration = Duration::from_millis(50);
/// The priority of streams with large messages; the others have 0.
const LARGE_PRIORITY: i32 = -1;

/// Why we close a connection: the code that the peer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum CloseCode {
    /// This process stops.
    Stopped = 0,
    /// The peer sent what is no message.
    Malformed = 1,
    /// The peer's certificate does not allow it to connect here, or not so often.
    NotAllowed = 2,
    /// A later incarnation of the peer was here before.
    Stale = 3,
    /// A newer connection of the peer takes this one's place.
    Superseded = 4,
    /// The peer did not say who it is in time.
    NoHello = 5,
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> Self {
        Self::from_u32(code as u32)
    }
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Lost(#[from] ConnectionError),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Write(#[from] WriteError),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("its certificate does not allow it to connect here")]
    NotAllowed,
    #[error("its hello is not its own: {0:?}")]
    FalseHello(Hello),
    #[error("no hello in {HELLO_TIMEOUT:?}")]
    NoHello,
    #[error("incarnation {stale:?} after {met:?}")]
    Stale {
        stale: Incarnation,
        met: Incarnation,
    },
    #[error("it has too many connections that say nothing")]
    TooMany,
    #[error("it speaks for another node, or to another")]
    Misaddressed,
    #[error("a Lamport stamp of {0}")]
    AbsurdStamp(u64),
    #[error("its messages ended")]
    Ended,
}

impl Failure {
    /// What to tell the peer; nothing if the connection is lost anyhow.
    fn code(&self) -> Option<CloseCode> {
        match self {
            Self::Lost(_) | Self::Write(_) | Self::Read(ReadError::ConnectionLost(_)) => None,
            Self::Read(_)
            | Self::Frame(_)
            | Self::FalseHello(_)
            | Self::Misaddressed
            | Self::AbsurdStamp(_)
            | Self::Ended => Some(CloseCode::Malformed),
            Self::NotAllowed | Self::TooMany => Some(CloseCode::NotAllowed),
            Self::NoHello => Some(CloseCode::NoHello),
            Self::Stale { .. } => Some(CloseCode::Stale),
        }
    }
}

/// A connection whose peer has said who it is.
struct Established {
    peer: NodeId,
    admitted: Admitted<Connection>,
    sender: SendStream,
    receiver: RecvStream,
    decoder: Decoder,
}

/// Serves a connection until it is closed. `dialled` is who should be at its other end, if we dialled.
pub(super) async fn serve<M: Message + Send + 'static>(
    shared: Arc<Shared<M>>,
    connection: Connection,
    dialled: Option<NodeId>,
) {
    let established = match establish(&shared, &connection, dialled).await {
        Ok(established) => established,
        Err(failure) => return fail(&shared, &connection, &failure),
    };
    let Established {
        peer,
        admitted,
        sender,
        receiver,
        decoder,
    } = established;
    for older in admitted.superseded {
        older.close(CloseCode::Superseded.into(), b"a newer connection");
    }
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(Arc::clone(&shared), connection.clone(), {
        let connection = connection.clone();
        write(connection, sender, admitted.queue)
    }));
    tasks.spawn(watch(
        Arc::clone(&shared),
        connection.clone(),
        read(Arc::clone(&shared), peer, receiver, decoder),
    ));
    tasks.spawn(watch(
        Arc::clone(&shared),
        connection.clone(),
        accept_large(Arc::clone(&shared), peer, connection.clone()),
    ));
    let reason = connection.closed().await;
    shared.peers().remove(peer, admitted.number);
    tracing::info!(%peer, %reason, "disconnected");
}

/// Runs one half of a connection. If it fails, so does the connection.
async fn watch<M: Message>(
    shared: Arc<Shared<M>>,
    connection: Connection,
    half: impl Future<Output = Failure>,
) {
    let failure = half.await;
    fail(&shared, &connection, &failure);
}

fn fail<M: Message>(shared: &Shared<M>, connection: &Connection, failure: &Failure) {
    let Some(code) = failure.code() else {
        return;
    };
    match code {
        CloseCode::Malformed => shared.counters.malformed.add_one(),
        _ => shared.counters.refused.add_one(),
    }
    let peer = tls::peer(connection);
    let remote = connection.remote_address();
    tracing::warn!(?peer, %remote, %failure, "closing a connection");
    connection.close(code.into(), failure.to_string().as_bytes());
}

/// Learns who the peer is, tells it who we are, and lets the connection in.
async fn establish<M: Message>(
    shared: &Shared<M>,
    connection: &Connection,
    dialled: Option<NodeId>,
) -> Result<Established, Failure> {
    let peer = tls::peer(connection).ok_or(Failure::NotAllowed)?;
    let allowed = dialled.map_or_else(|| shared.may_dial_us(peer), |dialled| dialled == peer);
    if !allowed {
        return Err(Failure::NotAllowed);
    }
    if !shared.peers().greets(peer) {
        return Err(Failure::TooMany);
    }
    let established = greet(shared, connection, peer).await;
    shared.peers().greeted(peer);
    established
}

/// Exchanges hellos with a peer that may connect.
async fn greet<M: Message>(
    shared: &Shared<M>,
    connection: &Connection,
    peer: NodeId,
) -> Result<Established, Failure> {
    let mut sender = connection.open_uni().await?;
    let mut hello = Vec::new();
    frame::encode(&Hello::new(shared.me, shared.incarnation), &mut hello)?;
    sender.write_all(&hello).await?;
    let receive = async {
        let mut receiver = connection.accept_uni().await?;
        let mut decoder = Decoder::new(frame::HELLO_MAX);
        let hello: Hello = read_hello(&mut receiver, &mut decoder).await?;
        Ok::<_, Failure>((receiver, decoder, hello))
    };
    let received = timeout(HELLO_TIMEOUT, receive).await;
    let (receiver, mut decoder, hello) = received.map_err(|_| Failure::NoHello)??;
    if hello.node != peer || !hello.is_understood() {
        return Err(Failure::FalseHello(hello));
    }
    decoder.set_limit(frame::ORDINARY_MAX);
    let incarnation = hello.incarnation;
    let admitted = shared.peers().admit(peer, incarnation, connection.clone());
    let admitted = admitted.map_err(|stale| Failure::Stale {
        stale: incarnation,
        met: stale.met,
    })?;
    let connected = Arrival::Connected {
        at: shared.me,
        peer,
        incarnation,
    };
    if shared.arrivals.send(connected).await.is_err() {
        return Err(Failure::Lost(ConnectionError::LocallyClosed));
    }
    tracing::info!(%peer, incarnation = incarnation.0, "connected");
    Ok(Established {
        peer,
        admitted,
        sender,
        receiver,
        decoder,
    })
}

async fn read_hello(stream: &mut RecvStream, decoder: &mut Decoder) -> Result<Hello, Failure> {
    loop {
        if let Some(frame) = decoder.next()? {
            return Ok(frame::decode(&frame)?);
        }
        let chunk = stream.read_chunk(frame::ORDINARY_MAX, true).await?;
        decoder.push(&chunk.ok_or(Failure::Ended)?.bytes);
    }
}

/// Reads ordinary messages, for ever.
async fn read<M: Message>(
    shared: Arc<Shared<M>>,
    peer: NodeId,
    mut stream: RecvStream,
    mut decoder: Decoder,
) -> Failure {
    loop {
        if let Err(failure) = deliver(&shared, peer, &mut decoder).await {
            return failure;
        }
        match stream.read_chunk(frame::ORDINARY_MAX, true).await {
            Ok(Some(chunk)) => decoder.push(&chunk.bytes),
            Ok(None) => return Failure::Ended,
            Err(error) => return error.into(),
        }
    }
}

/// Passes on all whole messages. Waits while the drive loop has more than it can take: then the peer's window
/// closes, and its queue fills.
async fn deliver<M: Message>(
    shared: &Shared<M>,
    peer: NodeId,
    decoder: &mut Decoder,
) -> Result<(), Failure> {
    while let Some(frame) = decoder.next()? {
        if frame.is_empty() {
            continue; // It lives.
        }
        let parcel: Parcel<M> = frame::decode(&frame)?;
        if parcel.from.node() != peer || parcel.to.node() != shared.me {
            return Err(Failure::Misaddressed);
        }
        if parcel.envelope.lamport > LAMPORT_MAX {
            return Err(Failure::AbsurdStamp(parcel.envelope.lamport));
        }
        if shared
            .arrivals
            .send(Arrival::Message(parcel))
            .await
            .is_err()
        {
            return Err(Failure::Lost(ConnectionError::LocallyClosed));
        }
    }
    Ok(())
}

/// Accepts the streams of large messages, for ever. QUIC bounds how many are open.
async fn accept_large<M: Message + Send + 'static>(
    shared: Arc<Shared<M>>,
    peer: NodeId,
    connection: Connection,
) -> Failure {
    let mut readers = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = connection.accept_uni() => stream,
            Some(read) = readers.join_next() => match read {
                Ok(Err(failure)) => return failure,
                _ => continue,
            },
        };
        match stream {
            Ok(stream) => readers.spawn(read_large(Arc::clone(&shared), peer, stream)),
            Err(error) => return error.into(),
        };
    }
}

async fn read_large<M: Message>(
    shared: Arc<Shared<M>>,
    peer: NodeId,
    mut stream: RecvStream,
) -> Result<(), Failure> {
    let mut decoder = Decoder::new(frame::LARGE_MAX);
    while let Some(chunk) = stream.read_chunk(frame::ORDINARY_MAX, true).await? {
        decoder.push(&chunk.bytes);
        deliver(&shared, peer, &mut decoder).await?;
    }
    Ok(decoder.finish()?)
}

/// Writes what is queued, for ever.
async fn write(connection: Connection, mut stream: SendStream, queue: Arc<Queue>) -> Failure {
    let mut large = JoinSet::new();
    loop {
        let batch = match timeout(PING_INTERVAL, queue.take()).await {
            Ok(batch) => batch,
            Err(_) => Batch::from(frame::PING),
        };
        for message in batch.large {
            while large.try_join_next().is_some() {}
            large.spawn(write_large(connection.clone(), message, Arc::clone(&queue)));
        }
        if let Err(error) = stream.write_chunk(batch.ordinary).await {
            return error.into();
        }
    }
}

/// Writes one large message. That it fails is noticed elsewhere: the connection is lost.
async fn write_large(connection: Connection, message: bytes::Bytes, queue: Arc<Queue>) {
    let written = async {
        let mut stream = connection.open_uni().await?;
        let _ = stream.set_priority(LARGE_PRIORITY);
        stream.write_chunk(message).await?;
        let _ = stream.finish();
        Ok::<(), Failure>(())
    };
    if let Err(failure) = written.await {
        tracing::debug!(%failure, "a large message is lost");
    }
    queue.large_written();
}
