use super::*;
use crate::model::*;

pub(in crate::replay) fn recording() -> Recording {
    let meta = RunMeta {
        run: RunName::new("run").unwrap(),
        subject: "tikv".to_owned(),
        created: Timestamp::from_millis(0),
        cluster_id: None,
        endpoints: Endpoints::default(),
        versions: Versions::default(),
        selectors: vec![],
        copied_by: vec![],
        clock_offsets: vec![],
    };
    let window = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(600_000));
    Recording { meta, window, pd: vec![], events: vec![], gaps: vec![], series: vec![] }
}

pub(in crate::replay) fn answer(at: i64, member: &str, route: &str, body: &str) -> PdAnswer {
    let body = body.as_bytes().to_vec();
    outcome(at, member, route, PdOutcome::Answered { status: 200, body })
}

fn outcome(at: i64, member: &str, route: &str, outcome: PdOutcome) -> PdAnswer {
    PdAnswer {
        sent: Timestamp::from_millis(at),
        member: member.to_owned(),
        url: format!("http://{member}:2379"),
        path: format!("/pd/api/v1/{route}"),
        elapsed_us: 0,
        outcome,
    }
}
