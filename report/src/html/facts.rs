//! How to run it again, and what machine it ran on.

use maud::{Markup, html};

use super::parts;
use crate::{Results, summary, text, units};

/// The most facts and commands that are listed.
const MAX_FACTS: usize = 100;

/// The commands that run it again.
pub(super) fn reproduce(results: &Results) -> Markup {
    html! {
        @if !results.reproduce.is_empty() {
            section #reproduce {
                h2 { "Run it again" }
                @for command in results.reproduce.iter().take(MAX_FACTS) {
                    div.command {
                        pre tabindex="0" { code { (text::one_line(command)) } }
                        button.scripted type="button" hidden { "Copy" }
                    }
                }
                @if results.run.world == "processes" {
                    p.note {
                        "In the world of processes a seed fixes the operations and the faults, not "
                        "how the processes interleave: it narrows the run, and does not replay it."
                    }
                }
            }
        }
    }
}

/// The machine, what it can do at best, and whether the harness kept up.
pub(super) fn machine(results: &Results) -> Markup {
    let is_unknown =
        results.machine.is_empty() && results.floors.is_empty() && results.harness_lag.is_none();
    html! {
        section #machine {
            h2 { "Machine" }
            @if is_unknown {
                p.note { "Nothing was recorded of the machine." }
            }
            (lag(results))
            div.side-by-side {
                @if !results.machine.is_empty() {
                    dl.facts {
                        @for (name, value) in results.machine.iter().take(MAX_FACTS) {
                            div { dt { (summary::label(name)) } dd { (parts::foreign(value)) } }
                        }
                    }
                }
                @if !results.floors.is_empty() {
                    div {
                        p.note {
                            "Floors: what this machine does at best, measured without a protocol."
                        }
                        dl.facts {
                            @for (name, value) in results.floors.iter().take(MAX_FACTS) {
                                @let (name, value) = floor(name, *value);
                                div { dt { (summary::label(&name)) } dd { (value) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn lag(results: &Results) -> Markup {
    html! {
        @if let Some(lag) = &results.harness_lag {
            p {
                @if lag.fell_behind {
                    span.chip.unknown { "the harness fell behind" }
                } @else {
                    span.chip.valid { "the harness kept up" }
                }
                " It started operations late by at most " (units::micros(lag.max_us)) " (p99 "
                (units::micros(lag.p99_us))
                @if let Some(limit) = lag.limit_us { "; flagged beyond " (units::micros(limit)) }
                ")."
            }
        }
    }
}

/// A floor's name without its unit, and its figure with it.
fn floor(name: &str, value: f64) -> (String, String) {
    let words = |name: &str| name.replace('_', " ");
    if let Some(name) = name.strip_suffix("_us") {
        (words(name), units::micros(value))
    } else if let Some(name) = name.strip_suffix("_ns") {
        (words(name), units::micros(value / 1e3))
    } else if let Some(name) = name.strip_suffix("_per_s") {
        let figure = if value.is_finite() && value >= 0.0 {
            value.round() as u64
        } else {
            0
        };
        (words(name), format!("{} /s", units::count(figure)))
    } else {
        (words(name), format!("{value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_tells_its_unit() {
        let pair = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            floor("udp_echo_p50_us", 12.3),
            pair("udp echo p50", "12.3 µs".to_owned())
        );
        assert_eq!(
            floor("fsync_ns", 1_500.0),
            pair("fsync", "1.5 µs".to_owned())
        );
        assert_eq!(
            floor("signatures_per_s", 51_234.4),
            pair("signatures", "51,234 /s".to_owned())
        );
        assert_eq!(floor("cores", 2.0), pair("cores", "2".to_owned()));
    }
}
