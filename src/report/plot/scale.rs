//! The axis of values: from where to where, and at which values it is labelled.

use super::curve::Curve;
use super::unit::{Shown, Unit};

/// Values at which an axis is labelled differ by one of these times a power of ten.
const STEPS: [f64; 6] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0];

/// A linear axis of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Scale {
    low: f64,
    high: f64,
    step: f64,
    shown: Shown,
}

impl Scale {
    /// An axis that holds all values from `least` to `most`, with at most `ticks` labels (at least two).
    /// It begins at zero where that costs less than half of its length.
    pub(in crate::report) fn new(least: f64, most: f64, unit: Unit, ticks: usize) -> Self {
        let shown = unit.shown(least.abs().max(most.abs()));
        let least = if least > 0.0 && least < most / 2.0 { 0.0 } else { least };
        // Where all values are the same, the axis shows some more to both sides.
        let margin = match least == most {
            true if least == 0.0 => 1.0 / shown.factor,
            true => least.abs() / 2.0,
            false => 0.0,
        };
        let zero_stays = least >= 0.0 && least - margin < 0.0;
        let low = if zero_stays { 0.0 } else { least - margin };
        let high = most + margin;
        let step = step(low, high, shown, ticks.max(2));
        let (floor, ceiling) = ((low / step).floor() * step, (high / step).ceil() * step);
        match step > 0.0 && (floor - ceiling).is_finite() && floor < ceiling {
            true => Self { low: floor, high: ceiling, step, shown },
            false => Self { low, high, step: 0.0, shown },
        }
    }

    /// An axis that holds all finite values of some curves; `None` where they have none.
    pub(in crate::report) fn around<'a>(
        curves: impl IntoIterator<Item = &'a Curve>,
        unit: Unit,
        ticks: usize,
    ) -> Option<Self> {
        let bounds = curves.into_iter().filter_map(Curve::bounds);
        let (least, most) = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some(Self::new(least, most, unit, ticks))
    }

    /// Where a value lies: 0 at the low end, 1 at the high one.
    pub(in crate::report) fn share(&self, value: f64) -> f64 {
        // Halved, for the difference of two finite numbers need not be finite.
        let length = self.high / 2.0 - self.low / 2.0;
        let share = (value / 2.0 - self.low / 2.0) / length;
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The values that are labelled, ascending, each with its label.
    pub(in crate::report) fn ticks(&self) -> Vec<(f64, String)> {
        let values = if self.step > 0.0 {
            let count = ((self.high - self.low) / self.step).round().min(100.0) as u32;
            (0..=count).map(|number| self.low + f64::from(number) * self.step).collect()
        } else {
            vec![self.low, self.high]
        };
        values.into_iter().map(|value| (value, self.shown.text(value, self.step))).collect()
    }

    /// The lowest and the highest value on the axis.
    pub(in crate::report) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// How values on this axis are written.
    pub(in crate::report) fn shown(&self) -> Shown {
        self.shown
    }
}

/// The distance between two labels: a round number in the unit that is shown. Zero where there is none.
fn step(low: f64, high: f64, shown: Shown, ticks: usize) -> f64 {
    let least = (high - low) * shown.factor / (ticks - 1) as f64;
    if !least.is_finite() || least <= 0.0 {
        return 0.0;
    }
    let power = 10.0_f64.powf(least.log10().floor());
    let fits = |step: f64| {
        let step = step / shown.factor;
        (((high / step).ceil() - (low / step).floor()) as usize) < ticks
    };
    let mut steps = STEPS.iter().map(|step| step * power);
    steps.find(|step| fits(*step)).map_or(0.0, |step| step / shown.factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(least: f64, most: f64, unit: Unit) -> Vec<String> {
        Scale::new(least, most, unit, 5).ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn labels_are_round_in_the_unit_that_is_shown() {
        assert_eq!(labels(0.1, 3.7, Unit::Plain), ["0", "1", "2", "3", "4"]);
        assert_eq!(labels(0.02, 0.41, Unit::Seconds), ["0 ms", "200 ms", "400 ms", "600 ms"]);
        assert_eq!(labels(0.0, 3e9, Unit::Bytes), ["0 GiB", "1 GiB", "2 GiB", "3 GiB"]);
        assert_eq!(labels(95.0, 99.0, Unit::Plain), ["95", "96", "97", "98", "99"]);
        assert_eq!(labels(-3.0, 2.0, Unit::Plain), ["-4", "-2", "0", "2"]);
    }

    #[test]
    fn a_constant_lies_inside_its_axis() {
        for value in [0.0, 1.0, -7.5, 1e300, 5e-324] {
            let scale = Scale::new(value, value, Unit::Plain, 5);
            let share = scale.share(value);
            assert!((0.0..=1.0).contains(&share), "{value}: {scale:?}");
            assert!(scale.ticks().len() >= 2, "{value}: {scale:?}");
        }
        assert_eq!(labels(0.0, 0.0, Unit::Plain)[0], "0.0");
    }

    #[test]
    fn the_greatest_numbers_have_an_axis() {
        let scale = Scale::new(f64::MIN, f64::MAX, Unit::Plain, 5);
        assert_eq!([f64::MIN, 0.0, f64::MAX].map(|value| scale.share(value)), [0.0, 0.5, 1.0]);
        assert_eq!(scale.ticks().len(), 2);
    }
}
