//! `viewstorm doctor`: what this machine can do for experiments, and what is missing.

use std::process::{Command, Stdio};

use viewstorm_history::Seed;
use viewstorm_nemesis::inject::Relay;

use super::Exit;

/// What one look came to.
struct Finding {
    what: &'static str,
    is_there: bool,
    /// What was seen, or what is missing and what it would be good for.
    words: String,
}

pub(super) fn doctor() -> Exit {
    let findings = look();
    for Finding {
        what,
        is_there,
        words,
    } in &findings
    {
        let mark = if *is_there { "yes" } else { " no" };
        println!("{mark}  {what:<34} {words}");
    }
    println!(
        "Experiments need none of what is missing: the relay, the taps and the storage of the replicas do every fault \
         of the plans. The kernel's own means are for faults below them."
    );
    Exit::Expected
}

fn look() -> Vec<Finding> {
    let mut findings = vec![relay(), namespaces()];
    for (tool, good_for) in [
        ("ip", "links between namespaces (iproute2)"),
        ("nft", "drops and rate limits in the kernel (nftables)"),
        (
            "tc",
            "token buckets; netem where the kernel has it (iproute2)",
        ),
    ] {
        findings.push(tool_of(tool, good_for));
    }
    findings.push(module(
        "netem",
        "sch_netem",
        "delays and reordering in the kernel",
    ));
    findings.push(cgroup());
    findings
}

/// Whether the relay runs, and how large its sockets' buffers are.
fn relay() -> Finding {
    let relay = Relay::start(Vec::new(), Seed(0), std::net::Ipv4Addr::LOCALHOST.into());
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    Finding {
        what: "relay on loopback",
        is_there: relay.is_ok(),
        words: match relay {
            Ok(_) => format!(
                "sockets may ask for {} bytes without privileges; 4194304 are asked for",
                limit.trim()
            ),
            Err(error) => error.to_string(),
        },
    }
}

/// Whether a network namespace of one's own can be made: as root, or in a user namespace.
fn namespaces() -> Finding {
    let mut tried = Command::new("unshare");
    tried.args(["-Urn", "true"]);
    let is_there = succeeds(&mut tried);
    Finding {
        what: "network namespaces, unprivileged",
        is_there,
        words: if is_there {
            "unshare -Urn works".to_owned()
        } else {
            "unshare -Urn does not: kernel.unprivileged_userns_clone, or util-linux, is missing"
                .to_owned()
        },
    }
}

fn tool_of(tool: &'static str, good_for: &str) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(sbin)
        .map(|directory| directory.join(tool))
        .find(|path| path.is_file());
    Finding {
        what: tool,
        is_there: found.is_some(),
        words: match found {
            Some(path) => format!("{}: {good_for}", path.display()),
            None => format!("not installed: {good_for}"),
        },
    }
}

/// Whether the kernel has a queueing discipline: as root it can be tried, else its module is looked for.
fn module(what: &'static str, module: &str, good_for: &str) -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = format!("/lib/modules/{}", release.trim());
    let lists = ["modules.builtin", "modules.dep"]
        .map(|name| std::fs::read_to_string(format!("{modules}/{name}")).unwrap_or_default());
    let is_there = lists.iter().any(|list| list.contains(module))
        || std::path::Path::new("/sys/module").join(module).exists();
    Finding {
        what,
        is_there,
        words: if is_there {
            good_for.to_owned()
        } else {
            format!("kernel {} has no {module}: {good_for}", release.trim())
        },
    }
}

/// Whether processes can be given a share of the CPU by the kernel.
fn cgroup() -> Finding {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    let has_cpu = controllers.is_ok_and(|list| list.split_whitespace().any(|it| it == "cpu"));
    let may_write = std::fs::metadata("/sys/fs/cgroup/cgroup.subtree_control")
        .is_ok_and(|file| !file.permissions().readonly());
    let is_there = has_cpu && may_write;
    Finding {
        what: "CPU limits by cgroup v2",
        is_there,
        words: if is_there {
            "the cpu controller can be used".to_owned()
        } else {
            "no cpu controller to write to: `slow` stops and resumes processes in turns instead"
                .to_owned()
        },
    }
}

/// Whether a command ends well. One that cannot be started does not.
fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_says_what_it_saw() {
        let findings = look();
        assert!(findings.len() >= 7);
        assert!(findings.iter().all(|finding| !finding.words.is_empty()));
        assert!(findings[0].is_there, "{}", findings[0].words);
    }
}
