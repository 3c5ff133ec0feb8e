//! Jobs that flowed in one minute, as one shard counted them.

use sea_orm::entity::prelude::*;

/// Jobs that flowed in one minute, as one shard counted them.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "stat")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub queue: String,
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub kind: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub owner_id: Option<String>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub minute: DateTimeUtc,
    #[sea_orm(primary_key, auto_increment = false)]
    pub shard: i16,
    pub enq: i32,
    pub ok: i32,
    // `Column::Err` would be taken for the `Err` of a result.
    #[sea_orm(enum_name = "Failed", column_name = "err")]
    pub err: i32,
    pub dur_ms: i64,
    pub hist: Option<Vec<i32>>,
    pub wait_hist: Option<Vec<i32>>,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
