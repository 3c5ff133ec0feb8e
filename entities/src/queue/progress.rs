//! How far a running job has come.

use sea_orm::entity::prelude::*;

/// How far a running job has come.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "progress")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    pub epoch: i64,
    pub pct: Option<f32>,
    pub done: Option<i64>,
    pub total: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub unit: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub stage: Option<String>,
    pub eta_s: Option<i32>,
    pub at: DateTimeUtc,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
