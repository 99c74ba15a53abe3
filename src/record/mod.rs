//! Each tick: sample, write what came and what did not come.

pub mod pd_log;
pub mod pd_sampler;
