//! The keys of every table of a plan, in one place, so that a misplaced one can be sent home.

/// The top of the plan.
pub(super) const PLAN: &[&str] = &[
    "extends",
    "name",
    "description",
    "world",
    "model",
    "cluster",
    "workload",
    "run",
    "nemesis",
    "check",
    "expect",
];
/// `[world]`
pub(super) const WORLD: &[&str] = &["kind"];
/// `[model]`
pub(super) const MODEL: &[&str] = &["network", "nodes", "timing"];
/// `[cluster]`
pub(super) const CLUSTER: &[&str] = &[
    "protocol",
    "replicas",
    "spares",
    "durability",
    "timeouts",
    "base-port",
    "fence-incarnations",
    "checkpoint-interval",
    "failure-detector",
    "reads",
    "max-drift-ppm",
];
/// `[cluster.timeouts]`
pub(super) const TIMEOUTS: &[&str] = &[
    "heartbeat",
    "suspicion",
    "suspicion-floor",
    "suspicion-cap",
    "resend",
    "lease",
];
/// `[workload]`
pub(super) const WORKLOAD: &[&str] = &[
    "kind",
    "clients",
    "endpoints",
    "rate",
    "closed-loop",
    "keys",
    "mix",
    "payload",
    "timeout",
    "start-timeout",
    "pauses",
];
/// `[workload.mix]`
pub(super) const MIX: &[&str] = &["read", "write", "cas"];
/// `[workload.pauses]`
pub(super) const PAUSES: &[&str] = &["chance", "burst", "pause"];
/// `[run]`
pub(super) const RUN: &[&str] = &["warmup", "duration", "quiesce", "seed"];
/// A list of keys of `[[nemesis]]`: those that every fault has, and these.
macro_rules! fault_keys {
    ($(#[$doc:meta])* $name:ident: $($key:literal),*) => {
        $(#[$doc])*
        pub(super) const $name: &[&str] = &[
            "fault", "name", "chance", "at", "every", "jitter", "until", "count", "on", "after", "times",
            "kind", "from", "to", "replica", "seed", $($key),*
        ];
    };
}

fault_keys!(
    /// `[[nemesis]]`, whatever the fault.
    NEMESIS: "for", "target", "shape", "groups", "links", "clients", "direction", "layer",
    "flapping", "delay", "delay-jitter", "share", "act", "peers", "kinds", "views", "numbers",
    "skip", "limit", "effect", "step", "power", "place", "budget", "jump", "drift", "freeze", "intensity",
    "distribution", "alpha", "trace", "correlation", "p", "r", "loss-bad", "loss-good", "kilobits",
    "queue-bytes", "preset", "regions", "jitter-share", "period", "gap", "follows", "profile",
    "error",     "members", "add", "remove", "size"
);
/// A whole storm.
pub(super) const ANY: &[&str] = &["fault", "intensity", "until", "profile"];
fault_keys!(
    /// A partition.
    PARTITION: "for", "shape", "target", "groups", "links", "clients", "direction", "layer",
    "flapping"
);
fault_keys!(
    /// A delay.
    DELAY: "for", "delay", "delay-jitter", "target", "direction", "links", "distribution", "alpha", "trace",
    "correlation"
);
fault_keys!(
    /// A loss, duplication or corruption.
    SHARE: "for", "share", "target", "direction", "links"
);
fault_keys!(
    /// A reordering.
    REORDER: "for", "share", "delay", "target", "direction", "links"
);
fault_keys!(
    /// Losses in bursts.
    BURST_LOSS: "for", "p", "r", "loss-bad", "loss-good", "target", "direction", "links"
);
fault_keys!(
    /// A rate.
    RATE: "for", "kilobits", "queue-bytes", "target", "direction", "links"
);
fault_keys!(
    /// A hold.
    HOLD: "for", "target", "direction", "links"
);
fault_keys!(
    /// A wide-area network.
    WAN: "for", "preset", "regions", "jitter-share"
);
fault_keys!(
    /// A share of the time.
    SLOW: "for", "target", "share", "period"
);
fault_keys!(
    /// Rules for messages.
    MESSAGES: "for", "act", "target", "direction", "peers", "kinds", "views", "numbers", "share",
    "skip", "limit", "delay", "delay-jitter"
);
fault_keys!(
    /// A kill, a pause, a loss of power, syncs that fail.
    PROCESS: "for", "target"
);
fault_keys!(
    /// A crash at an effect.
    CRASH: "for", "target", "effect", "step", "power"
);
fault_keys!(
    /// Syncs that take longer.
    SLOW_SYNC: "for", "target", "delay"
);
fault_keys!(
    /// Writes that fail.
    FAILING_WRITE: "for", "target", "error"
);
fault_keys!(
    /// A damaged record.
    BIT_FLIP: "target", "place", "budget"
);
fault_keys!(
    /// A lost disk.
    WIPE: "for", "target", "budget"
);
fault_keys!(
    /// A clock that goes wrong.
    CLOCK: "for", "target", "jump", "drift", "freeze"
);
fault_keys!(
    /// A reconfiguration.
    RECONFIGURE: "members", "add", "remove", "size"
);
fault_keys!(
    /// A restart.
    RESTART: "target"
);
/// `[check]`
pub(super) const CHECK: &[&str] = &["checks", "liveness", "bounds", "strict-bounds"];
/// `[check.bounds]`
pub(super) const BOUNDS: &[&str] = &["availability", "recovery", "latency-p99"];
/// `[expect]`
pub(super) const EXPECT: &[&str] = &["verdict", "property", "seeds"];

/// Every table: its path and its keys.
const TABLES: &[(&str, &[&str])] = &[
    ("world", WORLD),
    ("model", MODEL),
    ("cluster", CLUSTER),
    ("cluster.timeouts", TIMEOUTS),
    ("workload", WORKLOAD),
    ("workload.mix", MIX),
    ("workload.pauses", PAUSES),
    ("run", RUN),
    ("nemesis", NEMESIS),
    ("check", CHECK),
    ("check.bounds", BOUNDS),
    ("expect", EXPECT),
    ("", PLAN),
];

/// The one table that has this key; none if several do, or none does.
pub(super) fn home_of(key: &str) -> Option<&'static str> {
    let mut homes = TABLES.iter().filter(|(_, keys)| keys.contains(&key));
    match (homes.next(), homes.next()) {
        (Some((home, _)), None) => Some(home),
        _ => None,
    }
}

/// The path of the table under `key` of the table `parent`.
pub(super) fn path(parent: &str, key: &str) -> &'static str {
    let is_it = |path: &&str| match path.strip_suffix(key) {
        Some(rest) => rest.trim_end_matches('.') == parent,
        None => false,
    };
    TABLES
        .iter()
        .map(|(path, _)| *path)
        .find(is_it)
        .expect("every table is in TABLES")
}
