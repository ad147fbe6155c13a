//! Ctrl-C and its like: the first ends the run in order, the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Exit;
use crate::runner::Interrupt;

/// Whether a signal came that wants the run to end.
#[derive(Debug)]
pub(super) struct Signals {
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for (signal, number) in [(SIGINT, 2), (SIGTERM, 15), (SIGHUP, 1)] {
            // In this order: the first signal arms the exit that the second one takes. The replicas die with us.
            let code = i32::from(Exit::Harness.code());
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&again))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&again)))
                .and_then(|_| {
                    signal_hook::flag::register_usize(signal, Arc::clone(&received), number)
                })
                .context("listening for signals")?;
        }
        Ok(Self { received })
    }
}

impl Interrupt for Signals {
    fn interrupted(&self) -> Option<String> {
        match self.received.load(Ordering::Relaxed) {
            0 => None,
            1 => Some("hangup (SIGHUP)".to_owned()),
            2 => Some("interrupted (SIGINT)".to_owned()),
            _ => Some("terminated (SIGTERM)".to_owned()),
        }
    }
}
