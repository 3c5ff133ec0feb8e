//! Rows of schema `queue`.

pub mod attempt;
pub mod depth;
pub mod fault;
pub mod job;
pub mod job_archive;
pub mod kind;
pub mod leader;
pub mod op_log;
pub mod operation;
pub mod operation_item;
pub mod progress;
#[expect(clippy::module_inception, reason = "the table is named like its schema")]
pub mod queue;
pub mod schedule;
pub mod stat;
pub mod worker;
