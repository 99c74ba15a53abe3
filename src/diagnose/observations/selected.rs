//! Series of a target as PromQL: what diagnosis computes of them, in expressions that anybody can ask.

/// The range over which two neighbouring samples are looked for. `irate` uses the last two alone, so a longer
/// one changes no value, and no target is scraped less often than every two minutes.
const RANGE: &str = "5m";

/// The series of one metric of a scrape target.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// The metric; of a histogram, its name without `_sum` and `_count`.
    pub metric: &'a str,
    /// The `instance` label of the target.
    pub instance: &'a str,
    /// A label and its values, separated by `|`, one of which the series must have.
    pub only: Option<(&'a str, &'a str)>,
}

impl<'a> Selected<'a> {
    /// All series of the metric.
    pub fn all(metric: &'a str, instance: &'a str) -> Self {
        Self { metric, instance, only: None }
    }

    /// The selector of the series whose name has this suffix.
    pub fn selector(&self, suffix: &str) -> String {
        let only = self.only.map_or_else(String::new, |(name, values)| {
            let comparison = if values.contains('|') { "=~" } else { "=" };
            format!(",{name}{comparison}\"{values}\"")
        });
        format!("{}{suffix}{{instance=\"{}\"{only}}}", self.metric, self.instance)
    }

    /// The increase a second between two samples, summed.
    pub fn rate(&self) -> String {
        self.rate_of("")
    }

    /// The mean of a histogram or summary between two samples.
    pub fn mean(&self) -> String {
        format!("{} / {}", self.rate_of("_sum"), self.rate_of("_count"))
    }

    /// The least mean of the single histograms.
    pub fn least_mean(&self) -> String {
        let of = |suffix| format!("irate({}[{RANGE}])", self.selector(suffix));
        format!("min({} / {})", of("_sum"), of("_count"))
    }

    fn rate_of(&self, suffix: &str) -> String {
        format!("sum(irate({}[{RANGE}]))", self.selector(suffix))
    }
}
