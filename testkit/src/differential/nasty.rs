//! Synthetic series that are hard to evaluate, and how they are written to a server.
//!
//! Every series draws the shape of its values and when it is there. What is drawn depends on the
//! seed alone.

use anyhow::{Result, ensure};
use fastrand::Rng;
use operator::model::{Labels, Sample, Series, Timestamp, stale_marker};

/// Milliseconds between two scrapes.
pub const STEP_MS: i64 = 15_000;
/// Scrapes of a series that is always there.
const TICKS: i64 = 40;

/// Edge cases of floating-point arithmetic. Neither NaN is the staleness marker.
const ODD: [f64; 14] = [
    f64::NAN,
    f64::from_bits(0x7ff8_0000_0000_0001),
    f64::INFINITY,
    f64::NEG_INFINITY,
    -0.0,
    0.0,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    1.0,
    -1.0,
    0.1,
    1e17,
];

/// Label values that have to be quoted, sort oddly or look like something else.
const TEXTS: [&str; 12] = [
    "a\"b",
    "line\nbreak",
    "back\\slash",
    "ünïcødé",
    "日本",
    "+Inf",
    " ",
    "a.b",
    "x|y",
    "$1",
    "9",
    "10",
];

/// How values follow each other.
#[derive(Clone, Copy)]
enum Shape {
    Counter,
    Resetting,
    Gauge,
    Constant,
    Few,
    Odd,
    OddAtTimes,
    Huge,
    Tiny,
    Falling,
}

const SHAPES: [Shape; 10] = [
    Shape::Counter,
    Shape::Resetting,
    Shape::Gauge,
    Shape::Constant,
    Shape::Few,
    Shape::Odd,
    Shape::OddAtTimes,
    Shape::Huge,
    Shape::Tiny,
    Shape::Falling,
];
const COUNTERS: [Shape; 4] = [Shape::Counter, Shape::Resetting, Shape::Resetting, Shape::Constant];

impl Shape {
    /// The value after `last`.
    fn next(self, last: Option<f64>, random: &mut Rng) -> f64 {
        let held = last.unwrap_or_else(|| random.u32(..50).into());
        let step = f64::from(random.u32(..20)) / 2.0;
        match self {
            Self::Counter => held + step,
            Self::Resetting if random.u32(..5) == 0 => random.u32(..3).into(),
            Self::Resetting => held + step,
            Self::Gauge => random.f64() * 200.0 - 100.0,
            Self::Constant => held,
            Self::Few => random.u32(..3).into(),
            Self::Odd => random.choice(ODD).unwrap_or_default(),
            Self::OddAtTimes if random.u32(..6) == 0 => random.choice(ODD).unwrap_or_default(),
            Self::OddAtTimes => step,
            Self::Huge => (random.f64() - 0.5) * f64::MAX,
            Self::Tiny => random.f64() * 1e-310,
            Self::Falling => held - step,
        }
    }
}

/// When a series has samples.
#[derive(Clone, Copy)]
enum Presence {
    Always,
    Gap,
    Late,
    Vanishing,
    /// Ends with a staleness marker and comes back, more than once.
    Flapping,
    Sparse,
    Once,
    Jittered,
    /// Between the scrapes of the others.
    OddPhase,
    Never,
}

const PRESENCES: [Presence; 12] = [
    Presence::Always,
    Presence::Always,
    Presence::Gap,
    Presence::Late,
    Presence::Vanishing,
    Presence::Flapping,
    Presence::Flapping,
    Presence::Sparse,
    Presence::Once,
    Presence::Jittered,
    Presence::OddPhase,
    Presence::Never,
];

/// What a scrape leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scrape {
    Value,
    Marker,
    Nothing,
}

impl Presence {
    /// What is there at each tick, and how many milliseconds late.
    fn ticks(self, random: &mut Rng) -> Vec<(Scrape, i64)> {
        let (from, length) = (random.i64(2..TICKS - 12), random.i64(1..10));
        let hole = from..from + length;
        let once = random.i64(0..TICKS);
        let phase = random.i64(1..STEP_MS);
        let mut there = true;
        let tick = |tick: i64| match self {
            Self::Always => (Scrape::Value, 0),
            Self::Gap => (if hole.contains(&tick) { Scrape::Nothing } else { Scrape::Value }, 0),
            Self::Late => (if tick < from { Scrape::Nothing } else { Scrape::Value }, 0),
            Self::Vanishing if tick == from => (Scrape::Marker, 0),
            Self::Vanishing => (if tick < from { Scrape::Value } else { Scrape::Nothing }, 0),
            Self::Flapping => {
                let before = there;
                there ^= random.u32(..5) == 0;
                let scrape = match (before, there) {
                    (_, true) => Scrape::Value,
                    (true, false) => Scrape::Marker,
                    (false, false) => Scrape::Nothing,
                };
                (scrape, 0)
            }
            Self::Sparse => (if random.u32(..4) == 0 { Scrape::Value } else { Scrape::Nothing }, 0),
            Self::Once => (if tick == once { Scrape::Value } else { Scrape::Nothing }, 0),
            Self::Jittered => (Scrape::Value, random.i64(0..STEP_MS)),
            Self::OddPhase => (Scrape::Value, phase),
            Self::Never => (if tick == 0 { Scrape::Marker } else { Scrape::Nothing }, 0),
        };
        (0..TICKS).map(tick).collect()
    }
}

/// How the buckets of a histogram are spoilt.
#[derive(Clone, Copy)]
enum Buckets {
    Sound,
    Falling,
    WithoutLast,
    TwoSpellings,
    BadBound,
    Negative,
    OnlyLast,
    Odd,
    Empty,
}

const HISTOGRAMS: [Buckets; 9] = [
    Buckets::Sound,
    Buckets::Falling,
    Buckets::WithoutLast,
    Buckets::TwoSpellings,
    Buckets::BadBound,
    Buckets::Negative,
    Buckets::OnlyLast,
    Buckets::Odd,
    Buckets::Empty,
];

impl Buckets {
    fn bounds(self) -> &'static [&'static str] {
        match self {
            Self::WithoutLast => &["0.1", "0.5", "1", "10"],
            Self::TwoSpellings => &["0.5", "1", "1.0", "1e0", "+Inf"],
            Self::BadBound => &["0.1", "abc", "NaN", "1", "+Inf"],
            Self::Negative => &["-10", "-1", "0", "1", "+Inf"],
            Self::OnlyLast => &["+Inf"],
            _ => &["0.1", "0.5", "1", "2.5", "10", "+Inf"],
        }
    }
}

/// All synthetic series, ascending by labels, from an instant on.
pub fn series(start_ms: i64, seed: u64) -> Vec<Series> {
    let mut maker = Maker { start_ms, random: Rng::with_seed(seed), made: Vec::new() };
    for job in ["a", "b"] {
        for instance in ["x:1", "y:1", "z:1"] {
            let target = [("job", job), ("instance", instance)];
            for path in ["/", "/q"] {
                maker.add("nasty_requests_total", &target, &[("path", path)], &COUNTERS);
            }
            for zone in ["north", "south"] {
                maker.add("nasty_level", &target, &[("zone", zone)], &SHAPES);
            }
            maker.add("nasty_ties", &target, &[], &[Shape::Few]);
            maker.add("nasty:ties:sum", &target[..1], &[("group", instance)], &[Shape::Few]);
            let version = if instance == "x:1" { "1" } else { "2" };
            maker.add("nasty_info", &target, &[("version", version)], &[Shape::Constant]);
        }
        maker.add("nasty_up", &[("job", job)], &[], &[Shape::Few]);
    }
    for (number, text) in TEXTS.iter().enumerate() {
        let number = number.to_string();
        maker.add("nasty_texts", &[("text", text), ("number", &number)], &[], &SHAPES);
    }
    maker.add("nasty_bare", &[], &[], &SHAPES);
    for (number, buckets) in HISTOGRAMS.into_iter().enumerate() {
        let instance = format!("{}:1", ["x", "y", "z"][number % 3]);
        let job = ["a", "b", "c"][number / 3];
        maker.histogram(&[("job", job), ("instance", &instance)], buckets);
    }
    maker.finish()
}

/// Series whose names are no identifiers, which only Prometheus 3 takes.
pub fn quoted_series(start_ms: i64, seed: u64) -> Vec<Series> {
    let mut maker = Maker { start_ms, random: Rng::with_seed(!seed), made: Vec::new() };
    for job in ["a", "b"] {
        for (number, text) in ["x", "日本", "a\"b"].into_iter().enumerate() {
            let number = number.to_string();
            let labels = [("job", job), ("label.name", text), ("a b\"c", &number)];
            maker.add("nasty.dotted", &labels, &[], &SHAPES);
        }
        maker.add("nasty_info", &[("job", job), ("instance", "x:1")], &[("zone.é", job)], &SHAPES);
    }
    maker.finish()
}

struct Maker {
    start_ms: i64,
    random: Rng,
    made: Vec<Series>,
}

impl Maker {
    fn finish(self) -> Vec<Series> {
        let mut made = self.made;
        made.retain(|series| !series.samples.is_empty());
        made.sort_by(|a, b| a.labels.cmp(&b.labels));
        made
    }

    fn add(
        &mut self,
        metric: &str,
        target: &[(&str, &str)],
        more: &[(&str, &str)],
        shapes: &[Shape],
    ) {
        let shape = self.random.choice(shapes).copied().unwrap_or(Shape::Gauge);
        let presence = self.random.choice(PRESENCES).unwrap_or(Presence::Always);
        let ticks = presence.ticks(&mut self.random);
        let mut last = None;
        let values: Vec<f64> =
            ticks.iter().map(|_| *last.insert(shape.next(last, &mut self.random))).collect();
        self.push(metric, &[target, more].concat(), &ticks, &values);
    }

    fn push(
        &mut self,
        metric: &str,
        labels: &[(&str, &str)],
        ticks: &[(Scrape, i64)],
        values: &[f64],
    ) {
        let labels = [&[("__name__", metric)], labels].concat();
        let there = (0..).zip(ticks.iter().zip(values));
        let there = there.filter(|(_, ((scrape, _), _))| *scrape != Scrape::Nothing);
        let samples = there.map(|(tick, ((scrape, late), value))| Sample {
            at: Timestamp::from_millis(self.start_ms + tick * STEP_MS + late),
            value: if *scrape == Scrape::Marker { stale_marker() } else { *value },
        });
        let samples = samples.collect();
        self.made.push(Series { labels: Labels::from_pairs(&labels), samples });
    }

    /// A histogram with its sum and its count. Its buckets are scraped together.
    fn histogram(&mut self, target: &[(&str, &str)], buckets: Buckets) {
        let presence = self.random.choice(PRESENCES).unwrap_or(Presence::Always);
        let ticks = presence.ticks(&mut self.random);
        let mut counts = vec![Vec::new(); buckets.bounds().len()];
        let mut held = vec![0.0; counts.len()];
        for _ in &ticks {
            let mut below = 0.0;
            for (bucket, count) in counts.iter_mut().enumerate() {
                let grown = match buckets {
                    Buckets::Empty => 0.0,
                    _ => f64::from(self.random.u32(..9)),
                };
                held[bucket] += grown + below;
                below += grown;
                count.push(match buckets {
                    Buckets::Falling if self.random.bool() => held[bucket] / 2.0,
                    Buckets::Odd if self.random.u32(..8) == 0 => {
                        self.random.choice(ODD).unwrap_or_default()
                    }
                    _ => held[bucket],
                });
            }
        }
        for (bound, values) in buckets.bounds().iter().zip(&counts) {
            let labels = [target, &[("le", *bound)]].concat();
            self.push("nasty_seconds_bucket", &labels, &ticks, values);
        }
        let all = counts.last().cloned().unwrap_or_default();
        self.push("nasty_seconds_count", target, &ticks, &all);
        let sums: Vec<f64> = all.iter().map(|count| count * 0.7).collect();
        self.push("nasty_seconds_sum", target, &ticks, &sums);
    }
}

/// Sends series to a server's remote-write receiver, so that every bit arrives, staleness markers
/// and the sign of zero included.
pub async fn write(url: &str, series: &[Series]) -> Result<()> {
    let mut message = Vec::new();
    for series in series {
        let mut body = Vec::new();
        series.labels.encode(&mut body);
        for sample in &series.samples {
            // Message `Sample`: the value as field 1, a double; the time as field 2, a varint.
            let mut encoded = vec![1 << 3 | 1];
            encoded.extend_from_slice(&sample.value.to_le_bytes());
            encoded.push(2 << 3);
            put_varint(&mut encoded, sample.at.as_millis() as u64);
            put_bytes(&mut body, 2, &encoded);
        }
        put_bytes(&mut message, 1, &body);
    }
    let response = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .post(format!("{url}/api/v1/write"))
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "snappy")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
        .body(snap::raw::Encoder::new().compress_vec(&message)?)
        .send()
        .await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "the server takes no samples: {status} {text}");
    Ok(())
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
