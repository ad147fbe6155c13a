//! The state against an ordered map, and transfers between any two states.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::path::KeyHash;
use super::*;

type Model = BTreeMap<Bytes, Bytes>;

/// A change: a key, and the length of its new value or its end.
type Change = (u16, Option<u16>);

/// Few keys, so that they come again; values from nothing to more than a page.
fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    let length = prop_oneof![4 => 0..200_u16, 1 => 0..3_000_u16];
    vec(
        (0..96_u16, proptest::option::weighted(0.7, length)),
        0..most,
    )
}

fn key(number: u16) -> Bytes {
    Bytes::from(format!("key-{number}"))
}

fn value(length: u16) -> Bytes {
    Bytes::from(vec![length as u8; usize::from(length)])
}

fn change(state: &mut State, model: &mut Model, changes: &[Change]) {
    for (number, length) in changes {
        match length {
            Some(length) => {
                state.put(key(*number), value(*length));
                model.insert(key(*number), value(*length));
            }
            None => assert_eq!(state.remove(&key(*number)), model.remove(&key(*number))),
        }
    }
}

fn made(changes: &[Change]) -> (State, Model) {
    let (mut state, mut model) = (State::default(), Model::default());
    change(&mut state, &mut model, changes);
    (state, model)
}

/// All nodes of a state.
fn nodes(state: &State) -> Vec<(NodePath, StateNode)> {
    state.nodes_since(&State::default()).collect()
}

/// Brings everything that is wanted from `donor`. Returns how many nodes that took.
fn fetch(assembly: &mut Assembly, donor: &State) -> u64 {
    let before = assembly.fetched();
    loop {
        let wanted = assembly.wanted(3);
        if wanted.is_empty() {
            return assembly.fetched() - before;
        }
        for path in wanted {
            let node = donor.node(&path).expect("the donor has it");
            assembly.take(&path, node).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn it_is_the_map_that_a_sequence_of_changes_makes(changes in changes(200)) {
        let (state, model) = made(&changes);
        prop_assert_eq!((state.len(), state.is_empty()), (model.len(), model.is_empty()));
        for number in 0..96 {
            prop_assert_eq!(state.get(&key(number)), model.get(&key(number)));
        }
        let all: Model = state.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        prop_assert_eq!(state.iter().count(), model.len());
        prop_assert_eq!(all, model);
    }

    #[test]
    fn equal_content_is_equal_in_nodes_and_digest_whatever_the_history(
        one in changes(100), detour in changes(100), order in any::<u64>(),
    ) {
        let (straight, model) = made(&one);
        let mut entries: Vec<_> = model.into_iter().collect();
        let rotation = order as usize % entries.len().max(1);
        entries.rotate_left(rotation);
        let (mut other, _) = made(&detour);
        let _ = other.digest();
        for number in 0..96 {
            other.remove(&key(number));
        }
        prop_assert_eq!(&other, &State::default());
        for (key, value) in entries {
            other.put(key, value);
        }
        prop_assert_eq!(nodes(&straight), nodes(&other));
        prop_assert!(straight.iter().eq(other.iter()));
        prop_assert_eq!(straight.digest(), other.digest());
    }

    #[test]
    fn a_snapshot_stays_as_it_was(before in changes(100), after in changes(50)) {
        let (mut state, mut model) = made(&before);
        let snapshot = state.snapshot();
        let digest = snapshot.digest();
        let then = model.clone();
        change(&mut state, &mut model, &after);
        let kept: Model = snapshot.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        prop_assert_eq!(state == snapshot, model == then);
        prop_assert_eq!(kept, then);
        prop_assert_eq!(snapshot.digest(), digest);
    }

    #[test]
    fn a_transfer_fetches_what_differs_and_nothing_else(
        common in changes(120), own in changes(20), donors in changes(20),
    ) {
        let (state, model) = made(&common);
        let (mut receiver, mut donor) = (state.snapshot(), state);
        change(&mut receiver, &mut model.clone(), &own);
        change(&mut donor, &mut model.clone(), &donors);
        let mut assembly = Assembly::new(receiver.snapshot(), donor.digest());
        let fetched = fetch(&mut assembly, &donor);
        let state = assembly.state().expect("nothing is missing");
        prop_assert_eq!(nodes(&state), nodes(&donor));
        prop_assert!(state.iter().eq(donor.iter()));
        let differing = donor.nodes_since(&receiver).count() as u64;
        prop_assert!(fetched <= differing, "{fetched} of {differing}");
        prop_assert_eq!(fetched == 0, receiver == donor);
    }

    #[test]
    fn a_transfer_turns_to_a_later_state_and_keeps_what_fits(
        common in changes(120), meanwhile in changes(6), fetched_before in 0..12_usize,
    ) {
        let (mut donor, mut model) = made(&common);
        let first = donor.snapshot();
        let mut assembly = Assembly::new(State::default(), first.digest());
        let mut kept = BTreeMap::new();
        for _ in 0..fetched_before {
            let Some(path) = assembly.wanted(1).pop() else { break };
            let node = first.node(&path).unwrap();
            kept.insert(path.clone(), node.digest());
            assembly.take(&path, node).unwrap();
        }
        change(&mut donor, &mut model, &meanwhile);
        assembly.aim(donor.digest());
        let more = fetch(&mut assembly, &donor);
        prop_assert_eq!(assembly.state(), Some(donor.snapshot()));
        let all = nodes(&donor);
        let reused = all.iter().filter(|(path, node)| kept.get(path) == Some(&node.digest()));
        prop_assert!(more as usize + reused.count() <= all.len().max(1));
    }

    #[test]
    fn a_node_that_is_not_the_donors_is_refused(
        content in changes(100), which in any::<prop::sample::Index>(), how in 0..4_u8,
    ) {
        let (donor, _) = made(&content);
        let all = nodes(&donor);
        prop_assume!(!all.is_empty());
        let (place, honest) = which.get(&all);
        let mut wrong = honest.clone();
        match (&mut wrong, how) {
            (StateNode::Page(entries), 0) => entries.push((Bytes::from_static(b"~"), value(1))),
            (StateNode::Page(entries), 1) => drop(entries.pop()),
            (StateNode::Page(entries), 2) => entries[0].0 = Bytes::from_static(b"other"),
            (StateNode::Page(entries), _) => entries[0].1 = value(4_000),
            (StateNode::Branch(subtrees), 0) => subtrees.rotate_left(1),
            (StateNode::Branch(subtrees), _) => **subtrees = Default::default(),
        }
        prop_assume!(wrong != *honest);
        let mut assembly = Assembly::new(State::default(), donor.digest());
        loop {
            let path = assembly.wanted(1).pop().expect("it comes to the place");
            if path == *place {
                break;
            }
            assembly.take(&path, donor.node(&path).unwrap()).unwrap();
        }
        prop_assert_eq!(assembly.take(place, wrong), Err(WrongNode::Digest));
        prop_assert_eq!(assembly.state(), None);
        // The next donor is honest.
        fetch(&mut assembly, &donor);
        prop_assert_eq!(assembly.state(), Some(donor));
    }

    #[test]
    fn a_node_reads_back_as_it_is_written_within_its_bound(content in changes(100)) {
        for (path, node) in nodes(&made(&content).0) {
            let bytes = postcard::to_stdvec(&(&path, &node)).unwrap();
            prop_assert!(bytes.len() <= NODE_BYTES_MAX + DEPTH_MAX);
            prop_assert_eq!(postcard::from_bytes(&bytes), Ok((path, node)));
        }
    }

    #[test]
    fn any_bytes_may_arrive_as_a_node(bytes in vec(any::<u8>(), 0..300)) {
        let mut assembly = Assembly::new(State::default(), Digest::of(b"some state"));
        if let Ok((path, node)) = postcard::from_bytes::<(NodePath, StateNode)>(&bytes) {
            prop_assert!(assembly.take(&path, node).is_err());
        }
        let _ = postcard::from_bytes::<NodePath>(&bytes);
    }
}

#[test]
fn pages_split_when_they_are_full_and_merge_when_they_are_not() {
    let mut state = State::default();
    let depth = |state: &State| nodes(state).iter().map(|(path, _)| path.depth()).max();
    for number in 0..1_000 {
        state.put(key(number), value(100));
    }
    assert_eq!(depth(&state), Some(2));
    for number in 0..990 {
        state.remove(&key(number));
    }
    assert_eq!(depth(&state), Some(0), "ten short entries are a page");
}

#[test]
fn an_entry_that_is_longer_than_a_page_has_a_node_of_its_own() {
    let mut state = State::default();
    state.put(key(1), Bytes::from(vec![1; ENTRY_BYTES_MAX - 8]));
    state.put(key(2), value(1));
    let bytes = nodes(&state)
        .iter()
        .map(|(_, node)| postcard::to_stdvec(node).unwrap().len())
        .max();
    assert!((ENTRY_BYTES_MAX..=NODE_BYTES_MAX).contains(&bytes.unwrap()));
    assert_eq!(
        state
            .node(&NodePath::ROOT.below(KeyHash::of(&key(1)).step(0)))
            .unwrap()
            .bytes(),
        { ENTRY_BYTES_MAX - 8 + key(1).len() + 8 }
    );
}

#[test]
fn a_target_that_is_no_states_digest_is_found_out() {
    let mut small = State::default();
    small.put(key(1), value(1));
    let StateNode::Page(entries) = small.node(&NodePath::ROOT).unwrap() else {
        panic!("one entry is a page");
    };
    // A branch where a page is due: its digest is right, and no state has it.
    let step = KeyHash::of(&key(1)).step(0);
    let page = StateNode::Page(entries);
    let mut subtrees = Box::new([None; FAN_OUT]);
    subtrees[step] = Some(page.digest());
    let branch = StateNode::Branch(subtrees);
    let mut assembly = Assembly::new(State::default(), branch.digest());
    assembly.take(&NodePath::ROOT, branch).unwrap();
    assembly.take(&NodePath::ROOT.below(step), page).unwrap();
    assert_eq!((assembly.wanted(1), assembly.state()), (Vec::new(), None));
    // A page whose keys belong elsewhere.
    let stray = StateNode::Page(vec![(key(2), value(2)), (key(1), value(1))]);
    let mut assembly = Assembly::new(State::default(), stray.digest());
    assert_eq!(
        assembly.take(&NodePath::ROOT, stray),
        Err(WrongNode::Unsound)
    );
}

#[test]
fn a_digest_is_hexadecimal_where_people_read_it() {
    let digest = State::default().digest();
    let text = serde_json::to_string(&digest).unwrap();
    assert_eq!(text, format!("\"{digest}\""));
    assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
    assert!(serde_json::from_str::<Digest>("\"00\"").is_err());
}
