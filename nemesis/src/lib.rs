//! The nemesis: decides which fault hits whom and when, confirms it, heals it, confirms that.
//!
//! It is a state machine as sans-io as a protocol core: observations in, [`Action`]s out. A world enacts the
//! actions (processes and relays, or the simulator). Only `inject` touches real processes and sockets.

mod action;
mod clock_look;
mod confirm;
mod count;
mod course;
mod damage;
mod fault;
mod grip;
mod healthy_core;
mod hits;
#[cfg(feature = "inject")]
pub mod inject;
mod known;
mod law;
mod ledger;
mod link;
mod machine;
mod machine_fault;
mod machine_hits;
mod measure;
mod membership;
mod nemesis;
mod options;
mod probe;
mod process;
mod shape;
mod silence;
mod slow_sync;
mod tap;
mod target;
mod timeline;
mod trigger;
mod wan;

pub use action::{Action, Observation, ProbeId, ProcessState};
pub use fault::{
    Fault, Layer, LinkEffect, LinkFault, Links, MessageFault, Partition, SlowFault, WanFault,
};
pub use law::{Burst, Distribution, LinkMemory, Rate, Spread};
pub use ledger::{Ledger, LedgerEntry, LedgerTotals};
pub use link::{Delay, Link, LinkCounters, LinkRule, Topology};
pub use machine::{
    ClockBend, CrashPoint, CrashStep, DamagePlace, DiskReading, DiskRule, PowerLossReading,
    SyncReading, WriteError,
};
pub use machine_fault::{
    Budget, Capability, ClockEffect, ClockFault, CrashFault, DiskEffect, DiskFault,
};
pub use membership::{LEAST_MEMBERS, Membership};
pub use nemesis::Nemesis;
pub use options::NemesisOptions;
pub use shape::{ClientSides, Shape, Way};
pub use tap::{Flow, Numbers, PROBE_KIND, RuleTap, TapAct, TapRule, TapWatch};
pub use target::Target;
pub use timeline::{Declaration, MAX_FAULTS, ScheduledFault, Timeline, When};
pub use trigger::{Trigger, TriggerEvent};
pub use wan::{Region, WanPreset};
