//! What viewers were shown of one track.

use sea_orm::entity::prelude::*;

/// What viewers were shown of one track.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "spool", table_name = "listing")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub recording_id: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub track: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub index: i32,
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    pub duration: i64,
    pub timescale: i64,
    pub discontinuity: bool,
    pub program_date_time: Option<DateTimeUtc>,
    pub listed_at: DateTimeUtc,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
