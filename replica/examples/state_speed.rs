//! What the service's state costs beside an ordered map: puts, gets, and digests after touching a part of it.
//!
//! `cargo run --release -p viewstorm-replica --example state_speed`

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use viewstorm_protocol::State;

fn main() {
    for entries in [1_000_u64, 10_000, 100_000, 1_000_000] {
        measure(entries);
    }
}

fn measure(entries: u64) {
    let key = |number: u64| Bytes::from(format!("key-{number:08}"));
    let value = |number: u64| Bytes::copy_from_slice(&[number as u8; 32]);
    // An order that no cache foresees.
    let shuffled = move |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries;
    let keys: Vec<Bytes> = (0..entries).map(shuffled).map(key).collect();
    let per_entry = |began: Instant| began.elapsed().as_nanos() as u64 / entries;

    let began = Instant::now();
    let mut map = BTreeMap::new();
    for (number, key) in (0..).zip(&keys) {
        map.insert(key.clone(), value(number));
    }
    let map_put = per_entry(began);
    let began = Instant::now();
    for key in &keys {
        black_box(map.get(key));
    }
    let map_get = per_entry(began);

    let began = Instant::now();
    let mut state = State::default();
    for (number, key) in (0..).zip(&keys) {
        state.put(key.clone(), value(number));
    }
    let state_put = per_entry(began);
    let began = Instant::now();
    for key in &keys {
        black_box(state.get(key));
    }
    let state_get = per_entry(began);
    println!("{entries} entries");
    println!("  put {map_put} ns in the map, {state_put} ns in the state");
    println!("  get {map_get} ns in the map, {state_get} ns in the state");
    let began = Instant::now();
    black_box(state.digest());
    println!("  digest of all: {:?}", began.elapsed());
    for touched in [16, 256, 4_096] {
        let snapshot = state.snapshot();
        let began = Instant::now();
        for (number, key) in keys.iter().take(touched).enumerate() {
            state.put(key.clone(), value(number as u64 + 1));
        }
        let puts = began.elapsed();
        let began = Instant::now();
        black_box(state.digest());
        let digest = began.elapsed();
        let began = Instant::now();
        let nodes: Vec<_> = state.nodes_since(&snapshot).collect();
        let bytes: usize = nodes.iter().map(|(_, node)| node.bytes()).sum();
        println!(
            "  {touched} puts after a snapshot: {puts:?}, digest {digest:?}, {} nodes of {bytes} bytes in {:?}",
            nodes.len(),
            began.elapsed(),
        );
    }
}
