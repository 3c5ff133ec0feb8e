//! Rows of the tables, and what they mean in the domain.
//!
//! A model has the columns of its table and nothing else; a test compares them with the migrated schema. What a column means
//! is said once, beside the SQL that makes it. Turning a row into a value of the domain checks everything and fills nothing
//! in: a row that cannot be true is an error, never a default.

mod convert;
#[expect(missing_docs, reason = "columns are documented where they are made, in the migration")]
pub mod queue;
#[expect(missing_docs, reason = "columns are documented where they are made, in the migration")]
pub mod spool;

pub use convert::{Facts, InvalidRow};
