//! Where the faults and the view changes lie on the axis of time, and which colours they have.

use std::collections::BTreeMap;

use maud::{Markup, html};
use viewstorm_history::Timestamp;

use super::{frame, parts};
use crate::chart::{HEIGHT, Path, WIDTH, coordinate};
use crate::series::Series;
use crate::{FaultRecord, Results, ViewChange, summary, units};

/// The most faults that are drawn one by one and listed: the page stays small.
pub(super) const MAX_FAULTS: usize = 120;
/// The most faults beyond those that are drawn at all.
const MAX_OUTLINES: usize = 1000;
/// The most view changes that are drawn; of those that lie together only the last is.
const MAX_VIEWS: usize = 200;
/// As many colours as the style sheet has.
const COLORS: usize = 8;

/// The faults that were applied, on the axis of time.
pub(super) struct Faults<'a> {
    /// The first of them.
    pub(super) bands: Vec<Band<'a>>,
    /// The outlines of the others, one for each colour.
    others: [Path; COLORS],
    colors: BTreeMap<&'a str, usize>,
}

/// One fault that was applied.
pub(super) struct Band<'a> {
    pub(super) fault: &'a FaultRecord,
    pub(super) color: usize,
    /// When it was applied, from 0 to 1.
    pub(super) from: f64,
    /// When it was healed; the end if it was not.
    pub(super) to: f64,
    title: String,
}

impl<'a> Faults<'a> {
    /// The faults of a run.
    pub(super) fn new(results: &'a Results, series: &Series) -> Self {
        let mut colors = BTreeMap::new();
        for fault in &results.faults {
            let next = colors.len() % COLORS;
            colors.entry(fault.name.as_str()).or_insert(next);
        }
        let band = |fault: &'a FaultRecord| {
            let injected = fault.injected_at_ns?;
            let healed = fault.healed_at_ns.unwrap_or(series.to);
            let place = |at: Timestamp| series.fraction(at).clamp(0.0, 1.0);
            Some(Band {
                fault,
                color: colors.get(fault.name.as_str()).copied().unwrap_or_default(),
                from: place(injected),
                to: place(healed).max(place(injected)),
                title: title(fault, series.from),
            })
        };
        let bands = results
            .faults
            .iter()
            .take(MAX_FAULTS)
            .filter_map(band)
            .collect();
        let mut others: [Path; COLORS] = Default::default();
        for band in results
            .faults
            .iter()
            .skip(MAX_FAULTS)
            .take(MAX_OUTLINES)
            .filter_map(band)
        {
            let to = band.to.max(band.from + 1.0 / WIDTH);
            let path = &mut others[band.color];
            path.move_to(band.from, 0.0);
            path.line_to(band.from, 1.0);
            path.line_to(to, 1.0);
            path.line_to(to, 0.0);
            path.close();
        }
        Self {
            bands,
            others,
            colors,
        }
    }

    /// The colour of a kind of fault.
    pub(super) fn color(&self, name: &str) -> usize {
        self.colors.get(name).copied().unwrap_or_default()
    }

    /// Which kinds there are, each with its colour.
    pub(super) fn legend(&self) -> Markup {
        html! {
            @if !self.colors.is_empty() {
                ul.legend {
                    @for (name, color) in &self.colors {
                        li { span.swatch.band.{ "f" (color) } {} (summary::label(name)) }
                    }
                }
            }
        }
    }

    /// The bands in a chart over time.
    pub(super) fn draw(&self) -> Markup {
        html! {
            @for (color, path) in self.others.iter().enumerate() {
                (frame::path(&format!("band f{color}"), path))
            }
            @for band in &self.bands {
                rect.band.{ "f" (band.color) } data-fault=(band.fault.id)
                    x=(coordinate(band.from * WIDTH)) y="0"
                    width=(coordinate(((band.to - band.from) * WIDTH).max(1.0)))
                    height=(coordinate(HEIGHT))
                { title { (band.title) } }
            }
        }
    }
}

impl Band<'_> {
    /// What happened to it, in a line.
    pub(super) fn title(&self) -> &str {
        &self.title
    }
}

fn title(fault: &FaultRecord, origin: Timestamp) -> String {
    let at = |time: Option<Timestamp>, stage: &str| match time {
        Some(time) => format!("{stage} {}", units::time(time, origin)),
        None => format!("not {stage}"),
    };
    let mut title = summary::fault_title(fault);
    if !fault.description.is_empty() {
        title = format!("{title} ({})", summary::label(&fault.description));
    }
    format!(
        "{title}: {}, {}, {}",
        at(fault.injected_at_ns, "applied"),
        at(fault.confirmed_at_ns, "confirmed"),
        at(fault.healed_at_ns, "healed")
    )
}

/// The view changes that are drawn: one for each place that can be told apart, the last there.
pub(super) fn drawn_views(results: &Results, series: &Series) -> Vec<ViewChange> {
    let mut places: BTreeMap<usize, ViewChange> = BTreeMap::new();
    for view in &results.views {
        let fraction = series.fraction(view.at_ns);
        if !(0.0..=1.0).contains(&fraction) {
            continue;
        }
        let place = (fraction * MAX_VIEWS as f64) as usize;
        let earlier = places.get(&place);
        if earlier.is_none_or(|earlier| (earlier.epoch, earlier.view) <= (view.epoch, view.view)) {
            places.insert(place, *view);
        }
    }
    places.into_values().collect()
}

/// The view changes as ticks along the top of a chart.
pub(super) fn draw_views(results: &Results, series: &Series) -> Markup {
    html! {
        @for view in drawn_views(results, series) {
            @let x = coordinate(series.fraction(view.at_ns) * WIDTH);
            path.view d=(format!("M{x},0v6")) { title { (view_title(&view, series.from)) } }
        }
    }
}

/// A view change in a line.
pub(super) fn view_title(view: &ViewChange, origin: Timestamp) -> String {
    let at = units::time(view.at_ns, origin);
    match view.epoch {
        0 => format!("view {} at {at}, primary {}", view.view, view.primary),
        epoch => format!(
            "epoch {epoch}, view {} at {at}, primary {}",
            view.view, view.primary
        ),
    }
}

/// A fault's name with its colour.
pub(super) fn fault_name(faults: &Faults<'_>, fault: &FaultRecord) -> Markup {
    html! {
        span.swatch.band.{ "f" (faults.color(&fault.name)) } {}
        strong { (summary::label(&fault.name)) }
        @if !fault.description.is_empty() {
            " " span.muted { (parts::foreign(&fault.description)) }
        }
    }
}
