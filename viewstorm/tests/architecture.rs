//! The architecture's invariants, as far as a test can see them (ARCHITECTURE.md lists them all).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// What each crate may depend on within the workspace: exactly this.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let edges: [(&str, &[&str]); 9] = [
        ("history", &[]),
        ("protocol", &[]),
        ("checker", &["history"]),
        ("workloads", &["history", "protocol"]),
        ("nemesis", &["history", "protocol"]),
        ("replica", &["protocol", "workloads"]),
        ("simulator", &["history", "protocol", "nemesis"]),
        ("report", &["history", "checker"]),
        (
            "viewstorm",
            &[
                "history",
                "protocol",
                "checker",
                "workloads",
                "nemesis",
                "replica",
                "simulator",
                "report",
            ],
        ),
    ];
    edges
        .into_iter()
        .map(|(name, to)| (name, to.iter().copied().collect()))
        .collect()
}

fn manifest(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.parse()
        .unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn members() -> Vec<String> {
    let workspace = manifest(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    members
        .iter()
        .map(|member| member.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn crates_depend_on_one_another_as_the_architecture_allows() {
    let allowed = allowed();
    for member in members() {
        let manifest = manifest(&root().join(&member).join("Cargo.toml"));
        let empty = toml::Table::new();
        let dependencies = manifest
            .get("dependencies")
            .and_then(|table| table.as_table());
        let found: BTreeSet<&str> = dependencies
            .unwrap_or(&empty)
            .keys()
            .filter_map(|name| name.strip_prefix("viewstorm-"))
            .collect();
        let allowed = allowed.get(member.as_str()).unwrap_or_else(|| {
            panic!("{member}/ is a new crate: give it its place in ARCHITECTURE.md and here")
        });
        let extra: Vec<_> = found.difference(allowed).collect();
        assert!(extra.is_empty(), "{member}/ must not depend on {extra:?}");
    }
}

#[test]
fn crates_take_the_workspace_lints() {
    for member in members() {
        let manifest = manifest(&root().join(&member).join("Cargo.toml"));
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(
            inherits.and_then(toml::Value::as_bool),
            Some(true),
            "{member}/Cargo.toml"
        );
    }
}

/// All Rust files below a folder of the workspace.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} holds no Rust file");
    found
}

fn assert_absent(folders: &[&str], words: &[&str], except: &[&str], rule: &str) {
    for (path, text) in folders.iter().flat_map(|folder| sources(folder)) {
        if except
            .iter()
            .any(|except| path.ends_with(except) || path.starts_with(root().join(except)))
        {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words {
                assert!(
                    !code.contains(word),
                    "{rule}\n{}:{}: {line}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn async_lives_in_the_replica_the_injectors_and_the_command_line_alone() {
    let folders = [
        "history/src",
        "protocol/src",
        "workloads/src",
        "checker/src",
        "report/src",
        "nemesis/src",
    ];
    assert_absent(
        &folders,
        &[
            "async fn", ".await;", ".await?", ".await.", ".await)", "tokio::",
        ],
        &["nemesis/src/inject"],
        "no async outside replica/, nemesis/src/inject/ and viewstorm/",
    );
}

#[test]
fn the_core_has_no_clock_thread_socket_file_or_unordered_map() {
    let words = [
        "std::time::Instant",
        "SystemTime",
        "std::thread",
        "std::net",
        "std::fs",
        "std::process",
        "HashMap",
        "HashSet",
        "rand::",
        "tokio",
    ];
    assert_absent(
        &["protocol/src"],
        &words,
        &[],
        "protocol/ is sans-io and deterministic",
    );
}

#[test]
fn the_checker_names_no_protocol() {
    let words = ["viewstorm_protocol", "ViewNumber", "Prepare", "view_number"];
    assert_absent(
        &["checker/src"],
        &words,
        &[],
        "checker/ knows no protocol and no world",
    );
}

#[test]
fn the_report_reads_files_only() {
    let words = [
        "std::process",
        "std::net",
        "viewstorm_protocol",
        "viewstorm_nemesis",
    ];
    assert_absent(
        &["report/src"],
        &words,
        &[],
        "report/ reads files and runs nothing",
    );
}
