//! One binary for all integration tests, since linking is what costs; a module per subject.

mod captures;
mod circles;
mod cli;
mod crash;
mod damage;
mod diagnosis;
mod frozen;
mod layering;
mod many_rows;
mod mutate;
mod printing;
mod promql;
mod real_prometheus;
mod record_loop;
mod retention;
mod rules;
mod source_pd;
mod source_prometheus;
mod subjects;
mod watch;

// What the campaigns run at length runs here for seconds.
#[expect(dead_code, reason = "the campaigns use the rest of it")]
#[path = "../../examples/campaign/api.rs"]
mod api;
#[path = "../../examples/campaign/bounded.rs"]
mod bounded;
#[path = "../../examples/campaign/bounds.rs"]
mod bounds;
#[path = "../../examples/campaign/crash.rs"]
mod crash_campaign;
#[path = "../../examples/campaign/determinism.rs"]
mod determinism_campaign;
#[expect(dead_code, reason = "the campaigns use the rest of it")]
#[path = "../../examples/campaign/differential/mod.rs"]
mod differential;
#[path = "../../examples/campaign/fuzz.rs"]
mod fuzz_campaign;
#[path = "../../examples/campaign/gate.rs"]
mod gate;
#[path = "../../examples/campaign/mutate.rs"]
mod mutate_campaign;
#[path = "../../examples/campaign/overwrite.rs"]
mod overwrite;
#[path = "../../examples/campaign/peer.rs"]
mod peer;
#[path = "../../examples/campaign/power.rs"]
mod power_campaign;
#[expect(dead_code, reason = "the campaigns use the rest of it")]
#[path = "../../examples/campaign/retained.rs"]
mod retained;
#[expect(dead_code, reason = "the campaigns use the rest of it")]
#[path = "../../examples/campaign/server.rs"]
mod server;
#[path = "../../examples/campaign/stand.rs"]
mod stand;
