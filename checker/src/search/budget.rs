//! What a search may spend.

/// Steps that the searches over one history may take: some seconds' worth.
const DEFAULT_STEPS: u64 = 10_000_000;

/// Configurations that a search remembers: at 16 bytes each, and the table's slack, about 100 MB.
const DEFAULT_MEMORY: usize = 3_500_000;

/// How much the search may spend before it answers unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchBudget {
    /// Operations tried, over all keys of a history.
    pub steps: u64,
    /// Configurations remembered at a time, for one key.
    pub configurations: usize,
}

impl Default for SearchBudget {
    fn default() -> Self {
        Self {
            steps: DEFAULT_STEPS,
            configurations: DEFAULT_MEMORY,
        }
    }
}

impl SearchBudget {
    /// What one of several searches may spend: the same on every machine, however many go on at a time.
    pub(crate) fn share(self, searches: usize) -> Self {
        /// However many keys there are, a small one is searched to its end.
        const LEAST: u64 = 200_000;
        let even = self.steps / (searches.max(1) as u64);
        Self {
            steps: even.max(LEAST).min(self.steps),
            ..self
        }
    }
}

/// What is left of a budget.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    steps: u64,
    configurations: usize,
}

impl Purse {
    pub(crate) fn new(budget: SearchBudget) -> Self {
        Self {
            steps: budget.steps,
            configurations: budget.configurations,
        }
    }

    /// A purse that may hold at most `steps` of what is left in this one.
    pub(crate) fn portion(&self, steps: u64) -> Self {
        Self {
            steps: self.steps.min(steps),
            configurations: self.configurations,
        }
    }

    /// Pays for one step; false if nothing is left.
    pub(crate) fn pay(&mut self) -> bool {
        let can = self.steps > 0;
        self.steps = self.steps.saturating_sub(1);
        can
    }

    /// Takes back what `spent` started with and has no more.
    pub(crate) fn settle(&mut self, portion: &Self, started_with: u64) {
        self.steps = self.steps.saturating_sub(started_with - portion.steps);
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn configurations(&self) -> usize {
        self.configurations
    }
}
