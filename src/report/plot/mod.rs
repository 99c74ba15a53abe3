//! What every plot needs, drawn as characters or as SVG: axes, units, where a curve is interrupted.

mod curve;
mod scale;
mod text;
mod time_axis;
mod unit;

pub(super) use curve::{Curve, curve_of};
pub(super) use scale::Scale;
pub(super) use text::{Marks, TextPlot, sparkline};
pub(super) use time_axis::{share_of, time_ticks};
pub(super) use unit::{Unit, plain_number};
