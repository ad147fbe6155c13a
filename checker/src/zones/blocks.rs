//! Blocks in order: block B must precede block A when B was certain before A was last needed. An order exists
//! exactly if no two blocks must each precede the other.

use super::clusters::Edge;
use crate::model::ValueId;
use crate::moment::Moment;

/// A maximal chain: values between which no other fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its first value.
    pub(super) head: ValueId,
    /// The earliest return of its operations.
    pub(super) first: Edge,
    /// The latest invoke of its operations.
    pub(super) last: Edge,
}

impl Block {
    /// Where it goes in the scan. Of equal times, a block that fits into a point goes first: the point may
    /// lie just before a block that begins there.
    fn rank(&self) -> (Moment, bool) {
        let (first, last) = (self.first.time, self.last.time);
        (first.min(last), first < last)
    }
}

/// Finds pairs of blocks that must each precede the other: for each block that reaches over others, the
/// first of those.
pub(super) fn conflicts(blocks: &[Block], limit: usize) -> Vec<(Block, Block)> {
    let mut ranks: Vec<((Moment, bool), u32)> = blocks
        .iter()
        .zip(0..)
        .map(|(block, place)| (block.rank(), place))
        .collect();
    ranks.sort_unstable();
    let mut found: Vec<(Block, Block)> = Vec::new();
    let mut reach: Option<Block> = None;
    for (_, place) in ranks {
        let block = blocks[place as usize];
        if let Some(over) = reach
            && block.first.time < over.last.time
            && found
                .last()
                .is_none_or(|(previous, _)| previous.head != over.head)
        {
            if found.len() == limit {
                break;
            }
            found.push((over, block));
        }
        if reach.is_none_or(|over| over.last.time < block.last.time) {
            reach = Some(block);
        }
    }
    found
}
