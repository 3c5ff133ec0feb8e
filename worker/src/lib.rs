//! Makes it happen: serve, work, migrate, demo, job.
