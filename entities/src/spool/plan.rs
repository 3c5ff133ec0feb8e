//! A frozen plan.

use sea_orm::entity::prelude::*;

/// A frozen plan.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "spool", table_name = "plan")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub recording_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    pub layout_version: i32,
    #[sea_orm(column_type = "Text")]
    pub body: String,
    #[sea_orm(column_type = "VarBinary(StringLen::None)")]
    pub sha256: Vec<u8>,
    pub created_at: DateTimeUtc,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
