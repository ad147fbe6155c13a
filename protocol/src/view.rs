//! Views, which are numbered anew in every epoch.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Counts the groups that have had the service in turn: a reconfiguration begins the next epoch (VRR §7). A
/// protocol whose group never changes stays in epoch 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EpochNumber(pub u64);

impl EpochNumber {
    /// The one that follows.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for EpochNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A view. Every epoch begins again with view-number 0 (VRR §7.1.1), so one view is later than another by its
/// epoch first: a bare view-number says nothing.
///
/// It is written `3`, from epoch 1 on `1.3`: epoch, view-number. In JSON it is `3` and `[1,3]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewNumber {
    /// The epoch.
    pub epoch: EpochNumber,
    /// The papers' view-number in it.
    pub number: u64,
}

impl ViewNumber {
    /// The view `number` of the first epoch.
    pub const fn new(number: u64) -> Self {
        Self::in_epoch(EpochNumber(0), number)
    }

    /// The view `number` of an epoch.
    pub const fn in_epoch(epoch: EpochNumber, number: u64) -> Self {
        Self { epoch, number }
    }

    /// The view after this one, in the same epoch.
    pub const fn next(self) -> Self {
        Self::in_epoch(self.epoch, self.number.saturating_add(1))
    }
}

impl fmt::Display for ViewNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            EpochNumber(0) => self.number.fmt(f),
            epoch => write!(f, "{epoch}.{}", self.number),
        }
    }
}

/// What a view is in a text format: a bare number in the first epoch.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Readable {
    First(u64),
    Later(EpochNumber, u64),
}

impl Serialize for ViewNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (epoch, number) = (self.epoch, self.number);
        match epoch {
            _ if !serializer.is_human_readable() => (epoch, number).serialize(serializer),
            EpochNumber(0) => Readable::First(number).serialize(serializer),
            _ => Readable::Later(epoch, number).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ViewNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (epoch, number) = match deserializer.is_human_readable() {
            true => match Readable::deserialize(deserializer)? {
                Readable::First(number) => (EpochNumber(0), number),
                Readable::Later(epoch, number) => (epoch, number),
            },
            false => Deserialize::deserialize(deserializer)?,
        };
        Ok(Self { epoch, number })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_view_of_a_later_epoch_is_later_whatever_its_number() {
        let late = ViewNumber::new(u64::MAX);
        let begin = ViewNumber::in_epoch(EpochNumber(1), 0);
        assert!(late < begin && begin < begin.next());
        assert_eq!(
            (late.next(), late.to_string()),
            (late, u64::MAX.to_string())
        );
        assert_eq!(begin.next().to_string(), "1.1");
    }

    #[test]
    fn a_view_of_the_first_epoch_is_a_bare_number_in_json() {
        let json = |view| serde_json::to_string(&view).unwrap();
        assert_eq!(json(ViewNumber::new(3)), "3");
        assert_eq!(json(ViewNumber::in_epoch(EpochNumber(1), 3)), "[1,3]");
    }

    proptest! {
        #[test]
        fn a_view_reads_back_as_it_is_written(epoch in 0_u64..3, number: u64) {
            let view = ViewNumber::in_epoch(EpochNumber(epoch), number);
            let json = serde_json::to_string(&view).unwrap();
            prop_assert_eq!(serde_json::from_str::<ViewNumber>(&json).unwrap(), view);
        }

        #[test]
        fn any_text_is_a_view_or_refused(text in ".{0,20}") {
            let _ = serde_json::from_str::<ViewNumber>(&text);
        }
    }
}
