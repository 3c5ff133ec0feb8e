//! Rows of schema `spool`.

pub mod bucket;
pub mod event;
pub mod listing;
pub mod liveness;
pub mod picture;
pub mod plan;
pub mod recording;
pub mod segment;
pub mod setting;
pub mod webhook_delivery;
pub mod webhook_endpoint;
