//! An acknowledged segment, or the initialization section of a track.

use sea_orm::entity::prelude::*;

/// An acknowledged segment, or the initialization section of a track.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "spool", table_name = "segment")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub recording_id: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub track: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub index: i32,
    #[sea_orm(column_type = "Text")]
    pub state: String,
    pub size_bytes: i64,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub sha256: Option<Vec<u8>>,
    #[sea_orm(column_type = "Text", nullable)]
    pub etag: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub staging_uri: Option<String>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub sample_index: Option<Vec<u8>>,
    pub timescale: Option<i64>,
    pub tfdt: Option<i64>,
    pub duration: Option<i64>,
    pub sample_count: Option<i32>,
    pub starts_with_sync: Option<bool>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub codec: Option<Json>,
    #[sea_orm(column_type = "Text", nullable)]
    pub lost_cause: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub defect: Option<String>,
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub body: Option<Vec<u8>>,
    pub received_at: DateTimeUtc,
    pub stored_at: Option<DateTimeUtc>,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
