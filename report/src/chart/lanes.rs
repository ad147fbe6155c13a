//! Spans of time with labels, stacked so that none covers another.

/// A span that wants a place. Places are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    /// Where it begins.
    pub(crate) from: f64,
    /// Where it ends.
    pub(crate) to: f64,
    /// How wide its label is.
    pub(crate) label: f64,
}

/// A span's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which lane, from 0.
    pub(crate) lane: usize,
    /// The label ends with the span, for there is no room to the right.
    pub(crate) is_label_left: bool,
    /// There is room for the label.
    pub(crate) has_label: bool,
}

/// The places of some spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes {
    /// One place for each span, in their order.
    pub(crate) places: Vec<Place>,
    /// How many lanes there are.
    pub(crate) number: usize,
}

impl Lanes {
    /// Gives every span the first lane that is free there. Those for which all `limit` lanes are taken
    /// share one more, without labels.
    pub(crate) fn new(spans: &[Span], limit: usize) -> Self {
        const GAP: f64 = 0.006;
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by(|a, b| spans[*a].from.total_cmp(&spans[*b].from));
        let shared = Place {
            lane: limit,
            is_label_left: false,
            has_label: false,
        };
        let mut places = vec![shared; spans.len()];
        let mut taken: Vec<f64> = Vec::new();
        for index in order {
            let span = spans[index];
            let is_label_left = span.from + span.label > 1.0 && span.to - span.label >= 0.0;
            let (from, to) = match is_label_left {
                true => (span.from.min(span.to - span.label), span.to),
                false => (span.from, span.to.max(span.from + span.label)),
            };
            let free = taken.iter().position(|end| *end + GAP <= from);
            let lane = free.unwrap_or(taken.len());
            if lane == limit {
                continue;
            }
            taken.resize(taken.len().max(lane + 1), 0.0);
            taken[lane] = to;
            places[index] = Place {
                lane,
                is_label_left,
                has_label: true,
            };
        }
        let number = places.iter().map(|place| place.lane + 1).max().unwrap_or(0);
        Self { places, number }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lanes(spans: &[(f64, f64)], limit: usize) -> Vec<(usize, bool)> {
        let spans: Vec<_> = spans
            .iter()
            .map(|(from, to)| Span {
                from: *from,
                to: *to,
                label: 0.1,
            })
            .collect();
        let lanes = Lanes::new(&spans, limit);
        lanes
            .places
            .iter()
            .map(|place| (place.lane, place.has_label))
            .collect()
    }

    #[test]
    fn spans_that_meet_lie_in_lanes_of_their_own() {
        assert_eq!(
            lanes(&[(0.0, 0.2), (0.1, 0.3), (0.25, 0.5)], 4),
            [(0, true), (1, true), (0, true)]
        );
        // The label needs room too.
        assert_eq!(
            lanes(&[(0.0, 0.01), (0.05, 0.06)], 4),
            [(0, true), (1, true)]
        );
    }

    #[test]
    fn when_lanes_run_out_the_rest_share_one_without_labels() {
        assert_eq!(
            lanes(&[(0.0, 1.0), (0.1, 1.0), (0.2, 1.0)], 2)[2],
            (2, false)
        );
    }

    proptest! {
        #[test]
        fn labelled_spans_never_overlap(
            spans in prop::collection::vec((0.0..1.0_f64, 0.0..0.3_f64, 0.0..0.2_f64), 0..40),
        ) {
            let spans: Vec<_> = spans
                .into_iter()
                .map(|(from, length, label)| Span { from, to: (from + length).min(1.0), label })
                .collect();
            let lanes = Lanes::new(&spans, 100);
            for (a, place_a) in spans.iter().zip(&lanes.places) {
                for (b, place_b) in spans.iter().zip(&lanes.places) {
                    let meet = a.from < b.to && b.from < a.to;
                    prop_assert!(a == b || !meet || place_a.lane != place_b.lane);
                }
            }
        }
    }
}
