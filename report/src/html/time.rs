//! Latency and throughput over time, on one axis, with the faults as bands behind them.

use maud::{Markup, html};

use super::faults::{Faults, MAX_FAULTS, draw_views, drawn_views, view_title};
use super::frame::{self, Frame};
use super::page::Sources;
use crate::chart::{Lanes, LinearAxis, LogAxis, Path, Span, Tick, time_ticks};
use crate::series::{BucketLatency, Series};
use crate::{text, units};

/// The most lanes of faults.
const MAX_LANES: usize = 8;
/// How high a lane is, in pixels.
const LANE_PIXELS: usize = 24;
/// How wide a character of a label is, and the plot on a screen that is wide: for lanes without
/// overlaps.
const CHARACTER_PIXELS: f64 = 7.0;
const PLOT_PIXELS: f64 = 1000.0;
/// How much of a fault's name stands on its bar.
const LABEL_CHARS: usize = 24;
/// The least distance of two labels of view changes.
const VIEW_LABEL_PIXELS: f64 = 34.0;

/// The section.
pub(super) fn time(sources: &Sources<'_>) -> Markup {
    let series = &sources.series;
    let bucket = units::duration(series.width);
    let x_ticks = time_ticks(series.from, series.to, sources.origin);
    html! {
        section #time {
            h2 { "Over time" }
            @if !series.is_empty() { p.note {
                "Seconds from the start of the load, in buckets of " (bucket) "."
                span.scripted hidden {
                    " Point at a chart to read a bucket (or use the arrow keys); drag to zoom, "
                    "double-click to go back."
                }
            } }
            div.together #over-time {
                (faults_figure(sources))
                @if series.is_empty() {
                    p.note { "No operation was invoked." }
                } @else {
                    (latency_figure(sources, &x_ticks))
                    (throughput_figure(sources, &x_ticks))
                }
            }
        }
    }
}

/// The faults in lanes, with their names; below them the views.
fn faults_figure(sources: &Sources<'_>) -> Markup {
    let faults = &sources.faults;
    let views = drawn_views(sources.results, &sources.series);
    if faults.bands.is_empty() && views.is_empty() {
        return html! { p.note { "No fault was applied, and no view change was noted." } };
    }
    let lanes = lanes(faults);
    let height = lanes.number * LANE_PIXELS + if views.is_empty() { 0 } else { 22 };
    let unlabelled = sources.results.faults.len().saturating_sub(MAX_FAULTS);
    html! {
        figure {
            figcaption {
                strong { "Faults" }
                @if unlabelled > 0 {
                    span.muted { "the first " (MAX_FAULTS) "; the charts show all" }
                }
                (faults.legend())
            }
            div.frame.lanes style=(format!("height:{height}px")) {
                div.plot {
                    @for (band, place) in faults.bands.iter().zip(&lanes.places) {
                        @let style = format!(
                            "--x:{};--to:{};top:{}px",
                            frame::place(band.from), frame::place(band.to), place.lane * LANE_PIXELS
                        );
                        a.bar.{ "f" (band.color) } .left[place.is_label_left]
                            href=(format!("#fault-{}", band.fault.id)) style=(style)
                            title=(band.title())
                        {
                            @if place.has_label {
                                span { "#" (band.fault.id) b { " " (short_name(&band.fault.name)) } }
                            }
                        }
                    }
                    (view_labels(sources))
                }
                @if !views.is_empty() { div.y { span style="bottom:11px" { "view" } } }
            }
        }
    }
}

fn short_name(name: &str) -> String {
    text::shorten(&text::one_line(name), LABEL_CHARS)
}

fn lanes(faults: &Faults<'_>) -> Lanes {
    let span = |band: &super::faults::Band<'_>| {
        let characters = short_name(&band.fault.name).chars().count() + 4;
        let label = (characters as f64 * CHARACTER_PIXELS + 12.0) / PLOT_PIXELS;
        Span {
            from: band.from,
            to: band.to,
            label,
        }
    };
    let spans: Vec<_> = faults.bands.iter().map(span).collect();
    Lanes::new(&spans, MAX_LANES)
}

/// The view changes as marks. Of those that lie close together the last has the label.
fn view_labels(sources: &Sources<'_>) -> Markup {
    let views = drawn_views(sources.results, &sources.series);
    let place = |index: usize| {
        views
            .get(index)
            .map(|view| sources.series.fraction(view.at_ns))
    };
    let room = VIEW_LABEL_PIXELS / PLOT_PIXELS;
    html! {
        @for (index, view) in views.iter().enumerate() {
            @let at = sources.series.fraction(view.at_ns);
            @let has_room = place(index + 1).is_none_or(|next| next - at >= room);
            span.view-mark style=(format!("--x:{}", frame::place(at)))
                title=(view_title(view, sources.origin))
            { @if has_room { "v" (view.view) } }
        }
    }
}

fn latency_figure(sources: &Sources<'_>, x_ticks: &[Tick]) -> Markup {
    let series = &sources.series;
    let latencies = || series.buckets.iter().filter_map(|bucket| bucket.latency);
    let least = latencies().map(|latency| latency.p50).min();
    let most = latencies().map(|latency| latency.max).max();
    let axis = LogAxis::new(least.unwrap_or(100_000), most.unwrap_or(1_000_000_000));
    let mut longest = Path::default();
    for (index, bucket) in series.buckets.iter().enumerate() {
        if let Some(latency) = bucket.latency {
            longest.dot(middle(series, index), axis.place(latency.max));
        }
    }
    let drawing = html! {
        (sources.faults.draw())
        (frame::path("fan", &fan(series, &axis)))
        (frame::path("max", &longest))
        (frame::path("p99", &curve(series, &axis, |latency| latency.p99)))
        (frame::path("p50", &curve(series, &axis, |latency| latency.p50)))
        (draw_views(sources.results, series))
    };
    html! {
        figure {
            figcaption {
                strong { "Latency" }
                span.muted { "of acknowledged operations, by when they were due" }
                ul.legend {
                    li { span.swatch.max {} "max" } li { span.swatch.p99 {} "p99" }
                    li { span.swatch.p50 {} "p50" }
                }
            }
            (Frame {
                id: "latency", is_time: true, x_ticks, y_ticks: &axis.ticks(), drawing,
                description: "Latency over time: median, 99th percentile and maximum of each bucket, \
                              with the faults as bands",
            }.draw())
        }
    }
}

/// A curve through the buckets that have latencies; it breaks where there are none.
fn curve(series: &Series, axis: &LogAxis, of: fn(&BucketLatency) -> u64) -> Path {
    let mut path = Path::default();
    let mut is_down = false;
    for (index, bucket) in series.buckets.iter().enumerate() {
        let Some(latency) = &bucket.latency else {
            is_down = false;
            continue;
        };
        let (x, y) = (middle(series, index), axis.place(of(latency)));
        let is_alone = series
            .buckets
            .get(index + 1)
            .is_none_or(|next| next.latency.is_none());
        match (is_down, is_alone) {
            (true, _) => path.line_to(x, y),
            (false, false) => path.move_to(x, y),
            (false, true) => path.dot(x, y),
        }
        is_down = true;
    }
    path
}

/// The area between the median and the 99th percentile.
fn fan(series: &Series, axis: &LogAxis) -> Path {
    let mut path = Path::default();
    let known = |index: &usize| series.buckets[*index].latency.is_some();
    let mut index = 0;
    while index < series.buckets.len() {
        let run: Vec<usize> = (index..series.buckets.len()).take_while(known).collect();
        index += run.len().max(1);
        let corner = |index: usize, of: fn(BucketLatency) -> u64| {
            let latency = series.buckets[index].latency?;
            Some((middle(series, index), axis.place(of(latency))))
        };
        let there = run
            .iter()
            .filter_map(|index| corner(*index, |latency| latency.p99));
        let back = run
            .iter()
            .rev()
            .filter_map(|index| corner(*index, |latency| latency.p50));
        for (number, (x, y)) in there.chain(back).enumerate() {
            if number == 0 {
                path.move_to(x, y)
            } else {
                path.line_to(x, y)
            }
        }
        if !run.is_empty() {
            path.close();
        }
    }
    path
}

fn throughput_figure(sources: &Sources<'_>, x_ticks: &[Tick]) -> Markup {
    let series = &sources.series;
    let total = series
        .buckets
        .iter()
        .map(|bucket| bucket.ok.max(bucket.fail + bucket.info))
        .max();
    let axis = LinearAxis::new(series.per_second(total.unwrap_or(0)));
    let drawing = html! {
        (sources.faults.draw())
        (frame::path("ok-area", &steps(series, &axis, true)))
        (frame::path("ok", &steps(series, &axis, false)))
        (frame::path("fail", &columns(series, &axis, |bucket| (0, bucket.fail))))
        (frame::path("info", &columns(series, &axis, |bucket| (bucket.fail, bucket.info))))
        (draw_views(sources.results, series))
    };
    let not_started = sources.results.counts.not_started;
    html! {
        figure {
            figcaption {
                strong { "Throughput" }
                span.muted { "operations a second, by when they ended" }
                ul.legend {
                    li { span.swatch.ok {} "ok" } li { span.swatch.fail {} "fail" }
                    li { span.swatch.info {} "info" }
                }
            }
            (Frame {
                id: "throughput", is_time: true, x_ticks, y_ticks: &axis.ticks(), drawing,
                description: "Throughput over time: operations acknowledged, failed and of unknown \
                              outcome a second, with the faults as bands",
            }.draw())
            @if not_started > 0 || series.open > 0 {
                p.note {
                    @if not_started > 0 {
                        (units::plural(not_started, "operation"))
                        " found no free client in time and never started; the history does not "
                        "hold them. "
                    }
                    @if series.open > 0 {
                        (units::plural(series.open, "operation")) " never ended."
                    }
                }
            }
        }
    }
}

/// The acknowledged operations as steps, as a line or down to the axis.
fn steps(series: &Series, axis: &LinearAxis, is_area: bool) -> Path {
    let mut path = Path::default();
    if is_area {
        path.move_to(0.0, 0.0);
    }
    for (index, bucket) in series.buckets.iter().enumerate() {
        let y = axis.place(series.per_second(bucket.ok));
        match (index, is_area) {
            (0, false) => path.move_to(0.0, y),
            _ => path.line_to(edge(series, index), y),
        }
        path.line_to(edge(series, index + 1), y);
    }
    if is_area {
        path.line_to(1.0, 0.0);
        path.close();
    }
    path
}

/// A column for every bucket with something in it: (below it, its own height).
fn columns(
    series: &Series,
    axis: &LinearAxis,
    of: fn(&crate::series::Bucket) -> (u64, u64),
) -> Path {
    let mut path = Path::default();
    for (index, bucket) in series.buckets.iter().enumerate() {
        let (below, own) = of(bucket);
        if own == 0 {
            continue;
        }
        let low = axis.place(series.per_second(below));
        let high = axis.place(series.per_second(below + own));
        path.move_to(edge(series, index), low);
        path.line_to(edge(series, index), high);
        path.line_to(edge(series, index + 1), high);
        path.line_to(edge(series, index + 1), low);
        path.close();
    }
    path
}

fn edge(series: &Series, index: usize) -> f64 {
    index as f64 / series.buckets.len() as f64
}

fn middle(series: &Series, index: usize) -> f64 {
    (index as f64 + 0.5) / series.buckets.len() as f64
}
