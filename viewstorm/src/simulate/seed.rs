//! One simulated run in memory: nothing is written, everything is judged.

use std::cell::RefCell;
use std::rc::Rc;

use viewstorm_history::{History, Seed, Timestamp};
use viewstorm_nemesis::Ledger;
use viewstorm_protocol::{TraceEvent, TraceRecord};
use viewstorm_report::Results;
use viewstorm_simulator::{Statistics, TraceSink};

use crate::judge::{Traces, judge_run};
use crate::plan::Plan;
use crate::run::{experiment, header, topology};
use crate::run_facts::{Ending, RunFacts};
use crate::runner::{Counts, Interrupt, Progress, Recorder, RunError};
use crate::worlds::{SimulatedWorld, SimulatedWorldOptions};

/// What came of a seed.
#[derive(Debug)]
pub struct SeedRun {
    /// What it came to.
    pub results: Results,
    /// What happened.
    pub history: History,
    /// The whole run in one number.
    pub trace_hash: String,
    /// What the simulation counted.
    pub statistics: Statistics,
}

/// Why there are no results of a seed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The run could not go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The checker was asked for what it does not have.
    #[error(transparent)]
    Check(#[from] viewstorm_checker::CheckError),
}

/// Runs `plan` with `seed`. `facts` are those that all seeds share.
pub fn run_seed(plan: &Plan, seed: Seed, facts: &RunFacts) -> Result<SeedRun, SeedError> {
    let options = SimulatedWorldOptions {
        cluster: plan.cluster.clone(),
        topology: topology(plan),
        seed,
    };
    let mut world = SimulatedWorld::new(&options);
    let notes = Notes::default();
    world.set_trace_sink(Box::new(notes.clone()));
    let recorder = Recorder::in_memory(header(plan, seed));
    let record = experiment(
        plan,
        seed,
        &mut world,
        recorder,
        &Uninterrupted,
        &mut Silent,
    )?;
    let (ending, history) = Ending::of(record);
    let trace_hash = ending.trace_hash.clone().unwrap_or_default();
    let facts = RunFacts {
        ending: Some(ending),
        ..facts.clone()
    };
    let judgement = judge_run(plan, &facts, history, notes.traces.take())?;
    Ok(SeedRun {
        results: judgement.results,
        history: judgement.history,
        trace_hash,
        statistics: world.statistics(),
    })
}

/// Listens to the replicas for what the judge wants of their traces.
#[derive(Clone, Debug, Default)]
struct Notes {
    traces: Rc<RefCell<Traces>>,
}

impl TraceSink for Notes {
    fn record(&mut self, record: &TraceRecord) {
        if let (TraceEvent::Noted { note }, Some(replica)) =
            (&record.event, record.node.as_replica())
        {
            let time = Timestamp(record.time);
            self.traces.borrow_mut().note(time, replica, note, |_| true);
        }
    }
}

/// A run that nobody ends early.
#[derive(Clone, Copy, Debug)]
struct Uninterrupted;

impl Interrupt for Uninterrupted {
    fn interrupted(&self) -> Option<String> {
        None
    }
}

/// A run that nobody watches.
#[derive(Clone, Copy, Debug)]
struct Silent;

impl Progress for Silent {
    fn update(&mut self, _: Timestamp, _: &'static str, _: Counts, _: &Ledger) {}
}
