//! The places of the log between the water marks, and what a replica has of each.

use std::collections::BTreeMap;

use super::message::{Batch, Commit, NULL_DIGEST, PrePrepare, Prepare, SequenceNumber, ViewEntry};
use super::signed::{Authentication, Content, Signed, Verified};
use crate::{Digest, ViewNumber};

/// A vote of another replica. It is checked when it could matter: together with others, or never.
#[derive(Clone, Debug)]
pub(super) struct Vote<M> {
    pub(super) signed: Signed<M>,
    pub(super) verified: bool,
}

/// What the primary of the current view has put in a place.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub(super) view: ViewNumber,
    pub(super) digest: Digest,
    /// None if it is part of a new view.
    pub(super) pre_prepare: Option<Signed<PrePrepare>>,
    /// Whether this replica has spoken for it: a backup by its prepare, the primary by proposing it.
    pub(super) accepted: bool,
}

/// One place.
#[derive(Debug)]
pub(super) struct Place {
    /// In the current view alone.
    pub(super) assigned: Option<Assigned>,
    /// The backups' prepares of the current view, one slot each.
    pub(super) prepares: Vec<Option<Vote<Prepare>>>,
    /// The replicas' commits, one slot each: of the latest view in which it sent one.
    pub(super) commits: Vec<Option<Vote<Commit>>>,
    pub(super) own_prepare: Option<Verified<Prepare>>,
    pub(super) own_commit: Option<Verified<Commit>>,
    /// prepared(m, v, n, i) in the current view.
    pub(super) prepared: bool,
    /// What is known to be committed here.
    pub(super) committed: Option<Digest>,
    /// The member of P (TOCS §4.5).
    pub(super) p: Option<ViewEntry>,
    /// The members of Q: the latest f+2 of them (TOCS §4.5, bounded space).
    pub(super) q: Vec<ViewEntry>,
}

impl Place {
    fn new(members: usize) -> Self {
        Self {
            assigned: None,
            prepares: vec![None; members],
            commits: vec![None; members],
            own_prepare: None,
            own_commit: None,
            prepared: false,
            committed: None,
            p: None,
            q: Vec::new(),
        }
    }

    /// The digest that stands here as far as this replica knows: committed, or pre-prepared last.
    pub(super) fn digest(&self) -> Option<Digest> {
        let last = self.q.iter().max_by_key(|entry| entry.view);
        self.committed.or(last.map(|entry| entry.digest))
    }

    /// Takes a member into Q: the latest view for each digest, of the `most` latest digests.
    pub(super) fn add_q(&mut self, entry: ViewEntry, most: usize) {
        self.q.retain(|old| old.digest != entry.digest);
        self.q.push(entry);
        self.q.sort_by_key(|entry| (entry.view, entry.digest));
        if self.q.len() > most {
            self.q.remove(0);
        }
    }

    /// Forgets what belongs to a view that is over.
    pub(super) fn leave_view(&mut self) {
        self.assigned = None;
        self.prepares.fill_with(|| None);
        self.own_prepare = None;
        self.prepared = false;
    }

    fn digests(&self) -> impl Iterator<Item = Digest> + '_ {
        let assigned = self.assigned.iter().map(|assigned| assigned.digest);
        let held = self.p.iter().chain(&self.q).map(|entry| entry.digest);
        assigned.chain(held).chain(self.committed)
    }
}

/// The places after the latest stable checkpoint, and the batches that they name.
#[derive(Debug)]
pub(super) struct Log {
    members: usize,
    window: u64,
    /// h: the latest stable checkpoint.
    low_water_mark: SequenceNumber,
    places: BTreeMap<SequenceNumber, Place>,
    batches: BTreeMap<Digest, Batch>,
}

impl Log {
    pub(super) fn new(members: usize, window: u64) -> Self {
        Self {
            members,
            window,
            low_water_mark: SequenceNumber::ZERO,
            places: BTreeMap::new(),
            batches: BTreeMap::new(),
        }
    }

    pub(super) fn low_water_mark(&self) -> SequenceNumber {
        self.low_water_mark
    }

    /// H.
    pub(super) fn high_water_mark(&self) -> SequenceNumber {
        SequenceNumber(self.low_water_mark.0.saturating_add(self.window))
    }

    /// h < n <= H (PBFT §4.2).
    pub(super) fn in_window(&self, number: SequenceNumber) -> bool {
        self.low_water_mark < number && number <= self.high_water_mark()
    }

    pub(super) fn get(&self, number: SequenceNumber) -> Option<&Place> {
        self.places.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: SequenceNumber) -> Option<&mut Place> {
        self.places.get_mut(&number)
    }

    /// The place `number`, which is between the water marks.
    pub(super) fn place(&mut self, number: SequenceNumber) -> &mut Place {
        assert!(
            self.in_window(number),
            "{number} is between the water marks"
        );
        let members = self.members;
        self.places
            .entry(number)
            .or_insert_with(|| Place::new(members))
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (SequenceNumber, &Place)> {
        self.places.iter().map(|(number, place)| (*number, place))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (SequenceNumber, &mut Place)> {
        self.places
            .iter_mut()
            .map(|(number, place)| (*number, place))
    }

    /// The last place of which something is known.
    pub(super) fn last(&self) -> Option<SequenceNumber> {
        self.places.keys().next_back().copied()
    }

    /// The batch with this digest, if it is here.
    pub(super) fn batch(&self, digest: &Digest) -> Option<Batch> {
        match *digest == NULL_DIGEST {
            true => Some(Batch::null()),
            false => self.batches.get(digest).cloned(),
        }
    }

    pub(super) fn has_batch(&self, digest: &Digest) -> bool {
        *digest == NULL_DIGEST || self.batches.contains_key(digest)
    }

    pub(super) fn add_batch(&mut self, digest: Digest, batch: Batch) {
        self.batches.insert(digest, batch);
    }

    /// Batches that places name and that are not here.
    pub(super) fn missing(&self) -> impl Iterator<Item = Digest> + '_ {
        let named = self.places.values().flat_map(|place| {
            let assigned = place.assigned.as_ref().map(|assigned| assigned.digest);
            assigned.into_iter().chain(place.committed)
        });
        named.filter(|digest| !self.has_batch(digest))
    }

    /// The checkpoint at `number` is stable: no place up to it is needed any more (PBFT §4.3).
    pub(super) fn advance_low_water_mark(&mut self, number: SequenceNumber) {
        assert!(number >= self.low_water_mark, "water marks only grow");
        self.low_water_mark = number;
        self.places = self.places.split_off(&number.next());
    }

    /// Forgets the batches that no place names.
    pub(super) fn forget_batches(&mut self) {
        let named: std::collections::BTreeSet<Digest> =
            self.places.values().flat_map(Place::digests).collect();
        self.batches.retain(|digest, _| named.contains(digest));
    }
}

/// Checks those of the votes that `matches` and are not checked yet, all in one go; drops the forged ones. Returns
/// whose votes match, by number.
pub(super) fn check_votes<M: Content>(
    votes: &mut [Option<Vote<M>>],
    keys: &Authentication,
    matches: impl Fn(&M) -> bool,
) -> Vec<usize> {
    let matching = |vote: &Option<Vote<M>>| {
        let vote = vote.as_ref();
        vote.is_some_and(|vote| matches(vote.signed.content()))
    };
    let unchecked: Vec<usize> = (0..votes.len())
        .filter(|index| matching(&votes[*index]))
        .filter(|index| votes[*index].as_ref().is_some_and(|vote| !vote.verified))
        .collect();
    let claims: Vec<_> = unchecked
        .iter()
        .filter_map(|index| votes[*index].as_ref())
        .map(|vote| keys.claim(&vote.signed))
        .collect();
    let holds = keys.sift(&claims);
    for (index, holds) in unchecked.into_iter().zip(holds) {
        match &mut votes[index] {
            Some(vote) if holds => vote.verified = true,
            vote => *vote = None,
        }
    }
    (0..votes.len())
        .filter(|index| matching(&votes[*index]))
        .collect()
}

/// How many votes match, checked or not.
pub(super) fn count_votes<M: Content>(
    votes: &[Option<Vote<M>>],
    matches: impl Fn(&M) -> bool,
) -> usize {
    let matching = |vote: &&Vote<M>| matches(vote.signed.content());
    votes.iter().flatten().filter(matching).count()
}
