//! Commands that are advised, with the URLs of the recording's sources.

use crate::model::{RunMeta, shell_word};

/// What stands for the URL of any PD and any Prometheus in an advised command.
const ANY_PD: &str = "http://PD:2379";
const ANY_PROMETHEUS: &str = "http://PROMETHEUS:9090";

/// A command with the URLs that were recorded, where these lead somewhere: those of an export are pseudonyms, and of
/// some a part is hidden.
pub(super) fn placed(command: &str, meta: &RunMeta) -> String {
    let is_whole = |url: &&String| meta.export.is_none() && !url.contains('*');
    let pd = meta.endpoints.pd.values().find(is_whole);
    let prometheus = meta.endpoints.prometheus.as_ref().filter(is_whole);
    let known = [(ANY_PD, pd), (ANY_PROMETHEUS, prometheus)];
    known.into_iter().fold(command.to_owned(), |command, (any, url)| match url {
        Some(url) => command.replace(any, &shell_word(url)),
        None => command,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(fields: serde_json::Value) -> RunMeta {
        let mut meta = serde_json::json!({ "run": "run", "subject": "tikv", "created": 0 });
        let (into, from) = (meta.as_object_mut(), fields.as_object());
        into.expect("an object").extend(from.expect("an object").clone());
        serde_json::from_value(meta).expect("a run's metadata")
    }

    #[test]
    fn a_command_has_the_url_that_was_recorded_unless_it_is_none() {
        let doctor = "operator doctor --pd http://PD:2379";
        let pd = |url: &str| meta(serde_json::json!({ "endpoints": { "pd": { "pd0": url } } }));
        assert_eq!(
            placed(doctor, &pd("http://10.0.1.5:2379")),
            "operator doctor --pd http://10.0.1.5:2379"
        );
        assert_eq!(placed(doctor, &pd("http://proxy/***/pd")), doctor);
        assert_eq!(placed(doctor, &meta(serde_json::json!({}))), doctor);
        let record = "operator record --prometheus http://PROMETHEUS:9090";
        assert_eq!(placed(record, &pd("http://10.0.1.5:2379")), record);
    }
}
