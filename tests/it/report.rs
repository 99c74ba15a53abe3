//! Reports of runs: a page that nothing recorded can get out of, and Markdown that fits a comment.

use std::path::{Path, PathBuf};

use operator::report::{
    HtmlPage, MARKDOWN_CHARS, PageContent, RunReport, html_page, markdown, run_report,
};
use operator::session::{Session, View};
use testkit::hostile_files::{HOSTILE, MARKUP, write_capture};

/// The most bytes of a page without a capture inside.
const PAGE_BYTES: usize = 400_000;

fn report_of(path: &Path) -> RunReport {
    let session = Session::open(path).expect("it opens");
    let window = session.load(View::WHOLE).expect("it can be read");
    run_report(window, &session).expect("it can be judged")
}

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(format!("{name}.capture"))
}

fn page_of(report: &RunReport) -> String {
    html_page(report, PageContent::Report).alone()
}

fn of_text(text: &str) -> RunReport {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("hostile.capture");
    write_capture(&path, text);
    report_of(&path)
}

/// The names of all elements and of all attributes of a page, each once, ascending.
fn markup(page: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let outside_quotes: String = tag.split('"').step_by(2).collect();
        names.extend(outside_quotes.split([' ', '=', '\n']).map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names
}

/// A page without its style and its script, which have characters of markup.
fn without_code(page: &str) -> String {
    let mut rest = page.to_owned();
    for (start, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let from = rest.find(start).expect("there is one") + start.len();
        let to = from + rest[from..].find(end).expect("it ends");
        rest.replace_range(from..to, "");
    }
    rest
}

#[test]
fn nothing_that_was_recorded_is_markup() {
    let harmless = without_code(&page_of(&of_text("plain")));
    for text in [MARKUP, HOSTILE] {
        let page = without_code(&page_of(&of_text(text)));
        assert_eq!(markup(&page), markup(&harmless));
        assert!(page.contains("window.ran") == (text == MARKUP), "the text is shown");
    }
}

#[test]
fn markdown_of_hostile_text_has_no_markup_and_closes_its_fences() {
    let text = markdown(&of_text("```\n<img src=x> @team [x](y) | #1"));
    let outside: String = text.split("```").step_by(2).collect();
    for markup in ["<img", "[x", "](y", "@team", "#1"] {
        let mut places = outside.match_indices(markup);
        assert!(places.all(|(at, _)| outside[..at].ends_with('\\')), "{markup}: {outside}");
    }
    let fences = text.lines().filter(|line| line.starts_with("```")).count();
    assert!(fences > 0 && fences.is_multiple_of(2), "{text}");
    assert_eq!(text.matches("```").count(), fences, "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_page_allows_nothing_from_outside_and_carries_its_own_hashes() {
    let page = page_of(&report_of(&bundled("chaos-02")));
    assert!(page.contains("Content-Security-Policy"));
    assert!(page.contains("default-src 'none'"));
    for outside in ["http://", "https://", "//cdn", "@import", " src="] {
        // A link to the documentation loads nothing until somebody follows it.
        let own =
            page.replace("http://www.w3.org/2000/svg", "").replace("https://docs.pingcap.com/", "");
        assert!(!own.contains(outside), "{outside}");
    }
    assert!(page.len() < PAGE_BYTES, "{} bytes", page.len());
    assert_eq!(page, page_of(&report_of(&bundled("chaos-02"))));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_page_shows_the_cause_its_evidence_and_its_peers() {
    let report = report_of(&bundled("chaos-02"));
    let page = page_of(&report);
    for piece in ["store_crash", "id=\"F1\"", "class=\"own\"", "class=\"peer\"", "class=\"onset\""]
    {
        assert!(page.contains(piece), "{piece}");
    }
    let shown = report.plots.iter().flat_map(|plot| &plot.findings);
    for finding in &report.replay.verdict.findings {
        assert!(shown.clone().any(|id| *id == finding.id), "{} is not drawn", finding.id);
    }
    assert!(page.contains("What this report does not know"));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn page_and_markdown_say_what_to_do() {
    let report = report_of(&bundled("chaos-02"));
    let advice = report.replay.verdict.causes[0].advice.expect("a cause has an advice");
    let (page, text) = (page_of(&report), markdown(&report));
    for piece in [advice.check, advice.risk, advice.documentation] {
        assert!(page.contains(piece), "{piece}");
        assert!(text.contains(piece), "{piece}");
    }
    assert!(text.contains(&format!("- if it recurs: {}\n", advice.remedy)), "{text}");
}

#[test]
fn a_gap_is_hatched_and_named_on_top() {
    let page = page_of(&of_text("plain"));
    assert!(page.contains("class=\"gap\"") && page.contains("Not recorded: prometheus"), "{page}");
    let text = markdown(&of_text("plain"));
    assert!(text.contains("Not recorded: prometheus"), "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_stands_around_a_capture_is_the_page() {
    let report = report_of(&bundled("chaos-02"));
    let HtmlPage { before, after } = html_page(&report, PageContent::ReportAndCapture);
    assert!(before.ends_with("</script>") && after.starts_with("</body>"), "{after}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_bundled_run_has_a_page_and_markdown_within_bounds() {
    for number in 1..=10 {
        let report = report_of(&bundled(&format!("chaos-{number:02}")));
        let (page, text) = (page_of(&report), markdown(&report));
        assert!(page.len() < PAGE_BYTES, "{number}: {} bytes", page.len());
        let chars = text.chars().count();
        assert!(chars <= MARKDOWN_CHARS, "{number}: {chars} characters");
        assert_eq!(page, page_of(&report_of(&bundled(&format!("chaos-{number:02}")))));
    }
}
