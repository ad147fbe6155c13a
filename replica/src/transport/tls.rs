//! Mutual TLS 1.3: both ends show a certificate by the run's authority, and a node is who its certificate says.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use viewstorm_protocol::NodeId;

use crate::identity::named_node;
use crate::{Credentials, IdentityError};

/// What the two ends must agree to speak.
const ALPN: &[u8] = b"viewstorm/1";

/// A node's TLS configurations.
pub(super) struct Tls {
    pub(super) server: QuicServerConfig,
    pub(super) client: QuicClientConfig,
    /// Known to the node alone, and the same whenever it starts.
    pub(super) secret: Vec<u8>,
}

impl Tls {
    /// The configurations of `node`, whose credentials these must be.
    pub(super) fn new(node: NodeId, credentials: &Credentials) -> Result<Self, IdentityError> {
        let certificate = certificate("certificate", &credentials.certificate)?;
        let authority = self::certificate("authority", &credentials.authority)?;
        let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes()).map_err(|source| {
            IdentityError::Pem {
                field: "key",
                source,
            }
        })?;
        let named = certified_node(&certificate);
        if named != Some(node) {
            return Err(IdentityError::Stranger { node, named });
        }
        let secret = key.secret_der().to_vec();
        let mut roots = RootCertStore::empty();
        roots.add(authority)?;
        let roots = Arc::new(roots);
        Ok(Self {
            server: server(&roots, certificate.clone(), key.clone_key())?,
            client: client(roots, certificate, key)?,
            secret,
        })
    }
}

fn server(
    roots: &Arc<RootCertStore>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<QuicServerConfig, IdentityError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
            .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // No resumption, and with it no 0-RTT, which could be replayed.
    config.send_tls13_tickets = 0;
    Ok(QuicServerConfig::try_from(config)?)
}

fn client(
    roots: Arc<RootCertStore>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<QuicClientConfig, IdentityError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(QuicClientConfig::try_from(config)?)
}

fn certificate(field: &'static str, pem: &str) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|source| IdentityError::Pem { field, source })
}

/// The node at the other end of an authenticated connection.
pub(super) fn peer(connection: &quinn::Connection) -> Option<NodeId> {
    let chain = connection
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    certified_node(chain.first()?)
}

/// The one node that a certificate names.
fn certified_node(certificate: &CertificateDer<'_>) -> Option<NodeId> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut names = certificate.valid_dns_names();
    match (names.next(), names.next()) {
        (Some(name), None) => named_node(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;

    #[test]
    fn a_certificate_names_its_node() {
        let authority = Authority::new().unwrap();
        for node in [NodeId::replica(3), NodeId::Client(0)] {
            let credentials = authority.issue(node).unwrap();
            assert!(Tls::new(node, &credentials).is_ok());
            let other = Tls::new(NodeId::replica(9), &credentials).err().unwrap();
            let text = other.to_string();
            assert!(
                text.contains("r9") && text.contains(&node.to_string()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let node = NodeId::replica(0);
        let mut credentials = Authority::new().unwrap().issue(node).unwrap();
        credentials.key.clear();
        let error = Tls::new(node, &credentials).err().unwrap().to_string();
        assert!(error.contains("key"), "{error}");
    }
}
