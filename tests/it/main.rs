//! One binary for all integration tests, since linking is what costs; a module per subject.

mod captures;
mod circles;
mod citations;
mod cli;
mod crash;
mod damage;
mod diagnosis;
mod documentation;
mod frozen;
mod layering;
mod logs;
mod many_rows;
mod mutate;
mod obstacles;
mod printing;
mod promql;
mod real_prometheus;
mod record_loop;
mod report;
mod retention;
mod rules;
mod share;
mod source_pd;
mod source_prometheus;
mod subjects;
mod watch;
