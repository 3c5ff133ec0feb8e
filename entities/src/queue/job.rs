//! A job that is still to be run or is running.

use sea_orm::entity::prelude::*;

/// A job that is still to be run or is running.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "job")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(column_type = "Text")]
    pub queue: String,
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    pub schema_ver: i16,
    #[sea_orm(column_type = "Text", nullable)]
    pub owner_id: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub subject: Option<String>,
    pub rev: i64,
    pub priority: i16,
    pub state: i16,
    pub ready_seq: Option<i64>,
    pub run_at: DateTimeUtc,
    pub attempt: i32,
    pub max_attempts: i32,
    pub crashes: i16,
    pub snoozes: i32,
    pub epoch: Option<i64>,
    pub worker_id: Option<Uuid>,
    pub started_at: Option<DateTimeUtc>,
    pub deadline_at: Option<DateTimeUtc>,
    pub cancel_at: Option<DateTimeUtc>,
    #[sea_orm(column_type = "Text", nullable)]
    pub cancel_reason: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub unique_key: Option<String>,
    pub unique_mask: Option<i16>,
    #[sea_orm(column_type = "Text", nullable)]
    pub conc_key: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub on_end: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error_class: Option<String>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub error_fp: Option<Vec<u8>>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub trace: Option<Json>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub checkpoint: Option<Json>,
    pub created_at: DateTimeUtc,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
