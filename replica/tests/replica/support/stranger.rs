//! A peer of the tests' own: whatever certificate, whatever bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use viewstorm_protocol::{Incarnation, NodeId};
use viewstorm_replica::Credentials;

/// How a stranger introduces itself.
pub(crate) enum Papers<'a> {
    /// With these.
    Shown(&'a Credentials),
    /// With nothing, but it knows whose certificates to believe.
    None(&'a Credentials),
}

/// An endpoint that can dial.
pub(crate) fn endpoint(papers: &Papers<'_>) -> Endpoint {
    let credentials = match papers {
        Papers::Shown(credentials) | Papers::None(credentials) => credentials,
    };
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(credentials.authority.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut tls = match papers {
        Papers::Shown(credentials) => {
            let certificate = CertificateDer::from_pem_slice(credentials.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(vec![certificate.unwrap()], key)
                .unwrap()
        }
        Papers::None(_) => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"viewstorm/1".to_vec()];
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"stranger");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = EndpointConfig::new(Arc::new(reset));
    let mut endpoint = Endpoint::new(config, None, socket, Arc::new(TokioRuntime)).unwrap();
    let tls = QuicClientConfig::try_from(tls).unwrap();
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(tls)));
    endpoint
}

/// Dials a replica.
pub(crate) async fn dial(
    endpoint: &Endpoint,
    address: SocketAddr,
    node: NodeId,
) -> Result<Connection, ConnectionError> {
    endpoint
        .connect(address, &format!("{node}.viewstorm"))
        .unwrap()
        .await
}

/// A frame that holds `content`.
pub(crate) fn frame(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    [&length, content].concat()
}

/// The hello of a node.
pub(crate) fn hello(node: NodeId, incarnation: u64) -> Vec<u8> {
    frame(&postcard::to_allocvec(&(1_u16, node, Incarnation(incarnation))).unwrap())
}

/// The code with which the peer closes the connection.
pub(crate) async fn close_code(connection: &Connection) -> u64 {
    match tokio::time::timeout(super::PATIENCE, connection.closed()).await {
        Ok(ConnectionError::ApplicationClosed(close)) => close.error_code.into_inner(),
        other => panic!("not closed by the peer: {other:?}"),
    }
}
