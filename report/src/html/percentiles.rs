//! Latency by percentile: the tail gets as much room as the middle.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::frame::{self, Frame};
use crate::chart::{LogAxis, Path, Tick};
use crate::distribution::Curve;
use crate::{summary, units};

/// One plot: the curve of all operations, and those of their parts.
pub(super) struct Plot {
    title: &'static str,
    axis: LogAxis,
    /// How many nines the horizontal axis has.
    nines: f64,
    curves: Vec<Curve>,
}

impl Plot {
    /// The plots of some divisions of the operations, all with the same axes. A division into one
    /// part shows nothing that the whole does not.
    pub(super) fn all(overall: Option<Curve>, parts: [(&'static str, Vec<Curve>); 2]) -> Vec<Self> {
        let Some(overall) = overall else {
            return Vec::new();
        };
        let everything = || {
            parts
                .iter()
                .flat_map(|(_, curves)| curves)
                .chain([&overall])
        };
        let ends = everything().filter_map(|curve| curve.points.last());
        let nines = ends.map(|point| point.nines).fold(1.0, f64::max);
        let latencies = || {
            everything()
                .flat_map(|curve| &curve.points)
                .map(|point| point.latency)
        };
        let axis = LogAxis::new(
            latencies().min().unwrap_or(1),
            latencies().max().unwrap_or(1),
        );
        let is_worth_a_plot = |curves: &Vec<Curve>| curves.len() > 1;
        let has_parts = parts.iter().any(|(_, curves)| is_worth_a_plot(curves));
        let mut plots: Vec<Self> = Vec::new();
        for (title, curves) in &parts {
            if is_worth_a_plot(curves) {
                let curves = [&overall].into_iter().chain(curves).cloned().collect();
                plots.push(Self {
                    title,
                    axis,
                    nines,
                    curves,
                });
            }
        }
        if !has_parts {
            plots.push(Self {
                title: "",
                axis,
                nines,
                curves: vec![overall.clone()],
            });
        }
        plots
    }

    /// The curves as numbers, for the script: microseconds at places from 0 to 1.
    pub(super) fn data(&self) -> Value {
        let curves: Vec<_> = self
            .curves
            .iter()
            .map(|curve| {
                let round = |value: f64| (value * 1e4).round() / 1e4;
                let points: Vec<_> = curve
                    .points
                    .iter()
                    .map(|point| json!([round(point.nines), point.latency / 1000]))
                    .collect();
                json!({"name": summary::label(&curve.name), "points": points})
            })
            .collect();
        json!({"nines": self.nines, "curves": curves})
    }

    fn x_ticks(&self) -> Vec<Tick> {
        let tick = |nines: u32| {
            let label = match nines {
                0 => "0%".to_owned(),
                1 => "90%".to_owned(),
                2 => "99%".to_owned(),
                more => format!("99.{}%", "9".repeat(more as usize - 2)),
            };
            Tick {
                at: f64::from(nines) / self.nines,
                label,
            }
        };
        // The median stands between, for it is what is looked for first.
        let median = Tick {
            at: 2_f64.log10() / self.nines,
            label: "50%".to_owned(),
        };
        let mut ticks = vec![tick(0), median];
        ticks.extend((1..=self.nines.floor() as u32).map(tick));
        ticks
    }

    fn draw(&self, number: usize) -> Markup {
        let y_ticks = self.axis.ticks();
        let drawing = html! {
            // The whole lies in front of its parts.
            @for (index, curve) in self.curves.iter().enumerate().rev() {
                (frame::path(&format!("curve c{index}"), &self.path(curve)))
            }
        };
        let description = format!("Latency by percentile, {}", self.title);
        html! {
            figure {
                figcaption {
                    strong { "Latency by percentile" } span.muted { (self.title) }
                    ul.legend {
                        @for (index, curve) in self.curves.iter().enumerate() {
                            li {
                                span.swatch.curve.{ "c" (index) } {}
                                (summary::label(&curve.name)) " "
                                span.muted { "(" (units::count(curve.count as u64)) ")" }
                            }
                        }
                    }
                }
                (Frame {
                    id: &format!("percentiles-{number}"), is_time: false, x_ticks: &self.x_ticks(),
                    y_ticks: &y_ticks, drawing, description: &description,
                }.draw())
            }
        }
    }

    fn path(&self, curve: &Curve) -> Path {
        let mut path = Path::default();
        for (number, point) in curve.points.iter().enumerate() {
            let (x, y) = (point.nines / self.nines, self.axis.place(point.latency));
            match number {
                0 if curve.count == 1 => path.dot(x, y),
                0 => path.move_to(x, y),
                _ => path.line_to(x, y),
            }
        }
        path
    }
}

/// The section.
pub(super) fn section(plots: &[Plot]) -> Markup {
    html! {
        section #percentiles {
            h2 { "Percentiles" }
            @if plots.is_empty() {
                p.note { "No operation was acknowledged." }
            } @else {
                p.note {
                    "The share of acknowledged operations that took at most so long; each mark to "
                    "the right is ten times as rare."
                }
                div.side-by-side {
                    @for (number, plot) in plots.iter().enumerate() { (plot.draw(number)) }
                }
            }
        }
    }
}
