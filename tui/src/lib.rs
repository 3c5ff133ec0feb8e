//! Lets a person watch and steer: everything of the console but the binary's few lines, so that tests reach it.

pub mod app;
pub mod keys;
pub mod run;
pub mod settings;
pub mod source;
pub mod term;
pub mod units;
pub mod verdict;
pub mod view;
