//! Practical Byzantine Fault Tolerance (Castro and Liskov, OSDI'99: "PBFT" below; TOCS 20(4), 2002: "TOCS"), with the
//! view change of the article: sets P and Q in the place of certificates.
//!
//! Replicas keep a write-ahead log: a vote is durable before it is sent, so that a restarted replica rejoins with what
//! it promised. n is any number of replicas and f the largest with n >= 3f+1.
//!
//! ```text
//!             a request is overdue, or f+1 others have left
//!   Active ------------------------------------------------> Changing --+
//!     ^                                                       ^   |     | no new view in time
//!     |              NewView, checked                         +---|-----+
//!     +-----------------------------------------------------------+
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `message` | the messages, as in the papers |
//! | `signed`, `keys/` | who says so: signatures or authenticators, over exact bytes |
//! | `certificate` | what a quorum has signed, for anybody to check |
//! | `quorum` | n, f and what follows from them |
//! | `replica` | the state, the dispatch, every change of view |
//! | `request`, `requests` | PBFT §4.1: requests in, batches and replies out; those that wait |
//! | `normal` | PBFT §4.2: `PrePrepare`, `Prepare`, `Commit`, execution |
//! | `log` | what a replica has of each place |
//! | `executor` | execution, tentative execution, replies, checkpoints |
//! | `checkpoint` | PBFT §4.3: `Checkpoint`, water marks, garbage collection |
//! | `view_change`, `new_view` | TOCS §4.5: `ViewChange`, `NewView` |
//! | `status` | TOCS §5.2: retransmission |
//! | `state_transfer` | TOCS §5.3: `Fetch`, `Data` |
//! | `durable`, `restart` | what is written, and a new incarnation over it |
//! | `client` | one session; why there are no read-only requests |
//!
//! Left out: proactive recovery (TOCS §6); values that the primary chooses (PBFT §4.6: the services here know no time);
//! requests that travel apart from their pre-prepares (TOCS §5.1.5: operations are short).

mod certificate;
mod checkpoint;
mod client;
mod config;
mod durable;
mod executor;
mod keys;
mod log;
mod message;
mod new_view;
mod normal;
mod observe;
mod quorum;
mod replica;
mod request;
mod requests;
mod restart;
mod signed;
mod state_transfer;
mod status;
mod timer;
mod view_change;

pub use certificate::{
    Assignment, CertificateError, CheckpointCertificate, CommitCertificate, PreparedCertificate,
    ViewChangeCertificate,
};
pub use checkpoint::DIVERGED;
pub use client::{PbftClient, PbftClientTimeouts};
pub use config::{
    BACKOFF_MAX, BATCH_BYTES_MAX, BATCH_MAX, CHECKPOINT_INTERVAL, CHECKPOINTS_HELD_MAX,
    CLIENTS_MAX, DIGEST_REPLY_MIN, DOUBTFUL_MAX, ENDPOINT_PENDING_MAX, FETCH_BYTES_MAX,
    FETCH_NODES_MAX, INSTALL_BYTES_MAX, MISSING_MAX, OPERATION_BYTES_MAX, PENDING_MAX,
    PRE_PREPARES_MAX, PbftConfig, PbftTimeouts, RESEND_PLACES_MAX, RESULT_BYTES_MAX,
    TIMESTAMP_LEAD_MAX, VIEW_LEAD_MAX, VoteStorage, WINDOW_INTERVALS, WINDOW_MAX,
};
pub use durable::{Part, PbftRecord, Superblock};
pub use executor::{CachedReply, StateRoot};
pub use keys::{
    Authenticator, Ed25519, KeyError, KeyedHash, Keys, PublicKey, SecretKey, Signature, Statement,
    Tag,
};
pub use message::{
    Batch, Checkpoint, Commit, Data, Fetch, NULL_DIGEST, NewView, NewViewProposal, PbftMessage,
    PlaceStatus, PrePrepare, Prepare, Proposal, Reply, ReplyResult, Request, SequenceNumber,
    Status, ViewChange, ViewEntry,
};
pub use new_view::{Choice, choose};
pub use quorum::ByzantineQuorum;
pub use replica::PbftReplica;
pub use signed::{Authentication, AuthenticationMode, Content, Proof, Signed, Verified};
