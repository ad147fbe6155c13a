//! The geometry of charts: axes and paths. What they look like, the page says.

mod axis;
mod lanes;
mod path;

pub(crate) use axis::{LinearAxis, LogAxis, Tick, time_ticks};
pub(crate) use lanes::{Lanes, Span};
pub(crate) use path::{HEIGHT, Path, WIDTH, coordinate};
