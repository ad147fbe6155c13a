use serde_json::json;

use super::RegisterStream;
use crate::model::Exact;
use crate::testing::{Draw, Line, draw, history, honest_run, read, read_partitions, write};
use crate::zones;

/// Whether the stream raises an alarm.
fn alarms(lines: &[Line]) -> bool {
    let history = history(lines);
    let mut stream = RegisterStream::default();
    for event in &history.operations {
        stream.event(event);
    }
    stream.finish().is_some()
}

#[test]
fn the_stream_agrees_with_the_whole_history() {
    let mut answers = [0; 2];
    for seed in 0..40_000 {
        let operations = 4 + seed % 5;
        let times = [4, 6, 10, 30][seed as usize / 5 % 4];
        let lines = draw(
            seed,
            Draw {
                operations,
                times,
                repeats: false,
            },
        );
        let told = history(&lines);
        let expected = read_partitions(&told)
            .iter()
            .any(|partition| zones::judge(partition, 1) != Exact::Linearizable);
        answers[usize::from(expected)] += 1;
        assert_eq!(alarms(&lines), expected, "seed {seed}: {lines:#?}");
    }
    assert!(
        answers.iter().all(|count| *count > 3_000),
        "a lopsided draw: {answers:?}"
    );
}

#[test]
fn long_runs_agree_with_the_whole_history_and_keep_little() {
    let mut answers = [0; 2];
    for seed in 0..300 {
        let mut lines = honest_run(seed, 12, 60, false);
        if seed % 2 == 0 {
            // One read in the second half of what was there early on.
            let place = lines.len() * 3 / 4;
            let old = lines.iter().find(|line| line.is_write()).cloned();
            let old = old.and_then(|line| line.written());
            lines[place] = lines[place].clone().seeing(json!(old));
        }
        let told = history(&lines);
        let expected = read_partitions(&told)
            .iter()
            .any(|partition| zones::judge(partition, 1) != Exact::Linearizable);
        answers[usize::from(expected)] += 1;
        assert_eq!(alarms(&lines), expected, "seed {seed}");
    }
    assert!(answers.iter().all(|count| *count > 50), "{answers:?}");

    let mut stream = RegisterStream::default();
    let mut most = 0;
    for value in 1..=20_000 {
        let lines = [
            write(1, (20 * value, 20 * value + 5), value),
            read(2, (20 * value + 6, 20 * value + 9), value),
        ];
        for event in &history(&lines).operations {
            assert_eq!(stream.event(event), None);
        }
        most = most.max(stream.live_values());
    }
    assert!(most < 600, "{most} values were kept");
}
