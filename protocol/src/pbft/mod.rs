//! Practical Byzantine Fault Tolerance (Castro and Liskov, OSDI'99: "PBFT" below; TOCS 20(4), 2002: "TOCS"), with the
//! view change of the article: sets P and Q in the place of certificates.
//!
//! | file | what it is |
//! |---|---|
//! | `message` | the messages, as in the papers |
//! | `signed`, `keys/` | who says so: signatures or authenticators, over exact bytes |
//! | `certificate` | what a quorum has signed, for anybody to check |
//! | `quorum` | n, f and what follows from them |

mod certificate;
mod keys;
mod message;
mod quorum;
mod signed;

pub use certificate::{
    Assignment, CertificateError, CheckpointCertificate, CommitCertificate, PreparedCertificate,
    ViewChangeCertificate,
};
pub use keys::{
    Authenticator, Ed25519, KeyError, KeyedHash, Keys, PublicKey, SecretKey, Signature, Statement,
    Tag,
};
pub use message::{
    Batch, Checkpoint, Commit, NULL_DIGEST, NewView, NewViewProposal, PbftMessage, PlaceStatus,
    PrePrepare, Prepare, Proposal, Reply, ReplyResult, Request, SequenceNumber, Status, ViewChange,
    ViewEntry,
};
pub use quorum::ByzantineQuorum;
pub use signed::{Authentication, AuthenticationMode, Content, Proof, Signed, Verified};
