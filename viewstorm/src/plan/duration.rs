//! Durations as a plan writes them: a number and a unit, exact to the nanosecond.

use std::fmt;
use std::time::Duration;

use serde::Serializer;

/// What a reader must write.
pub(super) const EXPECTED: &str = "a number and a unit: \"250ms\", \"30s\", \"1m\"";

/// Units, the largest first, with their nanoseconds.
const UNITS: &[(&str, u64)] = &[
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Why a text is no duration: completes a sentence that begins with the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotADuration(String);

impl fmt::Display for NotADuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a duration: `"250ms"`, `"1.5s"`. A plan's longest is a century or so.
pub(super) fn parse(text: &str) -> Result<Duration, NotADuration> {
    let refuse = |problem: &str| NotADuration(format!("{problem}: \"{}\"", text.escape_debug()));
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    if text.starts_with('-') {
        return Err(refuse("is negative"));
    }
    if number.is_empty() {
        return Err(refuse("is not a duration"));
    }
    let unit = unit.trim_start();
    let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let problem = if unit.is_empty() {
            "has no unit"
        } else {
            "has an unknown unit"
        };
        return Err(refuse(problem));
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let scaled = scale(whole, fraction, *nanos).ok_or_else(|| refuse("is not a duration"))?;
    Ok(Duration::from_nanos(scaled))
}

/// `whole.fraction * nanos`, rounded down to the nanosecond; none if it is no number or too large.
fn scale(whole: &str, fraction: &str, nanos: u64) -> Option<u64> {
    const MAX_DIGITS: usize = 18;
    let fraction = fraction.get(..MAX_DIGITS).unwrap_or(fraction);
    let digits = u32::try_from(fraction.len()).ok()?;
    let part: u128 = fraction.parse().ok()?;
    let part = part * u128::from(nanos) / 10u128.pow(digits);
    let whole = whole.parse::<u64>().ok()?.checked_mul(nanos)?;
    whole.checked_add(u64::try_from(part).ok()?)
}

/// Writes a duration so that it reads back as the same: in its largest unit that leaves a whole number, but
/// in seconds with a fraction rather than in many milliseconds.
pub fn write(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let whole = UNITS.iter().find(|(_, unit)| nanos.is_multiple_of(*unit));
    match whole {
        _ if nanos == 0 => "0s".to_owned(),
        Some((name, unit)) if nanos / unit < 10_000 => format!("{}{name}", nanos / unit),
        _ => {
            let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

/// For `#[serde(serialize_with)]`.
pub(super) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&write(*duration))
}

/// For `#[serde(serialize_with)]` on what may be absent; absent ones are skipped.
pub(super) fn serialize_some<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serialize(duration, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        for garbage in [
            "",
            "s",
            "5",
            "5 parsecs",
            "-1s",
            "1.2.3s",
            ".s",
            "1e3s",
            "99999999999h",
        ] {
            assert!(parse(garbage).is_err(), "{garbage}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_as_it_is_written(nanos: u64, shift in 0u32..64) {
            let duration = Duration::from_nanos(nanos >> shift);
            prop_assert_eq!(parse(&write(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_a_duration_or_refused(text: String) {
            let _ = parse(&text);
        }
    }
}
