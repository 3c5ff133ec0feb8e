//! An error text without its ids and numbers.

use sea_orm::entity::prelude::*;

/// An error text without its ids and numbers.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "queue", table_name = "fault")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "VarBinary(StringLen::None)")]
    pub fp: Vec<u8>,
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    #[sea_orm(column_type = "Text")]
    pub error_class: String,
    #[sea_orm(column_type = "Text")]
    pub template: String,
    pub n: i64,
    pub first_at: DateTimeUtc,
    pub last_at: DateTimeUtc,
}

/// Joins are written as SQL where they are needed.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
