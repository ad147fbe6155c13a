//! The crash seam: ends a driver between two effects of a core.
//!
//! The core does not know it. Both drivers, the replica process and the simulator, show the fuse every effect
//! before they carry it out; where it burns down, this effect and those after it never happen.

use serde::{Deserialize, Serialize};

use crate::Zone;

/// What a driver is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectLabel<'a> {
    /// Write a record.
    Persist(Zone),
    /// Give up records of a zone.
    Reclaim(Zone),
    /// Send a message of this kind.
    Send(&'a str),
    /// Tell the outside something.
    Note,
}

/// Which effects a fuse counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FuseStep {
    /// All.
    Any,
    /// Writes of records, wherever they go.
    Persist,
    /// Writes of the log.
    PersistLog,
    /// Writes of the superblock.
    PersistSuperblock,
    /// Sends of messages of this kind.
    Send(String),
}

impl FuseStep {
    /// Whether it counts such an effect.
    pub fn counts(&self, effect: EffectLabel<'_>) -> bool {
        match (self, effect) {
            (Self::Any, _)
            | (Self::Persist, EffectLabel::Persist(_))
            | (Self::PersistLog, EffectLabel::Persist(Zone::Log))
            | (Self::PersistSuperblock, EffectLabel::Persist(Zone::Superblock)) => true,
            (Self::Send(wanted), EffectLabel::Send(kind)) => wanted == kind,
            _ => false,
        }
    }
}

/// Ends a driver before the nth effect of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fuse {
    step: FuseStep,
    left: u64,
}

impl Fuse {
    /// It burns down before the `nth` effect that `step` counts, from 1.
    pub const fn new(nth: u64, step: FuseStep) -> Self {
        Self {
            step,
            left: nth.saturating_sub(1),
        }
    }

    /// Whether the driver ends before this effect.
    pub fn burns(&mut self, effect: EffectLabel<'_>) -> bool {
        if !self.step.counts(effect) {
            return false;
        }
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_burns_down_before_the_nth_effect_that_it_counts() {
        let effects = [
            EffectLabel::Note,
            EffectLabel::Persist(Zone::Superblock),
            EffectLabel::Send("Prepare"),
            EffectLabel::Persist(Zone::Log),
            EffectLabel::Send("Prepare"),
        ];
        let place = |nth, step| {
            let mut fuse = Fuse::new(nth, step);
            effects.iter().position(|effect| fuse.burns(*effect))
        };
        assert_eq!(place(1, FuseStep::Any), Some(0));
        assert_eq!(place(4, FuseStep::Any), Some(3));
        assert_eq!(place(2, FuseStep::Persist), Some(3));
        assert_eq!(place(1, FuseStep::PersistLog), Some(3));
        assert_eq!(place(1, FuseStep::PersistSuperblock), Some(1));
        assert_eq!(place(2, FuseStep::Send("Prepare".to_owned())), Some(4));
        assert_eq!(place(1, FuseStep::Send("Commit".to_owned())), None);
        assert_eq!(place(6, FuseStep::Any), None);
    }
}
