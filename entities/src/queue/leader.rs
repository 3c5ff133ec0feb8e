//! Who leads, and until when.

use sea_orm::entity::prelude::*;

/// Who leads, and until when.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "leader")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub name: String,
    pub holder: Option<Uuid>,
    pub term: i64,
    pub until: Option<DateTimeUtc>,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
