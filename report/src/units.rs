//! Numbers as people read them: three digits, with a unit.

use viewstorm_history::Timestamp;

const NANOS_PER_SECOND: f64 = 1e9;

/// What stands where there is no figure.
pub(crate) const NONE: &str = "–";

/// A length of time: `850 ns`, `12.3 µs`, `1.25 ms`, `4.07 s`, `3 min 12 s`.
pub(crate) fn duration(nanos: u64) -> String {
    let nanos = nanos as f64;
    // Each limit is where three digits of the smaller unit would round to a fourth.
    if nanos < 999.5 {
        format!("{nanos} ns")
    } else if nanos < 999.5e3 {
        format!("{} µs", three_digits(nanos / 1e3))
    } else if nanos < 999.5e6 {
        format!("{} ms", three_digits(nanos / 1e6))
    } else if nanos < 119.5e9 {
        format!("{} s", three_digits(nanos / NANOS_PER_SECOND))
    } else {
        let seconds = (nanos / NANOS_PER_SECOND).round() as u64;
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// A length of time given in microseconds, as measures are.
pub(crate) fn micros(micros: f64) -> String {
    if micros.is_finite() && micros >= 0.0 {
        duration((micros * 1e3).round() as u64)
    } else {
        NONE.to_owned()
    }
}

/// A time, as seconds from `origin`: `12.413 s`, `−0.250 s`.
pub(crate) fn time(at: Timestamp, origin: Timestamp) -> String {
    let seconds = (at.0 as f64 - origin.0 as f64) / NANOS_PER_SECOND;
    let sign = if seconds <= -0.0005 { "−" } else { "" };
    format!("{sign}{:.3} s", seconds.abs())
}

/// A count with its thousands apart: `30,011`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Operations a second: `998 ops/s`, `31.4 ops/s`.
pub(crate) fn rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        return NONE.to_owned();
    }
    if per_second >= 99.95 {
        format!("{} ops/s", count(per_second.round() as u64))
    } else {
        format!("{} ops/s", three_digits(per_second))
    }
}

/// `1 fault`, `2 faults`.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_never_a_thousand_of_a_unit() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (12_345, "12.3 µs"),
            (999_499, "999 µs"),
            (999_500, "1 ms"),
            (1_254_000, "1.25 ms"),
            (310_000_000, "310 ms"),
            (999_999_999, "1 s"),
            (4_071_000_000, "4.07 s"),
            (100_000_000_000, "100 s"),
            (192_000_000_000, "3 min 12 s"),
            (119_999_999_999, "2 min 0 s"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(duration(nanos), expected, "{nanos}");
        }
        assert_eq!(micros(f64::NAN), NONE);
        assert_eq!(micros(1_210.4), "1.21 ms");
    }

    #[test]
    fn times_count_from_the_origin_and_may_be_before_it() {
        let at = |nanos| time(Timestamp(nanos), Timestamp(1_000_000_000));
        assert_eq!(at(13_413_000_000), "12.413 s");
        assert_eq!(at(750_000_000), "−0.250 s");
        assert_eq!(at(999_999_999), "0.000 s");
    }

    #[test]
    fn counts_and_rates_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(30_011), "30,011");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(rate(998.4), "998 ops/s");
        assert_eq!(rate(31.42), "31.4 ops/s");
        assert_eq!(rate(12_345.6), "12,346 ops/s");
        assert_eq!(rate(0.0), "0 ops/s");
        assert_eq!(rate(f64::INFINITY), NONE);
        assert_eq!(plural(1, "fault"), "1 fault");
        assert_eq!(plural(2, "fault"), "2 faults");
    }
}
