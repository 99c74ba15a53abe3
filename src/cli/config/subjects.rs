//! Finds the subject that a name or a path stands for, and takes its endpoints where the user gives none.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Context;

use crate::cli::config::file::{SourceArgs, read_small};
use crate::cli::exit::CliError;
use crate::model::escape_path;
use crate::record::Subject;

/// The subject where the user names none.
const DEFAULT: &str = "tikv";

/// The subject that `text` stands for: a name that is built in, or the path of a `subject.toml`.
///
/// # Errors
///
/// [`CliError::Usage`] where it is neither, or one of its rule files is not there; and where the
/// file cannot be read or understood.
pub fn find(text: Option<&OsStr>) -> anyhow::Result<Subject> {
    let text = text.unwrap_or(OsStr::new(DEFAULT));
    if let Some(subject) = text.to_str().and_then(Subject::built_in) {
        return Ok(subject);
    }
    let path = Path::new(text);
    if !path.is_file() {
        let known: Vec<&str> = Subject::built_in_names().collect();
        let known = known.join(", ");
        return Err(CliError::Usage(format!(
            "{} is neither a subject that is built in ({known}) nor a file",
            escape_path(path)
        ))
        .into());
    }
    let subject = Subject::parse(&read_small(path)?)
        .with_context(|| format!("cannot understand {}", escape_path(path)))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    if let Some(missing) = subject.rules().iter().find(|rules| !folder.join(rules).is_file()) {
        let text = format!("{}: there is no file {missing:?} beside it", escape_path(path));
        return Err(CliError::Usage(text).into());
    }
    Ok(subject)
}

/// Whether the subject's own endpoints may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// They are used where the user gives none.
    Endpoints,
    /// Only endpoints that the user names are used.
    OnlyWhatIsNamed,
}

/// The endpoints of the user or, where there are none, those of the subject.
///
/// # Errors
///
/// [`CliError::Usage`] where a URL of PD is given and the subject has no PD.
pub fn complete(
    sources: SourceArgs,
    subject: &Subject,
    asking: Asking,
) -> anyhow::Result<SourceArgs> {
    let own = subject.endpoints();
    if own.pd.is_none() && !sources.pd.is_empty() {
        let name = subject.name();
        let text = format!("the subject {name} has no PD: take --pd and PD_ENDPOINT away");
        return Err(CliError::Usage(text).into());
    }
    if asking == Asking::OnlyWhatIsNamed || !sources.pd.is_empty() || sources.prometheus.is_some() {
        return Ok(sources);
    }
    Ok(SourceArgs {
        pd: own.pd.clone().unwrap_or_default(),
        prometheus: own.prometheus.clone().filter(|_| !sources.scrapes_alone()),
        ..sources
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ETCD: &str = "name = 'etcd'\nrules = ['etcd.yaml']\n\
        [endpoints]\nprometheus = 'http://p:9090'\n[[jobs]]\npart = 'etcd'\njob = 'etcd'";

    #[test]
    fn a_file_is_a_subject_if_its_rules_are_there() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("subject.toml");
        fs::write(&path, ETCD).expect("the directory is writable");
        let text = Some(path.as_os_str());
        let error = find(text).expect_err("the rules are not there").to_string();
        assert!(error.contains("etcd.yaml"), "{error}");
        fs::write(dir.path().join("etcd.yaml"), "groups: []").expect("writable");
        assert_eq!(find(text).expect("all is there").name(), "etcd");
    }

    #[test]
    fn an_unknown_name_is_told_which_are_known() {
        let error = find(Some(OsStr::new("tidb"))).expect_err("not built in").to_string();
        assert!(error.contains("tikv"), "{error}");
        assert_eq!(find(None).expect("the default is built in").name(), "tikv");
    }

    #[test]
    fn the_subject_gives_endpoints_only_where_the_user_gives_none() {
        let etcd = Subject::parse(ETCD).expect("reads");
        let own =
            complete(SourceArgs::default(), &etcd, Asking::Endpoints).expect("no PD is asked");
        assert_eq!(own.prometheus.as_deref(), Some("http://p:9090"));
        let given =
            SourceArgs { prometheus: Some("http://q:9090".to_owned()), ..SourceArgs::default() };
        let kept = complete(given, &etcd, Asking::Endpoints).expect("no PD is asked");
        assert_eq!(kept.prometheus.as_deref(), Some("http://q:9090"));
        let logs = complete(SourceArgs::default(), &etcd, Asking::OnlyWhatIsNamed);
        assert_eq!(logs.expect("no PD is asked").prometheus, None);
        let pd = SourceArgs { pd: vec!["http://pd0:2379".to_owned()], ..SourceArgs::default() };
        assert!(complete(pd, &etcd, Asking::Endpoints).is_err());
    }
}
