//! What a process that hangs was doing: its threads and children as the kernel sees them, and, where a debugger is
//! installed, its stacks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a debugger gets.
const DEBUGGER_PATIENCE: Duration = Duration::from_secs(20);

/// Looks at a process and everything that descends from it.
pub(super) fn look_at(pid: u32) -> String {
    let mut text = String::new();
    for pid in family(pid) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "== process {pid}: {}", command_line(pid));
        threads(pid, &mut text);
        if let Some(stacks) = stacks(pid) {
            text.push_str(&stacks);
        }
    }
    text
}

/// The process and its descendants, each after its parent.
pub(super) fn family(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        family.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    family
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets, which may hold anything.
    let after = stat.rsplit_once(')')?.1;
    after.split_whitespace().nth(1)?.parse().ok()
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn threads(pid: u32, text: &mut String) {
    let read = |path: String| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.trim().replace('\n', "; ")
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let home = task.path();
        let home = home.display();
        let status = read(format!("{home}/status"));
        let state = status
            .split("; ")
            .find(|line| line.starts_with("State:"))
            .unwrap_or("State: gone")
            .to_owned();
        let _ = writeln!(
            text,
            "  thread {} {}: {state}, waits in {}, stack {}",
            task.file_name().to_string_lossy(),
            read(format!("{home}/comm")),
            read(format!("{home}/wchan")),
            read(format!("{home}/stack")),
        );
    }
}

/// The stacks as gdb prints them; none if there is no gdb, or it may not look.
fn stacks(pid: u32) -> Option<String> {
    let mut debugger = Command::new("gdb")
        .args(["-batch", "-nx", "-ex", "thread apply all backtrace", "-p"])
        .arg(pid.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let stdout = debugger.stdout.take()?;
    let reader = std::thread::spawn(move || std::io::read_to_string(stdout));
    let deadline = Instant::now() + DEBUGGER_PATIENCE;
    while debugger.try_wait().ok()?.is_none() {
        if Instant::now() >= deadline {
            // It is ours; what it would have printed is lost.
            drop(debugger.kill());
            drop(debugger.wait());
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    reader.join().ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_child_is_seen_with_its_state() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let seen = family(std::process::id());
        let text = look_at(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen.contains(&child.id()), "{seen:?}");
        assert!(text.contains("sleep 60"), "{text}");
        assert!(text.contains("State:"), "{text}");
    }
}
