//! Evaluates Prometheus's rule files over recorded series: which alerts would have fired, when and
//! why.
//!
//! Reads rule files as Prometheus does, and evaluates them over any [`Storage`]. It opens no file
//! and reads no clock.
//!
//! [`Storage`]: crate::promql::Storage

mod alerts;
mod bundled;
mod evaluate;
mod evaluation_order;
mod evidence;
mod near_miss;
mod overlay_storage;
mod promtool_tests;
mod report;
mod rule_file;
mod run_in;
mod starting;
mod template;
mod unmatched_selectors;
mod yaml;

pub use alerts::AlertState;
pub use bundled::{LEVELS, bundled, critical};
pub use evaluate::{MOST_EVALUATIONS, Near, Settings, TooManyEvaluations, replay};
pub use evaluation_order::metrics_read;
pub use promtool_tests::{RuleTests, RuleTestsError, RuleTestsOutcome};
pub use report::{
    AlertChange, AlertHistory, EvaluationFailures, EvidenceSample, GroupReport, NearMiss, Outcome,
    RuleReport, RulesReport, SelectorEvidence,
};
pub use rule_file::{Rule, RuleFile, RuleFileError, RuleGroup, RuleKind};
pub use run_in::run_in_ms;
pub use template::{External, Template, TemplateData, TemplateError, VectorElements};
pub use unmatched_selectors::UnmatchedSelector;
