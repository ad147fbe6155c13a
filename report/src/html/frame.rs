//! The frame of a chart. The drawing is stretched to the width there is; what is written is not
//! part of it, so that it stays legible on a phone.

use maud::{Markup, PreEscaped, html};

use crate::chart::{Path, Tick, coordinate};

/// A chart's frame.
pub(super) struct Frame<'a> {
    /// Its name in the script and in links.
    pub(super) id: &'a str,
    /// What it shows, for those who cannot see it.
    pub(super) description: &'a str,
    /// Whether its horizontal axis is the one of time, which can be zoomed.
    pub(super) is_time: bool,
    pub(super) x_ticks: &'a [Tick],
    pub(super) y_ticks: &'a [Tick],
    /// What is drawn, from the back to the front.
    pub(super) drawing: Markup,
}

impl Frame<'_> {
    /// The chart.
    pub(super) fn draw(self) -> Markup {
        html! {
            div.frame id=(self.id) {
                div.y aria-hidden="true" {
                    @for tick in self.y_ticks {
                        @let style = format!("bottom:{}%", coordinate(tick.at * 100.0));
                        span style=(style) { (tick.label) }
                    }
                }
                div.plot tabindex="0" role="img" aria-label=(self.description) {
                    svg.stretched.time[self.is_time] viewBox="0 0 1000 100"
                        preserveAspectRatio="none" aria-hidden="true"
                    {
                        @for tick in self.y_ticks {
                            @let y = coordinate(100.0 * (1.0 - tick.at));
                            (PreEscaped(format!("<path class=\"grid\" d=\"M0,{y}h1000\"/>")))
                        }
                        (self.drawing)
                    }
                }
                (x_ticks(self.x_ticks))
            }
        }
    }
}

/// The ticks below a plot. Every other one goes where the page is narrow.
pub(super) fn x_ticks(ticks: &[Tick]) -> Markup {
    html! {
        div.x aria-hidden="true" {
            @for (index, tick) in ticks.iter().enumerate() {
                span.odd[index % 2 == 1] style=(format!("--x:{}", place(tick.at))) { (tick.label) }
            }
        }
    }
}

/// A path of a class.
pub(super) fn path(class: &str, path: &Path) -> Markup {
    html! {
        @if !path.is_empty() {
            path class=(class) d=(path.as_str()) {}
        }
    }
}

/// A place from 0 to 1, for the style sheet.
pub(super) fn place(fraction: f64) -> String {
    let text = format!("{fraction:.5}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}
