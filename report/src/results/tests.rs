use proptest::prelude::*;

use super::*;
use crate::sample;

fn read(bytes: &[u8]) -> Result<Results, ReadResultsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.json");
    fs::write(&path, bytes).unwrap();
    Results::read(&path)
}

#[test]
fn results_come_back_as_they_were_written() {
    for results in [sample::valid(), sample::invalid(), sample::empty()] {
        assert_eq!(
            read(&serde_json::to_vec_pretty(&results).unwrap()).unwrap(),
            results
        );
    }
}

#[test]
fn another_version_is_refused_before_anything_else_is_read() {
    let error = read(br#"{"schema_version": 7, "run": "whatever"}"#).unwrap_err();
    assert!(
        matches!(error, ReadResultsError::Version { found: 7, .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("has schema version 7; this viewstorm reads version 1")
    );
}

#[test]
fn what_is_no_results_file_is_named_with_its_place() {
    let cases: [&[u8]; 5] = [b"", b"[]", b"{}", b"{\"schema_version\": 1}", b"\xff\xfe"];
    for bytes in cases {
        let error = read(bytes).unwrap_err();
        assert!(
            matches!(error, ReadResultsError::Malformed { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("line 1 column"), "{error}");
    }
    let error = Results::read(Path::new("no/such/results.json")).unwrap_err();
    assert!(matches!(error, ReadResultsError::Io { .. }), "{error}");
}

#[test]
fn fields_that_came_later_have_defaults() {
    let mut value = serde_json::to_value(sample::valid()).unwrap();
    let fields = value.as_object_mut().unwrap();
    for name in [
        "reservations",
        "bounds",
        "kinds",
        "phases",
        "faults",
        "fault_totals",
        "recovery",
    ] {
        fields.remove(name);
    }
    for name in ["views", "reproduce", "machine", "harness_lag", "floors"] {
        fields.remove(name);
    }
    let results = read(value.to_string().as_bytes()).unwrap();
    assert_eq!(results.counts, sample::valid().counts);
    assert_eq!(results.faults, []);
}

#[test]
fn the_first_violation_is_the_one_that_is_certain_first() {
    let results = sample::invalid();
    let (check, violation) = results.first_violation().unwrap();
    assert_eq!(
        (check.check.as_str(), violation.window.1),
        ("linearizability", sample::at(1_040))
    );
    assert_eq!(sample::valid().first_violation(), None);
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn a_file_with_a_wrong_byte_is_read_or_refused(
        place in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = serde_json::to_vec(&sample::invalid()).unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        drop(read(&bytes));
    }
}
