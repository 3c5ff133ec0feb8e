//! A process that works, and its lease.

use sea_orm::entity::prelude::*;

/// A process that works, and its lease.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "worker")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(column_type = "Text", nullable)]
    pub pod: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub node: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub version: Option<String>,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub kinds: Option<Json>,
    pub slots: Option<i32>,
    pub busy: Option<i32>,
    pub draining: bool,
    pub rss_kb: Option<i32>,
    pub started_at: DateTimeUtc,
    pub lease_until: DateTimeUtc,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
