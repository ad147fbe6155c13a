//! Who is who on the wire: a certificate authority for each run, and one certificate for each node.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use serde::{Deserialize, Serialize};
use viewstorm_protocol::NodeId;

/// What a node's name in certificates ends with: `r0.viewstorm`.
const DOMAIN: &str = "viewstorm";

/// The certificate authority of one run. Its key lives as long as this value and is written nowhere.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// What a node proves its identity with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The node's certificate, PEM.
    pub certificate: String,
    /// The node's private key, PEM.
    pub key: String,
    /// The certificate of the run's authority, PEM. A peer without a certificate by it gets nothing.
    pub authority: String,
}

/// Why a certificate could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The run's authority could not be made.
    #[error("the run's certificate authority could not be made: {0}")]
    Authority(#[source] rcgen::Error),
    /// A node's certificate could not be made.
    #[error("the certificate of {node} could not be made: {source}")]
    Issue {
        /// Whose.
        node: NodeId,
        /// What went wrong.
        source: rcgen::Error,
    },
    /// A part of the credentials is no PEM.
    #[error("{field} is not PEM: {source}")]
    Pem {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate is another node's.
    #[error("the certificate of {node} names {}", named.map_or("nobody".to_owned(), |node| node.to_string()))]
    Stranger {
        /// Whose it should be.
        node: NodeId,
        /// Whose it is.
        named: Option<NodeId>,
    },
    /// The certificates do not serve for TLS.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The authority's certificate does not serve to verify peers.
    #[error("the authority cannot verify peers: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The cryptography provider cannot do QUIC.
    #[error("TLS for QUIC: {0}")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

impl Authority {
    /// A new authority with a key of its own.
    pub fn new() -> Result<Self, IdentityError> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "viewstorm run");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(IdentityError::Authority)?;
        let certificate = params
            .self_signed(&key)
            .map_err(IdentityError::Authority)?
            .pem();
        let issuer = Issuer::new(params, key);
        Ok(Self {
            issuer,
            certificate,
        })
    }

    /// A key and a certificate for `node`.
    pub fn issue(&self, node: NodeId) -> Result<Credentials, IdentityError> {
        let failed = |source| IdentityError::Issue { node, source };
        let name = node_name(node);
        let mut params = CertificateParams::new(vec![name.clone()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Credentials {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority: self.certificate.clone(),
        })
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// The name of `node` in its certificate.
pub(crate) fn node_name(node: NodeId) -> String {
    format!("{node}.{DOMAIN}")
}

/// The node that a name in a certificate names.
pub(crate) fn named_node(name: &str) -> Option<NodeId> {
    let (node, domain) = name.split_once('.')?;
    let node: NodeId = node.parse().ok()?;
    // One name a node: `r00` is not `r0`.
    (domain == DOMAIN && node_name(node) == name).then_some(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_certificate_reads_back_and_others_name_nobody() {
        for node in [NodeId::replica(0), NodeId::Client(12)] {
            assert_eq!(named_node(&node_name(node)), Some(node));
        }
        for name in [
            "r0",
            "r0.",
            "r00.viewstorm",
            "r0.viewstorm.org",
            "x.viewstorm",
            "",
        ] {
            assert_eq!(named_node(name), None, "{name}");
        }
    }

    #[test]
    fn credentials_show_no_key() {
        let credentials = Authority::new().unwrap().issue(NodeId::replica(1)).unwrap();
        let shown = format!("{credentials:?}");
        assert!(credentials.key.contains("PRIVATE KEY"));
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }
}
