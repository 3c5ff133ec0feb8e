//! What a bulk operation did to one job.

use sea_orm::entity::prelude::*;

/// What a bulk operation did to one job.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "operation_item")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub operation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    #[sea_orm(column_type = "JsonBinary")]
    pub before: Json,
    pub wrote_rev: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub result: String,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
