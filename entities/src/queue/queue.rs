//! A queue: its pause and its limits.

use sea_orm::entity::prelude::*;

/// A queue: its pause and its limits.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "queue")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub name: String,
    pub paused_at: Option<DateTimeUtc>,
    #[sea_orm(column_type = "Text", nullable)]
    pub paused_by: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub paused_reason: Option<String>,
    pub paused_until: Option<DateTimeUtc>,
    pub max_running: Option<i32>,
    pub key_max: Option<i32>,
    #[sea_orm(column_type = "JsonBinary")]
    pub policy: Json,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
