use proptest::prelude::*;
use scraper::{ElementRef, Html, Selector};
use serde_json::{Map, Value, json};
use viewstorm_history::{Kind, OperationEvent, ProcessId};

use super::*;
use crate::operations::operations;
use crate::sample;

fn render(results: &Results, history: &History) -> String {
    let operations = operations(history);
    page(
        results,
        history,
        &operations,
        summary::load_start(results).unwrap_or_default(),
    )
}

fn select<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    html.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: ElementRef<'_>) -> String {
    element
        .text()
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// What every page is, whatever run it shows.
fn assert_is_whole_and_offline(page: &str) -> Html {
    let html = Html::parse_document(page);
    assert!(html.errors.is_empty(), "{:?}", html.errors);
    for element in select(&html, "[src], [href], [action], [srcset]") {
        let value = element.value();
        let href = value.attr("href").unwrap_or_default();
        assert!(
            href.starts_with('#') || href == "data:,",
            "{}",
            element.html()
        );
        assert_eq!(value.attr("src"), None);
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    let closeups = select(&html, "script#timeline-data");
    assert_eq!(select(&html, "script").len(), 2 + closeups.len());
    for data in closeups {
        let data: Value = serde_json::from_str(&data.inner_html()).unwrap();
        let rows = data["rows"].as_array().unwrap();
        assert!(rows.iter().any(|row| row[4] == json!(true)), "{data}");
    }
    assert_eq!(
        select(&html, "meta[http-equiv=Content-Security-Policy]").len(),
        1
    );
    let data = select(&html, "script#data")[0].inner_html();
    assert!(serde_json::from_str::<Value>(&data).is_ok(), "{data}");
    for path in select(&html, "svg path") {
        let d = path.value().attr("d").unwrap();
        assert!(
            d.chars()
                .all(|c| c.is_ascii_digit() || "MLZhv.,-".contains(c)),
            "{d}"
        );
    }
    html
}

#[test]
fn the_verdict_comes_first() {
    let html = assert_is_whole_and_offline(&render(&sample::invalid(), &sample::history()));
    let first = select(&html, "main *")
        .into_iter()
        .find(|element| element.children().any(|child| child.value().is_text()));
    assert_eq!(text(first.unwrap()), "invalid");
    let headline = text(select(&html, ".headline")[0]);
    assert_eq!(
        headline,
        "Linearizability does not hold: a read of k1 returned 1 after 4 had replaced it."
    );
}

#[test]
fn every_applied_fault_has_a_band_in_both_charts_and_a_bar() {
    let results = sample::invalid();
    let html = assert_is_whole_and_offline(&render(&results, &sample::history()));
    for fault in &results.faults {
        let expected = usize::from(fault.injected_at_ns.is_some());
        for chart in ["latency", "throughput"] {
            let bands = select(
                &html,
                &format!("#{chart} rect.band[data-fault='{}']", fault.id),
            );
            assert_eq!(bands.len(), expected, "{chart} {}", fault.id);
            for band in bands {
                let title = band
                    .select(&Selector::parse("title").unwrap())
                    .next()
                    .unwrap();
                assert!(text(title).starts_with(&format!("#{} {}", fault.id, fault.name)));
            }
        }
        assert_eq!(
            select(&html, &format!("a.bar[href='#fault-{}']", fault.id)).len(),
            expected
        );
        assert_eq!(select(&html, &format!("tbody#fault-{}", fault.id)).len(), 1);
    }
}

#[test]
fn a_band_lies_where_the_fault_was() {
    let results = sample::valid();
    let html = assert_is_whole_and_offline(&render(&results, &sample::history()));
    let band = select(&html, "#latency rect.band[data-fault='0']")[0].value();
    let number = |name: &str| band.attr(name).unwrap().parse::<f64>().unwrap();
    // The charts go from 1 s to 2 s; the fault from 1.301 s to 1.5 s.
    assert_eq!((number("x"), number("width")), (301.0, 199.0));
}

#[test]
fn tables_are_complete() {
    let results = sample::invalid();
    let html = assert_is_whole_and_offline(&render(&results, &sample::history()));
    assert_eq!(
        select(&html, ".checks tbody tr").len(),
        results.verdict.checks.len()
    );
    assert_eq!(
        select(&html, ".bounds tbody tr").len(),
        results.bounds.len()
    );
    let rows = select(&html, ".latency tbody tr").len();
    assert_eq!(rows, 1 + results.kinds.len() + results.phases.len());
    assert_eq!(
        select(&html, ".latency tbody.phases tr").len(),
        results.phases.len()
    );
    assert_eq!(select(&html, ".command").len(), results.reproduce.len());
    let stages: Vec<_> = select(&html, "#fault-1 td[data-label]")
        .into_iter()
        .map(text)
        .collect();
    assert_eq!(
        stages[1..],
        [
            "replica 0 4 links",
            "0.400 s",
            "0.401 s",
            "no",
            "0.600 s",
            "0.615 s",
            "–"
        ]
    );
    assert!(text(select(&html, "#fault-1 .evidence")[0]).contains("the process is still there"));
    assert_eq!(
        text(select(&html, "#fault-2 td[data-label=planned]")[0]),
        "trigger"
    );
    assert_eq!(
        text(select(&html, ".reservations li")[0]),
        "2 faults were not confirmed"
    );
}

#[test]
fn the_first_contradiction_is_told_and_drawn_and_the_rest_folded() {
    let html = assert_is_whole_and_offline(&render(&sample::invalid(), &sample::history()));
    let section = "#contradiction";
    // The earlier one is first, though it stands second.
    assert!(text(select(&html, &format!("{section} > p"))[0]).contains("certain at 1.040 s"));
    assert!(
        text(select(&html, &format!("{section} > .explanation"))[0]).ends_with("a stale read.")
    );
    let labels: Vec<_> = select(&html, &format!("{section} .operation"))
        .into_iter()
        .map(text)
        .collect();
    assert_eq!(
        labels,
        ["p1 write k1 1", "p1 read k0 → 1", "p0 read k2 → 1"]
    );
    assert_eq!(
        select(&html, &format!("{section} details .explanation")).len(),
        1
    );
    let valid = assert_is_whole_and_offline(&render(&sample::valid(), &sample::history()));
    assert!(select(&valid, section).is_empty());
}

#[test]
fn the_data_under_the_charts_is_that_of_the_history() {
    let html = assert_is_whole_and_offline(&render(&sample::valid(), &sample::history()));
    let data: Value = serde_json::from_str(&select(&html, "script#data")[0].inner_html()).unwrap();
    let sum = |name: &str| {
        data[name]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_u64)
            .sum::<u64>()
    };
    assert_eq!((sum("ok"), sum("fail"), sum("info")), (70, 20, 10));
    assert_eq!(data["faults"].as_array().unwrap().len(), 2);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (results, history) = (sample::invalid(), sample::history());
    assert_eq!(render(&results, &history), render(&results, &history));
}

#[test]
fn an_empty_run_renders() {
    for history in [History::default(), sample::history()] {
        let html = assert_is_whole_and_offline(&render(&sample::empty(), &history));
        assert_eq!(text(select(&html, "#verdict")[0]), "unknown");
        assert_eq!(
            text(select(&html, "#checks .note")[0]),
            "No check was asked for."
        );
        assert_eq!(
            text(select(&html, "#faults .note")[0]),
            "The plan holds no fault."
        );
    }
    let html = Html::parse_document(&render(&sample::empty(), &History::default()));
    assert_eq!(
        text(select(&html, "#percentiles .note")[0]),
        "No operation was acknowledged."
    );
    assert_eq!(
        text(select(&html, "#time .note")[1]),
        "No operation was invoked."
    );
}

#[test]
fn a_run_that_was_cut_off_says_so() {
    let mut history = sample::history();
    history.end = None;
    let html = assert_is_whole_and_offline(&render(&sample::valid(), &history));
    assert!(text(select(&html, ".reservations li")[0]).contains("cut off"));
}

#[test]
fn hostile_text_stays_text() {
    let clean = Html::parse_document(&render(&sample::invalid(), &sample::history()));
    let page = render(&sample::hostile(), &sample::hostile_history());
    let html = assert_is_whole_and_offline(&page);
    for name in ["b", "a", "script"] {
        let attributes = |html: &Html| {
            select(html, name)
                .iter()
                .map(|e| e.value().attr("onclick").is_some())
                .collect::<Vec<_>>()
        };
        assert!(attributes(&html).iter().all(|is_there| !is_there));
    }
    assert_eq!(
        select(&html, "script").len(),
        select(&clean, "script").len()
    );
    assert_eq!(select(&html, ".headline b").len(), 0);
    let is_shown =
        |character: char| character == '\n' || character == '\t' || !character.is_control();
    assert!(page.chars().all(is_shown));
    assert!(text(select(&html, "h1")[0]).starts_with("</script><b>&amp; \"x\" | `y`"));
}

/// A run of many operations, faults and views.
fn large() -> (Results, History) {
    let mut history = sample::history();
    let event = |number: u64, time: u64, kind| OperationEvent {
        index: Some(number),
        time: Timestamp(time),
        process: ProcessId(number % 50),
        kind,
        f: ["read", "write", "cas"][(number % 3) as usize].to_owned(),
        key: Some("k".to_owned()),
        value: json!(number),
        intended: None,
        order: None,
        observed: None,
        extra: Map::new(),
    };
    history.operations = (0..60_000_u64)
        .flat_map(|number| {
            let start = 1_000_000_000 + number * 500_000;
            let latency = 1_000_000 + number * 7_919 % 20_000_000;
            [
                event(number, start, Kind::Invoke),
                event(number, start + latency, Kind::Ok),
            ]
        })
        .collect();
    history.operations.sort_by_key(|event| event.time);
    let mut results = sample::invalid();
    let fault = results.faults[0].clone();
    results.faults = (0..500_u64)
        .map(|id| {
            let from = sample::at(1_000 + 60 * id);
            let to = sample::at(1_150 + 60 * id);
            crate::FaultRecord {
                id,
                injected_at_ns: Some(from),
                healed_at_ns: Some(to),
                ..fault.clone()
            }
        })
        .collect();
    let view = results.views[0];
    results.views = (0..5_000_u64)
        .map(|number| crate::ViewChange {
            at_ns: sample::at(1_000 + 6 * number),
            view: number,
            ..view
        })
        .collect();
    (results, history)
}

#[test]
fn a_large_run_makes_a_small_page() {
    let (results, history) = large();
    let page = render(&results, &history);
    assert!(page.len() < 400_000, "{}", page.len());
    let html = assert_is_whole_and_offline(&page);
    assert_eq!(select(&html, "#latency rect.band").len(), 120);
    assert_eq!(select(&html, "#latency path.band").len(), 1);
    assert!(text(select(&html, "#faults > .note")[1]).starts_with("380 more"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_times_and_figures_render(
        times in prop::collection::vec(any::<u64>(), 8),
        figure in any::<f64>(),
    ) {
        let mut results = sample::invalid();
        let mut history = sample::history();
        results.faults[0].injected_at_ns = Some(Timestamp(times[0]));
        results.faults[0].healed_at_ns = Some(Timestamp(times[1]));
        results.phases[0].from_ns = Timestamp(times[2]);
        results.phases[0].to_ns = Timestamp(times[3]);
        results.views[0].at_ns = Timestamp(times[4]);
        results.latency.p99_us = figure;
        results.throughput_ops_per_s = figure;
        history.operations[7].time = Timestamp(times[5]);
        history.operations[8].intended = Some(Timestamp(times[6]));
        results.verdict.checks[0].violations[0].window = (Timestamp(times[7]), Timestamp(times[0]));
        assert_is_whole_and_offline(&render(&results, &history));
    }
}
