//! The page of a night: verdict, failures, canaries, experiments, and the nights before.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use viewstorm_checker::Validity;

use super::frame::{self, Frame};
use super::page::{POLICY, STYLE};
use super::parts::{foreign, verdict_chip, verdict_class};
use crate::chart::{LinearAxis, Path, Tick};
use crate::night::{Canary, CorpusOutcome, Finding, Night, NightExperiment, TrendPoint};
use crate::{text, units};

/// How many findings are shown.
const FINDINGS_MAX: usize = 200;
/// How many nights a chart shows.
const NIGHTS_MAX: usize = 90;

/// The file. `trend` ends with this night.
pub(crate) fn night_page(night: &Night, trend: &[TrendPoint]) -> String {
    let validity = night.validity();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (validity) " · " (text::one_line(&night.name)) " " (text::one_line(&night.id)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (banner(night, validity))
                    (findings(night))
                    (canaries(&night.canaries))
                    (experiments(&night.experiments))
                    (trends(trend))
                    (corpus(night))
                    (troubles(night))
                }
                footer { p { "viewstorm " (night.version) ", commit " (night.commit) ". This file needs nothing else." } }
            }
        }
    };
    markup.into_string()
}

fn banner(night: &Night, validity: Validity) -> Markup {
    html! {
        header.banner.(verdict_class(validity)) {
            p.verdict { strong { (validity) } @if night.ended.is_none() { span { "not over" } } }
            h1 { (text::one_line(&night.name)) " " (text::one_line(&night.id)) }
            p.headline { (night.headline()) "." }
            ul.identity {
                li { "started " b { (night.started) } }
                li { "took " b { (units::duration(nanos(night.spent_s))) } " of " (units::duration(nanos(night.budget_s))) }
                @for (name, value) in &night.machine { li { (name) " " b { (foreign(value)) } } }
            }
        }
    }
}

fn findings(night: &Night) -> Markup {
    html! {
        @if !night.findings.is_empty() {
            section id="failures" {
                h2 { "Failures" }
                @for finding in night.findings.iter().take(FINDINGS_MAX) { (finding_story(finding)) }
            }
        }
    }
}

fn finding_story(finding: &Finding) -> Markup {
    html! {
        h3 {
            (verdict_chip(finding.validity)) " " (foreign(&finding.experiment)) ": "
            (foreign(&finding.checks.join(", ")))
        }
        p.note {
            @if finding.known { "known" } @else { b { "new" } }
            ", " (units::count(finding.count)) " seeds, the first " (finding.seed) " (" (finding.world) ")"
            @match finding.replayed {
                Some(true) => ", fails again",
                Some(false) => ", a second run did not fail",
                None => "",
            }
            @if let Some(bundle) = &finding.bundle { ", " a href=(bundle) { (bundle) } }
        }
        ul { @for reason in finding.reasons.iter().take(5) { li { (foreign(reason)) } } }
        @if let Some(shrunk) = &finding.shrunk { pre { (foreign(&shrunk.story)) } }
        pre { (foreign(&finding.replay)) }
    }
}

fn canaries(canaries: &[Canary]) -> Markup {
    html! {
        @if !canaries.is_empty() {
            section id="canaries" {
                h2 { "Canaries" }
                p.note { "Planted bugs and faults beyond the model: a night that does not catch them proves nothing." }
                div.wide {
                    table {
                        thead { tr { th { "canary" } th { "plan" } th { "caught" } th.number { "after seeds" } th { "checks" } } }
                        tbody {
                            @for canary in canaries {
                                tr {
                                    td { (foreign(&canary.name)) }
                                    td { (foreign(&canary.plan)) }
                                    td { (caught(canary)) }
                                    td.number { (canary.seeds.map_or(units::NONE.to_owned(), units::count)) }
                                    td { (foreign(&canary.checks.join(", "))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn caught(canary: &Canary) -> Markup {
    match (canary.seeds, canary.caught) {
        (None, _) => html! { span.chip { "not run" } },
        (Some(_), true) => html! { span.chip.valid { "caught" } },
        (Some(_), false) => html! { span.chip.invalid { "passed" } },
    }
}

fn experiments(experiments: &[NightExperiment]) -> Markup {
    let median = |value: Option<f64>| value.map_or(units::NONE.to_owned(), units::micros);
    html! {
        section id="experiments" {
            h2 { "Experiments" }
            div.wide {
                table {
                    thead {
                        tr {
                            th { "experiment" } th { "world" } th.number { "seeds" } th.number { "as expected" }
                            th.number { "invalid" } th.number { "unknown" } th.number { "seeds/s" }
                            th.number { "throughput" } th.number { "p50" } th.number { "p99" } th.number { "flagged" }
                        }
                    }
                    tbody {
                        @for experiment in experiments {
                            tr {
                                td { (foreign(&experiment.name)) }
                                td { (foreign(&experiment.world)) }
                                td.number { (units::count(experiment.seeds)) }
                                td.number { (units::count(experiment.as_expected)) }
                                td.number { (units::count(experiment.invalid)) }
                                td.number { (units::count(experiment.unknown)) }
                                td.number { (format!("{:.1}", experiment.seeds as f64 / experiment.wall_s.max(1e-3))) }
                                td.number { (experiment.median(|f| f.throughput_ops_per_s).map_or(units::NONE.to_owned(), units::rate)) }
                                td.number { (median(experiment.median(|f| f.latency_us_p50))) }
                                td.number { (median(experiment.median(|f| f.latency_us_p99))) }
                                td.number { (experiment.flagged()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A curve over the nights: what it is called, and its value in a night, if it has one.
type Curve<'a> = (&'a str, Vec<Option<f64>>);

fn trends(trend: &[TrendPoint]) -> Markup {
    let trend = &trend[trend.len().saturating_sub(NIGHTS_MAX)..];
    let mut names: Vec<&str> = Vec::new();
    for experiment in trend.iter().flat_map(|point| &point.experiments) {
        if !names.contains(&experiment.name.as_str()) {
            names.push(&experiment.name);
        }
    }
    let of = |figure: fn(&crate::night::TrendExperiment) -> Option<f64>| -> Vec<Curve<'_>> {
        let curve = |name: &&'_ str| {
            let value = |point: &TrendPoint| {
                let experiment = point.experiments.iter().find(|e| e.name == **name)?;
                figure(experiment)
            };
            trend.iter().map(value).collect::<Vec<_>>()
        };
        names
            .iter()
            .map(|name| (*name, curve(name)))
            .filter(|(_, values)| values.iter().flatten().next().is_some())
            .collect()
    };
    let charts = [
        (
            "throughput, operations a second",
            "trend-throughput",
            of(|e| e.throughput_ops_per_s),
        ),
        (
            "latency p99, ms",
            "trend-p99",
            of(|e| e.latency_us_p99.map(|us| us / 1e3)),
        ),
        ("seeds a second", "trend-seeds", of(|e| Some(e.seeds_per_s))),
    ];
    html! {
        @if trend.len() > 1 {
            section id="trend" {
                h2 { "The nights before" }
                p.note { "The last " (trend.len()) " nights, this one last. Figures of overloaded runs are left out." }
                ol.nights {
                    @for point in trend {
                        li title=(format!("{} {}: {}", point.night, point.commit, point.validity)) { (verdict_chip(point.validity)) }
                    }
                }
                @for (title, id, curves) in &charts {
                    @if !curves.is_empty() { (trend_chart(title, id, curves, trend)) }
                }
            }
        }
    }
}

fn trend_chart(title: &str, id: &str, curves: &[Curve<'_>], trend: &[TrendPoint]) -> Markup {
    let most = curves.iter().flat_map(|(_, values)| values).flatten();
    let axis = LinearAxis::new(most.copied().fold(0.0, f64::max));
    let last = trend.len().saturating_sub(1).max(1) as f64;
    let drawing = html! {
        @for (index, (_, values)) in curves.iter().enumerate() {
            @let (line, dots) = outline(values, &axis, last);
            (frame::path(&format!("curve f{}", index % 8), &line))
            (frame::path(&format!("max f{}", index % 8), &dots))
        }
    };
    let ends = [(0, 0.0), (trend.len() - 1, 1.0)];
    let x_ticks = ends.map(|(index, at)| Tick {
        at,
        label: text::shorten(&text::one_line(&trend[index].night), 24),
    });
    html! {
        figure {
        figcaption { b { (title) }
        ul.legend {
            @for (index, (name, _)) in curves.iter().enumerate() {
                li { span.swatch.{"f" (index % 8)} {} (foreign(name)) }
            }
        }
        }
        (Frame {
            id,
            description: title,
            is_time: false,
            x_ticks: &x_ticks,
            y_ticks: &axis.ticks(),
            drawing,
        }.draw())
        }
    }
}

/// A curve with a gap where a night has no figure, and a dot for each that has.
fn outline(values: &[Option<f64>], axis: &LinearAxis, last: f64) -> (Path, Path) {
    let (mut line, mut dots) = (Path::default(), Path::default());
    let mut pen_is_down = false;
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            pen_is_down = false;
            continue;
        };
        let (x, y) = (index as f64 / last, axis.place(*value));
        match pen_is_down {
            true => line.line_to(x, y),
            false => line.move_to(x, y),
        }
        pen_is_down = true;
        dots.dot(x, y);
    }
    (line, dots)
}

fn corpus(night: &Night) -> Markup {
    html! {
        @if !night.corpus.is_empty() {
            section id="corpus" {
                h2 { "Old failing seeds" }
                div.wide {
                    table {
                        thead { tr { th { "signature" } th { "plan" } th { "now" } } }
                        tbody {
                            @for seed in &night.corpus {
                                tr {
                                    td { (foreign(&seed.signature)) }
                                    td { (foreign(&seed.plan)) }
                                    td {
                                        @match seed.outcome {
                                            CorpusOutcome::NotRun => span.chip { "not run" },
                                            CorpusOutcome::Fails => span.chip.invalid { "fails" },
                                            CorpusOutcome::Holds => span.chip.valid { "holds" },
                                            CorpusOutcome::Unknown => span.chip.unknown { "unknown" },
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn troubles(night: &Night) -> Markup {
    html! {
        @if !night.troubles.is_empty() {
            section.reservations {
                h2 { "What the harness got wrong" }
                ul {
                    @for trouble in &night.troubles {
                        li {
                            code { (foreign(&trouble.command)) } ": " (foreign(&trouble.problem))
                            @if let Some(evidence) = &trouble.evidence { " (" a href=(evidence) { (evidence) } ")" }
                        }
                    }
                }
            }
        }
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}
