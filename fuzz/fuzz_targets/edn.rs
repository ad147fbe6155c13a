//! Any text is read or refused; what is read can be written and read again, and is judged without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use viewstorm_checker::{CheckOptions, SearchBudget, check_log};
use viewstorm_history::{CallLog, EdnOptions, write_edn};

fuzz_target!(|text: &str| {
    let Ok(log) = CallLog::read_edn(text, EdnOptions::default()) else {
        return;
    };
    let mut written = Vec::new();
    write_edn(&log, &mut written).expect("memory can be written");
    let written = String::from_utf8(written).expect("EDN is text");
    let keyed = Some(log.keys.iter().any(Option::is_some));
    let again = CallLog::read_edn(&written, EdnOptions { keyed }).expect("just written");
    assert_eq!(log.calls.len(), again.calls.len());
    let search_budget = SearchBudget { steps: 20_000, configurations: 20_000 };
    drop(check_log(&log, &CheckOptions { search_budget, ..CheckOptions::default() }));
});
