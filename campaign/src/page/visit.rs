//! One look at a page: under which conditions, and what is wrong with it.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::browser::Browser;

/// Rules of axe that every page satisfies; with fewer, axe has not looked.
const LEAST_PASSES: u64 = 20;

/// The conditions of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    width: u32,
    runs_scripts: bool,
    is_dark: bool,
}

impl Look {
    /// All that are tried: both widths, scripts on and off, light and dark.
    pub fn all() -> Vec<Self> {
        let both = [false, true];
        let widths = [360, 1280].into_iter();
        let looks = widths.flat_map(|width| both.map(|runs_scripts| (width, runs_scripts)));
        looks
            .flat_map(|(width, runs_scripts)| {
                both.map(|is_dark| Self { width, runs_scripts, is_dark })
            })
            .collect()
    }
}

impl fmt::Display for Look {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scripts = if self.runs_scripts { "scripts" } else { "no-scripts" };
        let scheme = if self.is_dark { "dark" } else { "light" };
        write!(formatter, "{}-{scripts}-{scheme}", self.width)
    }
}

/// What was seen.
pub struct Seen {
    /// What is wrong, a line each.
    pub faults: Vec<String>,
    /// The text of the page.
    pub text: String,
    /// A screenshot as PNG.
    pub picture: Vec<u8>,
}

/// Opens a page and looks at it.
pub fn visit(browser: &mut Browser, page: &Path, look: Look, axe: &str) -> Result<Seen> {
    let url = format!("file://{}", page.display());
    let scheme = if look.is_dark { "dark" } else { "light" };
    let size =
        json!({ "width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
    browser.ask("Emulation.setDeviceMetricsOverride", size)?;
    let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
    browser.ask("Emulation.setEmulatedMedia", json!({ "features": features }))?;
    let disabled = json!({ "value": !look.runs_scripts });
    browser.ask("Emulation.setScriptExecutionDisabled", disabled)?;
    browser.take_events();
    browser.ask("Page.navigate", json!({ "url": url }))?;
    let mut faults = Vec::new();
    if !browser.wait_for("Page.loadEventFired") {
        faults.push("it does not load".to_owned());
    }
    // What was not run while the page was loaded is not run later, and the questions below are scripts too.
    let enabled = json!({ "value": false });
    browser.ask("Emulation.setScriptExecutionDisabled", enabled)?;
    let text = browser.evaluate("document.querySelector('main').textContent")?;
    let text = text.as_str().context("a page has text")?.to_owned();
    if look.runs_scripts {
        faults.extend(use_plots(browser)?);
    } else if browser.evaluate("document.querySelector('svg.area[tabindex]') !== null")?
        == json!(true)
    {
        faults.push("its script ran although none may".to_owned());
    }
    let picture = picture(browser)?;
    let wide = browser.evaluate("document.documentElement.scrollWidth")?;
    if wide.as_u64().is_none_or(|wide| wide > u64::from(look.width)) {
        faults.push(format!("it is {wide} pixels wide"));
    }
    if browser.evaluate("window.ran === undefined")? != json!(true) {
        faults.push("something ran that was recorded".to_owned());
    }
    faults.extend(browser.take_events().iter().filter_map(|event| fault_of(event, &url)));
    faults.extend(barriers(browser, axe)?);
    Ok(Seen { faults, text, picture })
}

/// Points at each plot and moves its cursor by keys; every plot has to name values.
fn use_plots(browser: &mut Browser) -> Result<Vec<String>> {
    let silent = browser.evaluate(
        "[...document.querySelectorAll('figure.plot')].filter((figure) => {
            const area = figure.querySelector('svg.area'), readout = figure.querySelector('.readout');
            const place = area.getBoundingClientRect();
            area.dispatchEvent(new PointerEvent('pointermove', { clientX: place.left + place.width / 2 }));
            const pointed = readout.textContent;
            area.dispatchEvent(new PointerEvent('pointerleave'));
            const left = readout.textContent;
            area.dispatchEvent(new KeyboardEvent('keydown', { key: 'End', cancelable: true }));
            const moved = readout.textContent;
            area.dispatchEvent(new FocusEvent('blur'));
            return pointed === '' || left !== '' || moved === '' || pointed === moved;
        }).length",
    )?;
    let fault = format!("{silent} plots do not say what is under the pointer");
    Ok((silent != json!(0)).then_some(fault).into_iter().collect())
}

fn picture(browser: &mut Browser) -> Result<Vec<u8>> {
    let params = json!({ "format": "png", "captureBeyondViewport": true });
    let answer = browser.ask("Page.captureScreenshot", params)?;
    let text = answer["data"].as_str().context("there is a picture")?;
    BASE64_STANDARD.decode(text).context("a picture is base64")
}

/// What an event says against the page: a request, a message on the console, an exception or a dialog.
fn fault_of(event: &Value, page: &str) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Network.requestWillBeSent" => {
            let url = params["request"]["url"].as_str().unwrap_or_default();
            let is_own = url == page || url.starts_with("data:");
            (!is_own).then(|| format!("it asks for {url}"))
        }
        "Log.entryAdded" => Some(format!("the log says {}", params["entry"]["text"])),
        "Runtime.consoleAPICalled" => Some(format!("the console says {}", params["args"])),
        "Runtime.exceptionThrown" => Some(format!("it throws {}", params["exceptionDetails"])),
        "Page.javascriptDialogOpening" => Some("it opens a dialog".to_owned()),
        "Page.frameRequestedNavigation" => Some("it leads elsewhere".to_owned()),
        _ => None,
    }
}

/// What axe finds that keeps people from using the page.
fn barriers(browser: &mut Browser, axe: &str) -> Result<Vec<String>> {
    browser.evaluate(&format!("{axe}; true"))?;
    let found = browser.evaluate(
        "axe.run(document).then((found) => ({ passes: found.passes.length, serious: found.violations
            .filter((one) => ['serious', 'critical'].includes(one.impact))
            .map((one) => `axe: ${one.id} (${one.impact}), ${one.nodes.length} times, first ${one.nodes[0].html.slice(0, 200)}`) }))",
    )?;
    let texts = found["serious"].as_array().context("axe answers with a list")?;
    let mut faults: Vec<String> =
        texts.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if found["passes"].as_u64() < Some(LEAST_PASSES) {
        faults.push(format!("axe checks only {} rules", found["passes"]));
    }
    Ok(faults)
}
