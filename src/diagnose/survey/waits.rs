//! How long tasks wait in a queue, by how many wait and how many are done: Little's law (1961), by which the mean
//! number in a queue is the rate at which they leave it, times how long each waits.
//!
//! A queue of a thousand is served at once where ten thousand are done in a second, and a queue of a hundred never
//! where none is. Neither needs a past, nor a peer.

use super::beyond::{LEAST, ODD, SERIOUS};
use super::quantity::{Quantity, Reading};
use super::standing_out::StandingOut;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::Track;

/// The word in the name of a queue, and that in the name of the counter of what left it, as TiKV names both:
/// `tikv_worker_pending_task_total` and `tikv_worker_handled_task_total`.
const QUEUE: &str = "pending";
const SERVED: &str = "handled";

/// How many tasks must wait for their wait to count: as many as a level needs to [stand out](super::standing_out).
const MOST: f64 = 50.0;
/// How long a task may wait, in seconds: as long as what stands out must last.
const LONG_S: f64 = 300.0;

/// The quantity among those of the same target that counts what leaves a queue; `None` where there is none.
pub fn served<'a>(queue: &Quantity, of_target: &'a [Quantity]) -> Option<&'a Quantity> {
    if queue.reading != Reading::Level || !queue.metric.contains(QUEUE) {
        return None;
    }
    let metric = queue.metric.replacen(QUEUE, SERVED, 1);
    of_target.iter().find(|one| {
        one.metric == metric && one.reading == Reading::Rate && one.label == queue.label
    })
}

/// The whole time as one stretch, with the wait in seconds as value, where tasks wait too long from first to last.
pub fn waits(queue: &Track, served: &Track) -> Option<StandingOut> {
    let points = &queue.0;
    let long = queue.values().filter(|value| *value >= MOST).count();
    if points.len() < LEAST || points.len() - long > points.len() / ODD {
        return None;
    }
    let mean = |track: &Track| {
        let count = track.0.len().max(1) as f64;
        track.values().sum::<f64>() / count
    };
    let seconds = (points[points.len() - 1].at - points[0].since) as f64 / 1000.0;
    // Where none left in all that time, one may leave at its end.
    let wait = mean(queue) / mean(served).max(1.0 / seconds);
    (wait >= LONG_S).then(|| StandingOut {
        onset: points[0].since,
        first: points[0].at,
        end: None,
        baseline: mean(served),
        typical: wait,
        peak: median(queue.values()).unwrap_or_default(),
        times: SERIOUS * wait / LONG_S,
    })
}

/// The expression of PromQL for the wait at one target, in seconds.
pub fn wait_expression(
    queue: &Quantity,
    of_target: &[Quantity],
    (instance, step_ms): (&str, i64),
) -> Option<String> {
    let served = served(queue, of_target)?.expression(instance, step_ms);
    Some(format!("{} / {served}", queue.expression(instance, step_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(value: f64, steps: usize) -> Track {
        Track::every(30_000, vec![value; steps])
    }

    #[test]
    fn a_queue_waits_by_how_fast_it_is_served() {
        let wait = |queue: f64, served: f64| {
            waits(&every(queue, 20), &every(served, 20)).map(|one| one.typical)
        };
        assert_eq!(wait(900.0, 3.0), Some(300.0));
        assert_eq!(wait(900.0, 4.0), None);
        assert_eq!(wait(49.0, 0.001), None, "hardly any wait");
        assert_eq!(wait(60.0, 0.0), Some(36_000.0), "none was served in ten minutes");
        assert_eq!(waits(&every(900.0, 11), &every(1.0, 11)), None);
    }

    #[test]
    fn a_queue_finds_what_counts_the_served() {
        let quantity = |metric: &str, reading, label: &str| Quantity {
            metric: metric.to_owned(),
            reading,
            label: Some(("name".to_owned(), label.to_owned())),
            bound: String::new(),
            values: Vec::new(),
        };
        let queue = quantity("tikv_worker_pending_task_total", Reading::Level, "gc-worker");
        let own = quantity("tikv_worker_handled_task_total", Reading::Rate, "gc-worker");
        let other = quantity("tikv_worker_handled_task_total", Reading::Rate, "pd-worker");
        let all = [other.clone(), own.clone()];
        assert_eq!(served(&queue, &all), Some(&own));
        assert_eq!(served(&queue, &[other]), None);
        assert_eq!(served(&own, &all), None);
    }
}
