//! The live blocks of one register.

use std::collections::VecDeque;

use viewstorm_history::Datum;

use crate::hash::Table;
use crate::moment::Moment;

/// Why a register's operations contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contradiction {
    /// A value that nobody wrote, that had not been written yet, or that had certainly been overwritten.
    NotThere,
    /// Two compare-and-sets replaced one value.
    LostUpdate,
    /// Two values of which each came before the other.
    Order,
    /// A compare-and-set that was refused although it saw what it expected.
    Refused,
}

/// A value that somebody has begun to write.
#[derive(Clone, Copy, Debug)]
enum Writer {
    /// Nobody has shown yet that it was there.
    Open {
        begun: Moment,
        expected: Option<Datum>,
    },
    /// It was there; the block that it is in.
    Shown(u32),
}

/// One value of a block: when it was first certain, when it was last needed.
#[derive(Clone, Copy, Debug)]
struct Member {
    value: Datum,
    first: Moment,
    last: Moment,
    is_replaced: bool,
}

/// A chain of values, between which no other was.
#[derive(Clone, Debug)]
struct Block {
    first: Moment,
    last: Moment,
    members: VecDeque<Member>,
}

/// One register.
#[derive(Debug)]
pub(super) struct Live {
    writers: Table<u64, Writer>,
    blocks: Vec<Option<Block>>,
    free: Vec<u32>,
    live: usize,
    collect_at: usize,
}

/// Below so many live blocks nothing is looked through for dead ones.
const COLLECT_FROM: usize = 64;

impl Live {
    pub(super) fn new(initial: Datum) -> Self {
        let first = Member {
            value: initial,
            first: Moment::BEFORE_ALL,
            last: Moment::BEFORE_ALL,
            is_replaced: false,
        };
        let block = Block {
            first: Moment::BEFORE_ALL,
            last: Moment::BEFORE_ALL,
            members: VecDeque::from([first]),
        };
        let mut writers = Table::default();
        writers.insert(initial.bits(), Writer::Shown(0));
        Self {
            writers,
            blocks: vec![Some(block)],
            free: Vec::new(),
            live: 1,
            collect_at: COLLECT_FROM,
        }
    }

    /// Values that are kept.
    pub(super) fn len(&self) -> usize {
        self.writers.len()
    }

    /// Somebody begins to write; false if the value was written before.
    pub(super) fn begin(&mut self, value: Datum, expected: Option<Datum>, begun: Moment) -> bool {
        let open = Writer::Open { begun, expected };
        self.writers.insert(value.bits(), open).is_none()
    }

    /// What somebody began to write had no effect: nobody can have seen it.
    pub(super) fn forget(&mut self, value: Datum) -> Result<(), Contradiction> {
        match self.writers.remove(&value.bits()) {
            Some(Writer::Shown(_)) => Err(Contradiction::NotThere),
            _ => Ok(()),
        }
    }

    /// A write of `value` ended.
    pub(super) fn wrote(
        &mut self,
        value: Datum,
        expected: Option<Datum>,
        (begun, ended): (Moment, Moment),
    ) -> Result<(), Contradiction> {
        self.touch(value, begun, ended)?;
        match expected {
            Some(expected) => self.touch(expected, begun, ended),
            None => Ok(()),
        }
    }

    /// An operation that needs `value` in place went from `begun` to `ended`.
    pub(super) fn touch(
        &mut self,
        value: Datum,
        begun: Moment,
        ended: Moment,
    ) -> Result<(), Contradiction> {
        let place = self.show(value)?;
        let block = self.block(place);
        block.first = block.first.min(ended);
        block.last = block.last.max(begun);
        let at = block
            .members
            .iter()
            .position(|member| member.value == value);
        let at = at.ok_or(Contradiction::NotThere)?;
        let member = &mut block.members[at];
        member.first = member.first.min(ended);
        member.last = member.last.max(begun);
        let member = *member;
        let in_order =
            block
                .members
                .iter()
                .enumerate()
                .all(|(place, other)| match place.cmp(&at) {
                    std::cmp::Ordering::Less => other.last <= member.first,
                    std::cmp::Ordering::Equal => true,
                    std::cmp::Ordering::Greater => member.last <= other.first,
                });
        if in_order {
            self.compare(place)
        } else {
            Err(Contradiction::Order)
        }
    }

    fn block(&mut self, place: u32) -> &mut Block {
        self.blocks[place as usize]
            .as_mut()
            .expect("a shown value is in a block that is kept")
    }

    /// The block of a value, which was there; what it was made from was there then too.
    fn show(&mut self, value: Datum) -> Result<u32, Contradiction> {
        let mut due = vec![value];
        loop {
            let value = due.last().copied().unwrap_or(value);
            let writer = self.writers.get(&value.bits()).copied();
            let place = match writer.ok_or(Contradiction::NotThere)? {
                Writer::Shown(place) => place,
                Writer::Open { begun, expected } => {
                    let member = Member {
                        value,
                        first: Moment::NEVER,
                        last: begun,
                        is_replaced: false,
                    };
                    match expected.map(|it| (it, self.writers.get(&it.bits()).copied())) {
                        None => self.add(member),
                        Some((_, None)) => return Err(Contradiction::NotThere),
                        Some((expected, Some(Writer::Open { .. }))) => {
                            if due.contains(&expected) {
                                return Err(Contradiction::Order);
                            }
                            due.push(expected);
                            continue;
                        }
                        Some((expected, Some(Writer::Shown(place)))) => {
                            self.append(place, expected, member)?;
                            place
                        }
                    }
                }
            };
            self.writers.insert(value.bits(), Writer::Shown(place));
            due.pop();
            if due.is_empty() {
                return Ok(place);
            }
        }
    }

    fn add(&mut self, member: Member) -> u32 {
        let (first, last) = (member.first, member.last);
        let block = Some(Block {
            first,
            last,
            members: VecDeque::from([member]),
        });
        self.live += 1;
        match self.free.pop() {
            Some(place) => {
                self.blocks[place as usize] = block;
                place
            }
            None => {
                self.blocks.push(block);
                self.blocks.len() as u32 - 1
            }
        }
    }

    /// Puts a value in the place of one that is the last of its chain.
    fn append(&mut self, place: u32, expected: Datum, member: Member) -> Result<(), Contradiction> {
        let block = self.block(place);
        let old = block.members.back_mut().ok_or(Contradiction::NotThere)?;
        if old.value != expected || old.is_replaced {
            return Err(Contradiction::LostUpdate);
        }
        old.is_replaced = true;
        old.last = old.last.max(member.last);
        block.last = block.last.max(member.last);
        block.members.push_back(member);
        Ok(())
    }

    /// Whether a block and some other must each come first.
    fn compare(&self, place: u32) -> Result<(), Contradiction> {
        let Some(one) = &self.blocks[place as usize] else {
            return Ok(());
        };
        let conflicts = |other: &Block| one.first < other.last && other.first < one.last;
        let mut others = (0..).zip(&self.blocks).filter(|(other, _)| *other != place);
        match others.any(|(_, other)| other.as_ref().is_some_and(conflicts)) {
            true => Err(Contradiction::Order),
            false => Ok(()),
        }
    }

    /// Whether it is time to look for what is dead.
    pub(super) fn is_full(&self) -> bool {
        self.live >= self.collect_at || self.writers.len() >= 8 * self.collect_at
    }

    /// Drops what nothing under way can touch without a contradiction. `earliest` is when the first operation that
    /// is under way began.
    pub(super) fn collect(&mut self, earliest: Moment) {
        // Of the blocks that were certain by then, the two that were needed last.
        let mut latest: [(Moment, u32); 2] = [(Moment::BEFORE_ALL, u32::MAX); 2];
        for (place, block) in (0..).zip(&self.blocks) {
            if let Some(block) = block.as_ref().filter(|block| block.first < earliest) {
                if block.last > latest[0].0 {
                    latest = [(block.last, place), latest[0]];
                } else if block.last > latest[1].0 {
                    latest[1] = (block.last, place);
                }
            }
        }
        for place in 0..self.blocks.len() {
            let Some(block) = &mut self.blocks[place] else {
                continue;
            };
            let other = if latest[0].1 == place as u32 {
                latest[1]
            } else {
                latest[0]
            };
            let is_dead = block.first < earliest && block.first < other.0;
            let kept = if is_dead {
                block.members.len()
            } else {
                // Within a chain, what comes before a value that was certain by then.
                block
                    .members
                    .iter()
                    .rposition(|member| member.first < earliest)
                    .unwrap_or(0)
            };
            for member in block.members.drain(..kept) {
                self.writers.remove(&member.value.bits());
            }
            if is_dead {
                self.blocks[place] = None;
                self.free.push(place as u32);
                self.live -= 1;
            }
        }
        let size = self.live.max(self.writers.len() / 8);
        self.collect_at = (2 * size).max(COLLECT_FROM);
    }
}
