//! One attempt that has ended.

use sea_orm::entity::prelude::*;

/// One attempt that has ended.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "attempt")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    pub epoch: i64,
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    pub worker_id: Option<Uuid>,
    pub started_at: Option<DateTimeUtc>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub ended_at: DateTimeUtc,
    pub outcome: i16,
    #[sea_orm(column_type = "Text", nullable)]
    pub error_class: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error_code: Option<String>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub error_fp: Option<Vec<u8>>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub detail: Option<Json>,
    pub cpu_ms: Option<i32>,
    pub rss_kb: Option<i32>,
    #[sea_orm(column_type = "Text", nullable)]
    pub trace_id: Option<String>,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
