//! What the runner sees of a world: real processes or the simulator. The runner picks one from the plan, once;
//! nothing else knows which it is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use viewstorm_history::Timestamp;
use viewstorm_nemesis::{Action, Observation};
use viewstorm_protocol::{ClientId, Completion};

/// A cluster, its network and its clients, under the nemesis' hands.
pub trait World {
    /// Now, on the run's one clock, which starts when the world is made.
    fn now(&self) -> Timestamp;

    /// Does one thing that the nemesis wants done. What comes of it is observed later.
    fn enact(&mut self, action: &Action) -> Result<(), WorldError>;

    /// Starts an operation in a session. A session is opened by its first operation and has one outstanding
    /// at a time.
    fn invoke(&mut self, client: ClientId, operation: Bytes);

    /// Ends a session, whatever it waits for.
    fn retire(&mut self, client: ClientId);

    /// Lets time pass until something happens, at most until `until`; none if nothing did.
    fn next(&mut self, until: Timestamp) -> Result<Option<Occurrence>, WorldError>;

    /// Ends the world gracefully: every replica has finished what it was writing.
    fn stop(&mut self) -> Result<WorldFacts, WorldError>;
}

/// What a world can say of a run besides what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorldFacts {
    /// The whole run in one number, where the seed fixes the whole run.
    pub trace_hash: Option<u64>,
    /// The theorems that were checked after every event.
    pub theorems: Vec<String>,
    /// After how many events.
    pub events: u64,
    /// What each replica was doing at the end, one line each, as far as the world can look.
    pub states: Vec<String>,
}

/// A theorem about the replicas' states that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenTheorem {
    /// Its name.
    pub theorem: String,
    /// When it was seen.
    pub time: Timestamp,
    /// What contradicts what.
    pub evidence: String,
}

/// Something that happened in a world.
#[derive(Clone, Debug)]
pub enum Occurrence {
    /// A session's outstanding operation completed.
    Completed {
        /// Which session.
        client: ClientId,
        /// When its client knew.
        time: Timestamp,
        /// The service's answer.
        completion: Completion,
    },
    /// Something for the nemesis.
    Observed(Observation),
    /// A theorem does not hold. A world that cannot look into its replicas never says so.
    Broken(BrokenTheorem),
}

/// The world itself failed: this says nothing about the replicas' correctness.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A replica could not be started.
    #[error("{replica} could not be started: {reason}")]
    Start {
        /// Which replica.
        replica: viewstorm_protocol::ReplicaId,
        /// Why, with the tail of its log.
        reason: String,
    },
    /// A replica reported an error of its own that it cannot go on from.
    #[error("{replica} stopped: {reason}")]
    Fatal {
        /// Which replica.
        replica: viewstorm_protocol::ReplicaId,
        /// Its own words.
        reason: String,
    },
    /// It was asked for what it cannot do, which a plan's reader refuses.
    #[error("a fault of the timeline is beyond this world: {action:?}")]
    Beyond {
        /// What it was asked for.
        action: Box<Action>,
    },
    /// A file or directory of the run.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A part of the harness stopped working.
    #[error("{part}: {reason}")]
    Harness {
        /// Which part.
        part: &'static str,
        /// What happened.
        reason: String,
    },
}
