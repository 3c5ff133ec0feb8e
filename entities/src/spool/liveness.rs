//! The last sign of life of a recorder.

use sea_orm::entity::prelude::*;

/// The last sign of life of a recorder.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "spool", table_name = "liveness")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub recording_id: String,
    #[sea_orm(column_type = "Text")]
    pub state: String,
    pub heard_at: DateTimeUtc,
    pub silent_minutes: i32,
    pub swept_at: Option<DateTimeUtc>,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
