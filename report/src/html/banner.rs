//! The head of the page: the verdict, what kind of run it was, and its figures at a glance.

use maud::{Markup, html};
use viewstorm_history::History;

use super::page::Sources;
use super::parts::{self, verdict_class};
use crate::{Results, summary, units};

/// The head.
pub(super) fn banner(sources: &Sources<'_>, history: &History) -> Markup {
    let results = sources.results;
    html! {
        header.banner.(verdict_class(results.outcome.validity)) {
            p.verdict {
                strong #verdict { (results.outcome.validity) }
                span { (summary::expectation(results)) }
            }
            h1 { (summary::label(&results.run.experiment)) }
            p.headline { (capital(&summary::headline(results))) "." }
            @if let Some(description) = &results.run.description {
                p.muted { (parts::foreign(description)) }
            }
            (identity(results))
        }
        (reservations(results, history))
        (tiles(sources))
        (navigation(results))
    }
}

fn identity(results: &Results) -> Markup {
    let run = &results.run;
    let exit = &results.outcome.exit;
    html! {
        ul.identity {
            li { "protocol " b { (summary::label(&run.protocol)) } }
            li { b { (run.replicas) } " replicas" }
            li { b { (units::count(u64::from(run.clients))) } " clients" }
            li { "world " b { (summary::label(&run.world)) } }
            li { "seed " b { (run.seed) } }
            li { "took " b { (units::duration(run.duration_ns)) } }
            li { "started " b { (summary::label(&run.started)) } }
            li { "exit code " b { (exit.code) } " (" (summary::label(&exit.meaning)) ")" }
        }
    }
}

/// What keeps the run from counting in full. The judge names a history that breaks off among its
/// reservations; where it named none, the history speaks for itself.
fn reservations(results: &Results, history: &History) -> Markup {
    let mut reservations: Vec<&str> = results.reservations.iter().map(String::as_str).collect();
    if reservations.is_empty() {
        if !history.is_complete() {
            reservations.push("The history has no end record: the run was cut off.");
        }
        reservations.extend(
            history
                .end
                .as_ref()
                .and_then(|end| end.interrupted.as_deref()),
        );
    }
    html! {
        @if !reservations.is_empty() {
            section.reservations aria-label="Reservations" {
                h2 { "Reservations" }
                ul { @for reservation in reservations { li { (parts::foreign(reservation)) } } }
            }
        }
    }
}

fn tiles(sources: &Sources<'_>) -> Markup {
    let results = sources.results;
    let counts = &results.counts;
    let latency = &results.latency;
    let figure = |micros: f64| match latency.count {
        0 => units::NONE.to_owned(),
        _ => units::micros(micros),
    };
    let rest = format!(
        "{} fail, {} info, {} not started",
        units::count(counts.fail),
        units::count(counts.info),
        units::count(counts.not_started)
    );
    let head = format!("p90 {}", figure(latency.p90_us));
    let tail = format!(
        "p99.9 {}, max {}",
        figure(latency.p99_9_us),
        figure(latency.max_us)
    );
    let totals = &results.fault_totals;
    let faults = format!("{} of {}", totals.confirmed, totals.planned);
    let stages = format!("{} applied, {} healed", totals.applied, totals.healed);
    let is_short = totals.confirmed < totals.planned;
    html! {
        dl.tiles {
            (tile("acknowledged", &units::count(counts.ok), &rest, false))
            (tile("throughput", &units::rate(results.throughput_ops_per_s), "acknowledged", false))
            (tile("latency p50", &figure(latency.p50_us), &head, false))
            (tile("latency p99", &figure(latency.p99_us), &tail, false))
            (tile("faults confirmed", &faults, &stages, is_short))
            (recovery_tile(results))
            (outage_tile(sources))
        }
    }
}

fn recovery_tile(results: &Results) -> Markup {
    let recovery = &results.recovery;
    let (figure, is_bad) = match (recovery.final_heal_at_ns, recovery.after_final_heal_ns) {
        (_, Some(after)) => (units::duration(after), false),
        (Some(_), None) => ("never".to_owned(), true),
        (None, None) => (units::NONE.to_owned(), false),
    };
    tile("recovery", &figure, "final heal to next ok", is_bad)
}

fn outage_tile(sources: &Sources<'_>) -> Markup {
    match &sources.results.recovery.longest_outage {
        None => tile("longest outage", units::NONE, "", false),
        Some(outage) => {
            let length = outage.to_ns.0.saturating_sub(outage.from_ns.0);
            let from = format!("from {}", units::time(outage.from_ns, sources.origin));
            tile("longest outage", &units::duration(length), &from, false)
        }
    }
}

fn tile(name: &str, figure: &str, note: &str, is_bad: bool) -> Markup {
    html! {
        div.bad[is_bad] {
            dt { (name) }
            dd { strong { (figure) } @if !note.is_empty() { span { (note) } } }
        }
    }
}

fn navigation(results: &Results) -> Markup {
    html! {
        nav aria-label="Sections" {
            @if results.first_violation().is_some() { a href="#contradiction" { "Contradiction" } }
            a href="#time" { "Over time" }
            a href="#percentiles" { "Percentiles" }
            a href="#faults" { "Faults" }
            a href="#checks" { "Checks" }
            a href="#figures" { "Figures" }
            @if !results.reproduce.is_empty() { a href="#reproduce" { "Run it again" } }
            a href="#machine" { "Machine" }
        }
    }
}

fn capital(sentence: &str) -> String {
    let mut characters = sentence.trim_end_matches('.').chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
