use std::fs;

use super::*;
use crate::{Run, sample};

#[test]
fn all_four_are_written_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let results = sample::invalid();
    let paths = write_all(dir.path(), &results, &sample::history()).unwrap();
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        ["results.json", "summary.md", "junit.xml", "report.html"]
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    assert_eq!(Results::read(&paths[0]).unwrap(), results);
}

#[test]
fn a_past_run_is_reported_again_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let history = sample::history();
    let header = history.header.clone().unwrap();
    let file = fs::File::create(dir.path().join(crate::HISTORY_FILE)).unwrap();
    let mut writer = viewstorm_history::HistoryWriter::new(file, &header).unwrap();
    for event in &history.operations {
        writer.operation(&mut event.clone()).unwrap();
    }
    writer.end(history.end.as_ref().unwrap()).unwrap();
    let paths = write_all(dir.path(), &sample::invalid(), &history).unwrap();
    let read = || {
        paths
            .iter()
            .map(|path| fs::read(path).unwrap())
            .collect::<Vec<_>>()
    };
    let before = read();
    let run = Run::open(dir.path()).unwrap();
    write_all(dir.path(), &run.results, &run.history).unwrap();
    assert!(before == read());
}

#[test]
fn where_one_cannot_be_written_the_error_names_it_and_the_old_stay() {
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path(), &sample::valid(), &sample::history()).unwrap();
    let error = write_all(
        &dir.path().join("none"),
        &sample::valid(),
        &sample::history(),
    );
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("results.json: cannot be written"),
        "{message}"
    );
    // A folder in the place of the page: the name of results.json is given last, so the old one
    // stays.
    let page = dir.path().join(HTML_FILE);
    fs::remove_file(&page).unwrap();
    fs::create_dir(&page).unwrap();
    fs::write(page.join("occupied"), "").unwrap();
    let error = write_all(dir.path(), &sample::invalid(), &sample::history()).unwrap_err();
    assert_eq!(error.path, page);
    assert_eq!(
        Results::read(&dir.path().join(RESULTS_FILE)).unwrap(),
        sample::valid()
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}
