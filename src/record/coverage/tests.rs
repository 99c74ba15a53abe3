//! Which gaps follow from what was due and did not come.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn reading(seconds: i64) -> Reading {
    Reading { at: at(seconds), steady: at(seconds) }
}

fn now(seconds: i64) -> Now {
    Now { recorder: reading(seconds), prometheus: reading(seconds) }
}

fn member() -> Source {
    Source::PdMember("pd0".to_owned())
}

fn refused() -> Cause {
    (GapReason::Connect, "refused".to_owned())
}

fn coverage(source: Source) -> Coverage {
    let mut coverage = Coverage::default();
    coverage.expect(source, 20_000, reading(0));
    coverage
}

fn hear(coverage: &mut Coverage, source: &Source, seconds: i64) -> Option<Gap> {
    let now = reading(seconds);
    coverage.observe(source, now, now, now)
}

fn summary(gaps: impl IntoIterator<Item = Gap>) -> Vec<(i64, i64, GapReason)> {
    let seconds = |at: Timestamp| at.as_millis() / 1000;
    let one = |gap: Gap| (seconds(gap.range.start), seconds(gap.range.end), gap.reason);
    gaps.into_iter().map(one).collect()
}

#[test]
fn an_outage_is_written_at_once_then_in_adjoining_segments() {
    let mut coverage = coverage(Source::Prometheus);
    let mut fail =
        |now| summary(coverage.record_failure(&Source::Prometheus, refused(), reading(now)));
    assert_eq!(fail(15), [(0, 15, GapReason::Connect)]);
    assert_eq!(fail(30), []);
    assert_eq!(fail(75), [(15, 75, GapReason::Connect)]);
    assert_eq!(coverage.outages(), 1);
    let last = hear(&mut coverage, &Source::Prometheus, 90);
    assert_eq!(summary(last), [(75, 90, GapReason::Connect)]);
    assert_eq!(coverage.outages(), 0);
}

#[test]
fn what_is_known_from_before_the_recording_is_the_cause_until_something_else_is() {
    let unknown = || (GapReason::Connect, "the host name does not resolve".to_owned());
    let late = || (GapReason::Timeout, "it did not answer within 5s".to_owned());
    let mut coverage = coverage(member());
    coverage.know_failure(&member(), unknown());
    coverage.start_request(&member());
    let asked = coverage.clone().end(now(3)).pop().expect("nothing was observed");
    assert_eq!((asked.reason, asked.detail), unknown());
    let gap = coverage.record_failure(&member(), late(), reading(5)).expect("the first is told");
    assert_eq!((gap.reason, gap.detail), unknown());
    let gap = coverage.record_failure(&member(), refused(), reading(70)).expect("it is another");
    assert_eq!((gap.reason, gap.detail), refused());
    hear(&mut coverage, &member(), 80);
    let gap = coverage.record_failure(&member(), late(), reading(90)).expect("the first is told");
    assert_eq!((gap.reason, gap.detail), late());
}

#[test]
fn what_is_due_and_does_not_come_is_a_gap_without_any_failure() {
    let mut coverage = coverage(member());
    assert_eq!(summary(hear(&mut coverage, &member(), 10)), []);
    assert_eq!(summary(coverage.overdue(now(30))), []);
    assert_eq!(summary(coverage.overdue(now(31))), [(10, 31, GapReason::Timeout)]);
    assert_eq!(summary(coverage.overdue(now(80))), []);
    assert_eq!(summary(coverage.overdue(now(91))), [(31, 91, GapReason::Timeout)]);
    let last = hear(&mut coverage, &member(), 95);
    assert_eq!(summary(last), [(91, 95, GapReason::Timeout)]);
    assert_eq!(summary(hear(&mut coverage, &member(), 105)), []);
}

#[test]
fn an_observation_after_more_than_the_allowance_leaves_a_gap_before_it() {
    let mut coverage = coverage(member());
    assert_eq!(summary(hear(&mut coverage, &member(), 20)), []);
    let gap = hear(&mut coverage, &member(), 41);
    assert_eq!(summary(gap), [(20, 41, GapReason::Timeout)]);
}

#[test]
fn a_request_under_way_when_the_recording_ends_is_a_gap_from_the_last_answer_on() {
    let mut coverage = coverage(Source::Prometheus);
    coverage.expect(member(), 20_000, reading(0));
    for source in [&Source::Prometheus, &member()] {
        hear(&mut coverage, source, 10);
        coverage.start_request(source);
    }
    coverage.end_request(&member());
    let gaps = coverage.end(now(15));
    assert!(gaps.iter().all(|gap| gap.source == Source::Prometheus), "{gaps:?}");
    assert_eq!(summary(gaps), [(10, 15, GapReason::Timeout)]);
}

#[test]
fn a_recorder_that_did_not_run_is_the_reason_whatever_failed_meanwhile() {
    let mut coverage = coverage(member());
    hear(&mut coverage, &member(), 10);
    coverage.add_pause(TimeRange::new(at(12), at(82)));
    let gap = coverage.record_failure(&member(), refused(), reading(82)).expect("a gap");
    assert_eq!(gap.detail, "the recorder was stopped or suspended for 70 s");
    assert_eq!(summary([gap]), [(10, 82, GapReason::RecorderDown)]);
    let next = coverage.record_failure(&member(), refused(), reading(150));
    assert_eq!(summary(next), [(82, 150, GapReason::Connect)]);
}

#[test]
fn the_last_segment_of_a_silence_has_its_reason() {
    let mut coverage = coverage(member());
    coverage.add_pause(TimeRange::new(at(2), at(82)));
    assert_eq!(summary(coverage.overdue(now(82))), [(0, 82, GapReason::RecorderDown)]);
    let last = hear(&mut coverage, &member(), 83);
    assert_eq!(summary(last), [(82, 83, GapReason::RecorderDown)]);
}

#[test]
fn a_gap_over_a_step_of_the_clock_is_as_long_as_the_time_that_passed() {
    for step in [-3600, 7200] {
        let mut coverage = coverage(member());
        let stepped = Reading { at: at(30 + step), steady: at(30) };
        let gap = coverage.observe(&member(), stepped, stepped, stepped);
        assert_eq!(summary(gap), [(step, 30 + step, GapReason::Timeout)]);
    }
}

#[test]
fn a_copy_that_catches_up_leaves_segments_for_what_it_has_not_reached() {
    let mut coverage = coverage(Source::Prometheus);
    let copied = |coverage: &mut Coverage, through, now| {
        coverage.observe(&Source::Prometheus, reading(through), reading(through), reading(now))
    };
    assert_eq!(summary(coverage.overdue(now(3600))), [(0, 3600, GapReason::Timeout)]);
    assert_eq!(summary(copied(&mut coverage, 300, 3601)), []);
    assert_eq!(summary(coverage.overdue(now(3602))), []);
    assert_eq!(coverage.outages(), 1);
    assert_eq!(summary(coverage.overdue(now(3660))), [(3600, 3660, GapReason::Timeout)]);
    let last = copied(&mut coverage, 3670, 3671);
    assert_eq!(summary(last), [(3660, 3670, GapReason::Timeout)]);
    assert_eq!(coverage.outages(), 0);
}

#[test]
fn what_a_lost_copy_covered_is_due_again() {
    let mut coverage = coverage(Source::Prometheus);
    hear(&mut coverage, &Source::Prometheus, 15);
    hear(&mut coverage, &Source::Prometheus, 30);
    coverage.undo_observation(&Source::Prometheus);
    let full = (GapReason::RecorderDown, "no space".to_owned());
    let gap = coverage.record_failure(&Source::Prometheus, full, reading(31));
    assert_eq!(summary(gap), [(15, 31, GapReason::RecorderDown)]);
}

#[test]
fn a_lost_copy_leaves_what_is_written_as_a_gap() {
    let mut coverage = coverage(Source::Prometheus);
    coverage.record_failure(&Source::Prometheus, refused(), reading(15));
    let last = hear(&mut coverage, &Source::Prometheus, 30);
    assert_eq!(summary(last), [(15, 30, GapReason::Connect)]);
    coverage.undo_observation(&Source::Prometheus);
    let full = (GapReason::RecorderDown, "no space".to_owned());
    let gap = coverage.record_failure(&Source::Prometheus, full, reading(31));
    assert_eq!(summary(gap), [(30, 31, GapReason::RecorderDown)]);
}

#[test]
fn of_a_member_that_left_nothing_is_due() {
    let mut coverage = coverage(member());
    assert_eq!(summary(coverage.record_failure(&member(), refused(), reading(5))).len(), 1);
    let last = coverage.keep_members(&BTreeSet::new(), now(9));
    assert_eq!(summary(last), [(5, 9, GapReason::Connect)]);
    assert_eq!(summary(coverage.end(now(900))), []);
}

#[test]
fn what_is_left_out_of_every_window_is_written_once_and_in_segments() {
    let mut partial = PartialGaps::default();
    let gap = |start, end| Gap {
        range: TimeRange::new(at(start), at(end)),
        source: Source::Prometheus,
        reason: GapReason::NativeHistogram,
        detail: "h".to_owned(),
        healed_at: None,
    };
    let mut add = |end| partial.add_window(gap(end - 75, end).range, vec![gap(end - 75, end)]);
    assert_eq!(add(75), [gap(0, 75)]);
    assert_eq!([add(90), add(105), add(120)].concat(), []);
    assert_eq!(add(135), [gap(75, 135)]);
    assert_eq!(add(150), []);
    assert_eq!(partial.end(), [gap(135, 150)]);
}

#[test]
fn what_was_left_out_of_windows_far_apart_is_no_gap_in_between() {
    let mut partial = PartialGaps::default();
    let gap = |start, end| Gap {
        range: TimeRange::new(at(start), at(end)),
        source: Source::Prometheus,
        reason: GapReason::TooLarge,
        detail: "h".to_owned(),
        healed_at: None,
    };
    let mut add = |end, gaps: &[Gap]| {
        partial.add_window(TimeRange::new(at(end - 75), at(end)), gaps.to_vec())
    };
    assert_eq!(add(75, &[gap(0, 75)]), [gap(0, 75)]);
    assert_eq!(add(90, &[gap(15, 90)]), []);
    assert_eq!(add(180, &[]), [gap(75, 90)]);
    assert_eq!(add(900, &[gap(825, 900)]), [gap(825, 900)]);
    assert_eq!(partial.end(), []);
}

#[test]
fn a_copy_that_never_began_reaches_back_to_the_first_failure() {
    let gap = |source, start| Gap {
        range: TimeRange::new(at(start), at(start + 1)),
        source,
        reason: GapReason::Connect,
        detail: String::new(),
        healed_at: None,
    };
    let open = [gap(member(), 1), gap(Source::Prometheus, 9), gap(Source::Prometheus, 5)];
    assert_eq!(copy_from(None, open.iter(), at(60)), at(5));
    assert_eq!(copy_from(None, open[..1].iter(), at(60)), at(60));
    assert_eq!(copy_from(Some(at(30)), open.iter(), at(60)), at(30));
}

#[test]
fn an_outage_is_copied_up_to_where_a_resumed_copy_goes_on_inside_it() {
    let outage = |source| Gap {
        range: TimeRange::new(at(5), at(20)),
        source,
        reason: GapReason::Connect,
        detail: String::new(),
        healed_at: None,
    };
    let open = [outage(Source::Prometheus)];
    for (from, contiguous) in [(4, 4), (5, 5), (7, 5), (20, 20)] {
        assert_eq!(contiguous_from(at(from), open.iter()), at(contiguous));
    }
    assert_eq!(contiguous_from(at(7), [outage(member())].iter()), at(7));
}

#[test]
fn only_outages_that_were_copied_over_are_healed() {
    let gap = |reason, end| Gap {
        range: TimeRange::new(at(0), at(end)),
        source: Source::Prometheus,
        reason,
        detail: String::new(),
        healed_at: None,
    };
    let open =
        [gap(GapReason::Connect, 10), gap(GapReason::Connect, 30), gap(GapReason::TooLarge, 10)];
    let healed = healed(open.iter(), TimeRange::new(at(0), at(20)));
    assert!(healed.eq([&gap(GapReason::Connect, 10)]));
}
