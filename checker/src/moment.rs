//! Times with two ends: before everything and never.

use std::fmt;

use viewstorm_history::Timestamp;

/// A time at which an operation began or ended, or one of the two ends of time. Equal times order nothing:
/// two events of one nanosecond may have happened either way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// When the initial value was written.
    pub(crate) const BEFORE_ALL: Self = Self(0);
    /// When an indeterminate operation returns.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Nanoseconds from this moment to `later`.
    pub(crate) fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }

    /// As the history counts.
    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(1))
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(time.0.min(u64::MAX - 2) + 1)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BEFORE_ALL => f.write_str("before all"),
            Self::NEVER => f.write_str("never"),
            Self(_) => Milliseconds(self.timestamp().0).fmt(f),
        }
    }
}

/// Nanoseconds, written as exact milliseconds: `3.25 ms`.
pub(crate) struct Milliseconds(pub(crate) u64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NANOS: u64 = 1_000_000;
        let fraction = format!("{:06}", self.0 % NANOS);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{}{point}{fraction} ms", self.0 / NANOS)
    }
}
