//! The job engine: an apalis backend over our own tables.
