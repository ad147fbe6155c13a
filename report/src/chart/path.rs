//! The outlines of curves and steps, in a drawing that the page stretches to the width it has.

use std::fmt::Write;

/// The width of a drawing.
pub(crate) const WIDTH: f64 = 1000.0;
/// The height of a drawing.
pub(crate) const HEIGHT: f64 = 100.0;

/// A path in SVG's notation. Places are from 0 to 1, from the left and from the bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    data: String,
}

impl Path {
    /// Lifts the pen and sets it down there.
    pub(crate) fn move_to(&mut self, x: f64, y: f64) {
        self.append('M', x, y);
    }

    /// Draws a line to there.
    pub(crate) fn line_to(&mut self, x: f64, y: f64) {
        self.append('L', x, y);
    }

    /// A dot.
    pub(crate) fn dot(&mut self, x: f64, y: f64) {
        self.append('M', x, y);
        self.data.push_str("h0");
    }

    /// Closes the outline.
    pub(crate) fn close(&mut self) {
        self.data.push('Z');
    }

    /// Whether nothing was drawn.
    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// What stands in the attribute `d`.
    pub(crate) fn as_str(&self) -> &str {
        &self.data
    }

    fn append(&mut self, command: char, x: f64, y: f64) {
        let (x, y) = (coordinate(x * WIDTH), coordinate((1.0 - y) * HEIGHT));
        // A string takes every write.
        let _ = write!(self.data, "{command}{x},{y}");
    }
}

/// A coordinate with two digits after the point at most.
pub(crate) fn coordinate(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_short_coordinates() {
        let mut path = Path::default();
        path.move_to(0.0, 0.0);
        path.line_to(0.123_456, 0.5);
        path.dot(1.0, 1.0);
        path.close();
        assert_eq!(path.as_str(), "M0,100L123.46,50M1000,0h0Z");
        assert_eq!(coordinate(-0.001), "0");
        assert_eq!(coordinate(f64::NAN), "0");
    }
}
