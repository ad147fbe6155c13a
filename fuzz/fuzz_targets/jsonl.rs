//! Both readers of JSON lines agree, and whatever they read is judged without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use viewstorm_checker::{CheckOptions, SearchBudget, check_log};
use viewstorm_history::{CallLog, History};

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = CallLog::read_jsonl(bytes) else {
        return;
    };
    let history = History::read(bytes).expect("both readers read the same");
    let other = CallLog::of(&history).expect("and pair it alike");
    assert_eq!(log.calls.len(), other.calls.len());
    let search_budget = SearchBudget { steps: 20_000, configurations: 20_000 };
    drop(check_log(&log, &CheckOptions { search_budget, ..CheckOptions::default() }));
});
