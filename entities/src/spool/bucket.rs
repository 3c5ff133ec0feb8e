//! What was last seen of a recording that another uploader writes into the bucket.

use sea_orm::entity::prelude::*;

/// What was last seen of a recording that another uploader writes into the bucket.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "spool", table_name = "bucket")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub recording_id: String,
    pub looked_at: Option<DateTimeUtc>,
    pub hastened_at: Option<DateTimeUtc>,
    pub newest_at: Option<DateTimeUtc>,
    #[sea_orm(column_type = "Text", nullable)]
    pub manifest_stamp: Option<String>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub claimed: Option<Json>,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
