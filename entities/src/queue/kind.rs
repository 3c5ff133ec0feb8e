//! The rules of a kind of job, as the program declared them.

use sea_orm::entity::prelude::*;

/// The rules of a kind of job, as the program declared them.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "kind")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub kind: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub queue: Option<String>,
    pub schema_ver: i16,
    pub priority: i16,
    pub max_attempts: i32,
    pub unique_mask: Option<i16>,
    #[sea_orm(column_type = "custom(\"interval\")", select_as = "text", save_as = "interval")]
    pub max_runtime: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub on_end: Option<String>,
    pub crash_cap: i16,
    pub aliases: Vec<String>,
    pub updated_at: DateTimeUtc,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
