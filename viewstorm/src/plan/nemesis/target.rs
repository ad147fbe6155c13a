//! Whom a fault hits, as a plan writes it: a name such as `"primary"`, a node, or a list of nodes.

use toml::de::DeValue;
use viewstorm_nemesis::{Link, Target};
use viewstorm_protocol::NodeId;

use super::Around;
use crate::plan::read::unknown_name;
use crate::plan::section::{Field, Refusal, Section};

/// The targets that have a name.
const NAMED: &[(&str, Target)] = &[
    ("one", Target::One),
    ("minority", Target::Minority),
    ("majority", Target::Majority),
    ("all", Target::All),
    ("primary", Target::Primary),
    ("next-primary", Target::NextPrimary),
    ("backups", Target::Backups),
];
/// How a number of replicas is written, for readers.
const RANDOM: &str = "random(2)";
const EXPECTED_NODES: &str = "expected a list of nodes: [\"r0\", \"c1\"]";
const EXPECTED_LINKS: &str = "expected a list of links, sender first: [[\"r0\", \"r1\"]]";

/// What a target may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Only replicas: clients have no process of their own.
    Replicas,
    /// Any node.
    Nodes,
}

/// The names of targets.
pub(super) fn names_of_targets() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(name, _)| *name)
}

/// The name of a target, if it has one.
pub(super) fn write(target: &Target) -> Result<String, &[NodeId]> {
    match target {
        Target::Random(count) => Ok(format!("random({count})")),
        Target::Named(nodes) => Err(nodes),
        target => {
            let named = NAMED.iter().find(|(_, named)| named == target);
            Ok(named.map_or("", |(name, _)| *name).to_owned())
        }
    }
}

impl Section<'_, '_> {
    /// Whom a fault hits.
    pub(super) fn target(
        &mut self,
        key: &'static str,
        whom: Whom,
        around: &Around<'_>,
    ) -> Field<Target> {
        self.read(key, |value| {
            let target = match value {
                DeValue::String(text) => parse(&text)?,
                DeValue::Array(_) => Target::Named(nodes(value)?),
                other => return Err(Refusal::wrong_type(&other, "a target", &names())),
            };
            check(&target, whom, around)?;
            Ok(target)
        })
    }

    /// Groups of nodes.
    pub(super) fn groups(
        &mut self,
        key: &'static str,
        around: &Around<'_>,
    ) -> Field<Vec<Vec<NodeId>>> {
        self.read(key, |value| {
            const EXPECTED: &str = "expected two groups or more: [[\"r0\"], [\"r1\", \"r2\"]]";
            let DeValue::Array(list) = value else {
                return Err(Refusal::wrong_type(&value, "a list", EXPECTED));
            };
            let groups: Vec<Vec<NodeId>> = list
                .into_iter()
                .map(|group| nodes(group.into_inner()))
                .collect::<Result<_, _>>()?;
            let mut all: Vec<NodeId> = groups.iter().flatten().copied().collect();
            if groups.len() < 2 || groups.iter().any(Vec::is_empty) {
                return Err(Refusal::value("separates nobody", EXPECTED));
            }
            check_nodes(&all, around)?;
            all.sort();
            match all.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => {
                    let problem = format!("has {} in two places", pair[0]);
                    Err(Refusal::value(problem, "expected every node once"))
                }
                None => Ok(groups),
            }
        })
    }

    /// Directed links.
    pub(super) fn links(&mut self, key: &'static str, around: &Around<'_>) -> Field<Vec<Link>> {
        self.read(key, |value| {
            let DeValue::Array(list) = value else {
                return Err(Refusal::wrong_type(&value, "a list", EXPECTED_LINKS));
            };
            let links: Vec<Link> = list
                .into_iter()
                .map(|link| match nodes(link.into_inner())?.as_slice() {
                    [from, to] => Ok(Link {
                        from: *from,
                        to: *to,
                    }),
                    _ => Err(Refusal::value(
                        "has a link without two ends",
                        EXPECTED_LINKS,
                    )),
                })
                .collect::<Result<_, _>>()?;
            if links.is_empty() {
                return Err(Refusal::value("is empty", EXPECTED_LINKS));
            }
            for link in &links {
                check_nodes(&[link.from, link.to], around)?;
                let is_one = link.from.as_replica().is_none() && link.to.as_replica().is_none();
                if link.from == link.to || is_one {
                    let problem = format!("has no link {link}");
                    let expected = "replicas have links with all others, clients with replicas";
                    return Err(Refusal::value(problem, expected));
                }
            }
            Ok(links)
        })
    }
}

fn parse(text: &str) -> Result<Target, Refusal> {
    if let Some((_, target)) = NAMED.iter().find(|(name, _)| *name == text) {
        return Ok(target.clone());
    }
    if let Ok(node) = text.parse() {
        return Ok(Target::Named(vec![node]));
    }
    let count = text
        .strip_prefix("random(")
        .and_then(|rest| rest.strip_suffix(')'));
    if let Some(count) = count.and_then(|count| count.parse().ok()) {
        return Ok(Target::Random(count));
    }
    let refusal = unknown_name(text, NAMED.iter().map(|(name, _)| *name).chain([RANDOM]));
    Err(Refusal {
        expected: format!("expected {}", names()),
        ..refusal
    })
}

fn names() -> String {
    let names: Vec<String> = NAMED
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    format!(
        "{}, \"{RANDOM}\", or nodes: \"r0\", [\"r0\", \"r2\"]",
        names.join(", ")
    )
}

/// A list of nodes by name.
fn nodes(value: DeValue<'_>) -> Result<Vec<NodeId>, Refusal> {
    let DeValue::Array(list) = value else {
        return Err(Refusal::wrong_type(&value, "a list", EXPECTED_NODES));
    };
    let node = |item: toml::Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) => text.parse().map_err(|_| {
            Refusal::value(
                format!("has no node \"{}\"", text.escape_debug()),
                EXPECTED_NODES,
            )
        }),
        other => Err(Refusal::wrong_type(other, "only nodes", EXPECTED_NODES)),
    };
    list.into_iter().map(node).collect()
}

/// Whether the plan has such nodes, and so many.
fn check(target: &Target, whom: Whom, around: &Around<'_>) -> Result<(), Refusal> {
    if let Target::Named(nodes) = target {
        if nodes.is_empty() {
            return Err(Refusal::value("is empty", EXPECTED_NODES));
        }
        check_nodes(nodes, around)?;
        let client = nodes.iter().find(|node| node.as_replica().is_none());
        return match client {
            Some(client) if whom == Whom::Replicas => {
                let problem = format!("names {client}, which is a client");
                Err(Refusal::value(
                    problem,
                    "expected replicas: clients have no process",
                ))
            }
            _ => Ok(()),
        };
    }
    let Some(replicas) = around.replicas else {
        return Ok(());
    };
    match target.count(replicas) {
        0 => {
            let problem = format!("is nobody among {replicas} replicas");
            Err(Refusal::value(problem, format!("expected {}", names())))
        }
        count if count > usize::from(replicas) => {
            let problem = format!("wants {count} of {replicas} replicas");
            Err(Refusal::value(
                problem,
                format!("expected at most {replicas}"),
            ))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_nodes(nodes: &[NodeId], around: &Around<'_>) -> Result<(), Refusal> {
    for node in nodes {
        let (index, count, letter) = match node {
            NodeId::Replica(replica) => (replica.0, around.replicas, 'r'),
            NodeId::Client(endpoint) => (*endpoint, around.endpoints, 'c'),
        };
        if let Some(count) = count.filter(|count| index >= *count) {
            let problem = format!("names {node}, which the plan does not have");
            let expected = format!("expected {letter}0 to {letter}{}", count.saturating_sub(1));
            return Err(Refusal::value(problem, expected));
        }
    }
    Ok(())
}
