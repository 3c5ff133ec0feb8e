//! A recording.

use sea_orm::entity::prelude::*;

/// A recording.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "spool", table_name = "recording")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    #[sea_orm(column_type = "Text")]
    pub owner_id: String,
    #[sea_orm(column_type = "Text")]
    pub source: String,
    #[sea_orm(column_type = "Text")]
    pub policy: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub webhook: Option<String>,
    pub token_generation: i32,
    #[sea_orm(column_type = "Text")]
    pub state: String,
    pub state_at: DateTimeUtc,
    pub provisional: bool,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub declared: Option<Json>,
    pub declared_at: Option<DateTimeUtc>,
    pub tail_confirmed: bool,
    pub signalled_at: Option<DateTimeUtc>,
    pub ended_at: Option<DateTimeUtc>,
    pub plan_version: i32,
    pub frozen_version: i32,
    pub gaps_accepted: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub gaps: Json,
    pub degraded: bool,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub whole_file: Option<Json>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error_code: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error_message: Option<String>,
    pub result_version: Option<i32>,
    #[sea_orm(column_type = "Text", nullable)]
    pub result_key: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub result_etag: Option<String>,
    pub result_bytes: Option<i64>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub result_sha256: Option<Vec<u8>>,
    pub duration_ms: Option<i64>,
    pub width: Option<i32>,
    pub height: Option<i32>,
    pub fps: Option<f64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub video_codec: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub audio_codec: Option<String>,
    pub target_duration_s: Option<i32>,
    pub stored_seq: i64,
    pub manifest_seq: i64,
    pub manifest_at: Option<DateTimeUtc>,
    pub event_seq: i64,
    pub created_at: DateTimeUtc,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub renditions: Option<Json>,
    pub listing_ended_at: Option<DateTimeUtc>,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
