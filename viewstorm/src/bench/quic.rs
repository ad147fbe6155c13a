//! 64 bytes there and back between two threads, on one bidirectional QUIC stream.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, ServerConfig, VarInt};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;

use super::floors::{Floor, FloorsError, Sampler};

const SIZE: usize = 64;
const NAME: &str = "floor";
/// For all of a connection's beginning: after it every wait is bounded by the idle time-out of 30 s.
const GIVE_UP: Duration = Duration::from_secs(5);

type Failure = Box<dyn Error + Send + Sync>;

pub(super) fn round_trip(length: Duration) -> Result<Floor, FloorsError> {
    measure(length).map_err(|failure| FloorsError::Part {
        what: "QUIC round trip",
        reason: failure.to_string(),
    })
}

fn measure(length: Duration) -> Result<Floor, Failure> {
    let (server, client) = tls()?;
    let (address, echo) = echo(server)?;
    let sampler = runtime()?.block_on(time_round_trips(address, client, length));
    let echoed = echo.join().map_err(|_| "the echo panicked")?;
    let sampler = sampler?;
    echoed?;
    Ok(sampler.floor("QUIC round trip"))
}

/// As in a replica: one thread, one runtime.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Answers one connection until its other end closes it.
fn echo(config: ServerConfig) -> Result<(SocketAddr, JoinHandle<Result<(), Failure>>), Failure> {
    let runtime = runtime()?;
    let bound = (Ipv4Addr::LOCALHOST, 0).into();
    let endpoint = runtime.block_on(async { Endpoint::server(config, bound) })?;
    let address = endpoint.local_addr()?;
    let thread = std::thread::spawn(move || runtime.block_on(answer(endpoint)));
    Ok((address, thread))
}

async fn answer(endpoint: Endpoint) -> Result<(), Failure> {
    let arrival = tokio::time::timeout(GIVE_UP, endpoint.accept()).await?;
    let connection = arrival.ok_or("the endpoint closed")?.await?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    let mut buffer = [0; SIZE];
    // An error means that the other end has enough.
    while receive.read_exact(&mut buffer).await.is_ok() {
        send.write_all(&buffer).await?;
    }
    Ok(())
}

async fn time_round_trips(
    address: SocketAddr,
    config: ClientConfig,
    length: Duration,
) -> Result<Sampler, Failure> {
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let connecting = endpoint.connect_with(config, address, NAME)?;
    let connection = tokio::time::timeout(GIVE_UP, connecting).await??;
    let (mut send, mut receive) = connection.open_bi().await?;
    let mut buffer = [0; SIZE];
    let mut sampler = Sampler::new();
    let start = Instant::now();
    while start.elapsed() < length {
        let sent = Instant::now();
        send.write_all(&buffer).await?;
        receive.read_exact(&mut buffer).await?;
        sampler.record(sent.elapsed());
    }
    connection.close(VarInt::from_u32(0), b"");
    endpoint.wait_idle().await;
    Ok(sampler)
}

/// The two ends' configurations: the server's certificate is all that the client trusts.
fn tls() -> Result<(ServerConfig, ClientConfig), Failure> {
    let identity = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let certificate = CertificateDer::from(identity.cert);
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?));
    Ok((
        server,
        ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?)),
    ))
}
