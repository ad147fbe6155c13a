//! Cycles of dependencies, the worst kind first, the shortest of each.

use std::collections::VecDeque;

use super::graph::{Dependency, Graph, PROCESS, REAL_TIME, RW, WR, WW};

/// A cycle: each transaction with why it comes before the next, the last before the first.
pub(super) type Cycle = Vec<(u32, Dependency)>;

/// What a cycle may be made of: dependencies in any number, and whether one more that is an anti-dependency.
const KINDS: &[(u8, bool)] = &[
    (WW, false),
    (WW | WR, false),
    (WW | WR, true),
    (WW | WR | RW, false),
    (WW | WR | PROCESS, false),
    (WW | WR | PROCESS, true),
    (WW | WR | RW | PROCESS, false),
    (WW | WR | PROCESS | REAL_TIME, false),
    (WW | WR | PROCESS | REAL_TIME, true),
    (WW | WR | RW | PROCESS | REAL_TIME, false),
];

/// Finds at most `limit` cycles, no two of them in one knot of transactions.
pub(super) fn find(graph: &Graph, limit: usize) -> Vec<Cycle> {
    let mut found: Vec<Cycle> = Vec::new();
    let everything = WW | WR | RW | PROCESS | REAL_TIME;
    for knot in knots(graph, everything) {
        if found.len() == limit {
            break;
        }
        let mut is_in = vec![false; graph.after.len()];
        for place in &knot {
            is_in[*place as usize] = true;
        }
        let first = KINDS.iter().find_map(|(bits, with_one)| match with_one {
            true => through_one(graph, &knot, &is_in, *bits),
            false => shortest(graph, &knot, &is_in, *bits),
        });
        found.extend(first);
    }
    found
}

/// What a cycle is called.
pub(super) fn class(cycle: &Cycle) -> String {
    let has = |bit: u8| cycle.iter().any(|(_, why)| why.bit() == bit);
    let anti = cycle.iter().filter(|(_, why)| why.bit() == RW).count();
    let name = match anti {
        0 if has(WR) => "G1c",
        0 => "G0",
        1 => "G-single",
        _ => "G2",
    };
    let suffix = match (has(REAL_TIME), has(PROCESS)) {
        (true, _) => "-realtime",
        (false, true) => "-process",
        (false, false) => "",
    };
    format!("{name}{suffix}")
}

/// The strongly connected components of more than one transaction (Tarjan 1972), with a stack of its own.
fn knots(graph: &Graph, bits: u8) -> Vec<Vec<u32>> {
    const NEW: u32 = u32::MAX;
    let count = graph.after.len();
    let (mut index, mut low) = (vec![NEW; count], vec![0_u32; count]);
    let mut on_stack = vec![false; count];
    let (mut stack, mut path): (Vec<u32>, Vec<(u32, usize)>) = (Vec::new(), Vec::new());
    let (mut next, mut knots) = (0, Vec::new());
    for root in 0..count as u32 {
        if index[root as usize] == NEW {
            path.push((root, 0));
        }
        while let Some((at, edge)) = path.pop() {
            let place = at as usize;
            if edge == 0 {
                (index[place], low[place]) = (next, next);
                next += 1;
                stack.push(at);
                on_stack[place] = true;
            } else {
                // Back from a child.
                let (child, _) = graph.after[place][edge - 1];
                low[place] = low[place].min(low[child as usize]);
            }
            let mut down = None;
            for (number, (to, why)) in graph.after[place].iter().enumerate().skip(edge) {
                if why.bit() & bits == 0 {
                    continue;
                }
                if index[*to as usize] == NEW {
                    down = Some((number + 1, *to));
                    break;
                }
                if on_stack[*to as usize] {
                    low[place] = low[place].min(index[*to as usize]);
                }
            }
            if let Some((edge, to)) = down {
                path.push((at, edge));
                path.push((to, 0));
                continue;
            }
            if low[place] == index[place] {
                let mut knot = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member as usize] = false;
                    knot.push(member);
                    if member == at {
                        break;
                    }
                }
                if knot.len() > 1 {
                    knots.push(knot);
                }
            }
        }
    }
    knots
}

/// How many transactions of a knot a cycle is looked for from.
const STARTS: usize = 200;

/// The shortest cycle of these kinds through one of the first transactions of a knot; that there is any is found
/// from wherever it goes.
fn shortest(graph: &Graph, knot: &[u32], is_in: &[bool], bits: u8) -> Option<Cycle> {
    let of_kind = Graph {
        after: restricted(graph, is_in, bits),
    };
    let inner = knots(&of_kind, bits);
    let start = inner.iter().min_by_key(|knot| knot.len())?;
    debug_assert!(start.iter().all(|place| knot.contains(place)));
    let cycles = start.iter().take(STARTS);
    cycles
        .filter_map(|place| path(&of_kind, *place, *place, bits))
        .min_by_key(Vec::len)
}

/// The shortest cycle of these kinds and one anti-dependency.
fn through_one(graph: &Graph, knot: &[u32], is_in: &[bool], bits: u8) -> Option<Cycle> {
    let of_kind = Graph {
        after: restricted(graph, is_in, bits),
    };
    let mut best: Option<Cycle> = None;
    let mut tried = 0;
    for from in knot {
        for (to, why) in &graph.after[*from as usize] {
            if why.bit() != RW || !is_in[*to as usize] {
                continue;
            }
            tried += 1;
            if best.is_some() && tried > STARTS {
                return best;
            }
            if let Some(back) = path(&of_kind, *to, *from, bits)
                && best.as_ref().is_none_or(|best| back.len() + 1 < best.len())
            {
                let mut cycle = vec![(*from, *why)];
                cycle.extend(back);
                best = Some(cycle);
            }
        }
    }
    best
}

fn restricted(graph: &Graph, is_in: &[bool], bits: u8) -> Vec<Vec<(u32, Dependency)>> {
    let keep = |(to, why): &&(u32, Dependency)| why.bit() & bits != 0 && is_in[*to as usize];
    let of = |(place, edges): (usize, &Vec<(u32, Dependency)>)| match is_in[place] {
        true => edges.iter().filter(keep).copied().collect(),
        false => Vec::new(),
    };
    graph.after.iter().enumerate().map(of).collect()
}

/// The shortest way from one to another, by at least one step.
fn path(graph: &Graph, from: u32, to: u32, bits: u8) -> Option<Cycle> {
    let mut came: Vec<Option<(u32, Dependency)>> = vec![None; graph.after.len()];
    let mut due = VecDeque::from([from]);
    while let Some(at) = due.pop_front() {
        for (next, why) in &graph.after[at as usize] {
            if why.bit() & bits == 0 || came[*next as usize].is_some() {
                continue;
            }
            came[*next as usize] = Some((at, *why));
            if *next == to {
                let mut way = Vec::new();
                let mut at = to;
                loop {
                    let (before, why) = came[at as usize]?;
                    way.push((before, why));
                    at = before;
                    if at == from {
                        way.reverse();
                        return Some(way);
                    }
                }
            }
            due.push_back(*next);
        }
    }
    None
}
