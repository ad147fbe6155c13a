//! All faults of a plan.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use viewstorm_nemesis::Declaration;

use super::open::OpenFault;
use super::write::Table;

/// All faults of a plan: those that are what they are, and those that each seed draws its own of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The same whatever the seed, but for their targets and times where those are drawn.
    pub settled: Vec<Declaration>,
    /// Each seed draws its own; a resolved plan has none.
    pub open: Vec<OpenFault>,
}

impl Faults {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.open.is_empty()
    }
}

/// Written as `[[nemesis]]`: what is read back is the same.
impl Serialize for Faults {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for fault in &self.settled {
            list.serialize_element(&Table(fault))?;
        }
        for fault in &self.open {
            list.serialize_element(fault)?;
        }
        list.end()
    }
}
