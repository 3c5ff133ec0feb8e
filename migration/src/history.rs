//! The list of migrations. An entry is never changed once it was released; a correction is a new entry.
//!
//! Expand, then contract: an entry may add; what it replaces is removed one release later, because old processes run
//! against the new schema during a rolling update.

use sea_orm_migration::prelude::*;

pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(CREATE),
            Box::new(BUCKET),
            Box::new(PLAYLIST),
            Box::new(PICTURE),
            Box::new(WEBHOOK),
            Box::new(CONSOLE),
            Box::new(INIT_BODY),
        ]
    }

    fn migration_table_name() -> DynIden {
        "migration".into_iden()
    }
}

/// One entry: SQL files there, one statement list back.
struct Step {
    name: &'static str,
    up: &'static [&'static str],
    down: &'static str,
}

const CREATE: Step = Step {
    name: "m20261122_1_create_queue_and_spool",
    up: &[
        include_str!("queue_job.sql"),
        include_str!("queue_history.sql"),
        include_str!("queue_worker.sql"),
        include_str!("queue_stat.sql"),
        include_str!("queue_operation.sql"),
        include_str!("queue_enqueue.sql"),
        include_str!("queue_operate.sql"),
        include_str!("queue_steer.sql"),
        include_str!("recording.sql"),
        include_str!("segment.sql"),
        include_str!("event.sql"),
        include_str!("recording_complete.sql"),
        "SELECT queue.ensure_partitions(3)",
    ],
    // The table of the history itself stays: it lies in schema spool and says that nothing is applied.
    down: include_str!("down.sql"),
};

const BUCKET: Step = Step {
    name: "m20261122_2_look_into_buckets",
    up: &[include_str!("bucket.sql")],
    down: include_str!("bucket_down.sql"),
};

const PLAYLIST: Step = Step {
    name: "m20261122_3_describe_playlists",
    up: &[include_str!("playlist.sql")],
    down: include_str!("playlist_down.sql"),
};

const PICTURE: Step = Step {
    name: "m20261122_4_keep_pictures",
    up: &[include_str!("picture.sql")],
    down: include_str!("picture_down.sql"),
};

const WEBHOOK: Step = Step {
    name: "m20261122_5_deliver_events",
    up: &[include_str!("webhook.sql")],
    down: include_str!("webhook_down.sql"),
};

const CONSOLE: Step = Step {
    name: "m20261122_6_steer_recordings",
    up: &[include_str!("console.sql")],
    down: include_str!("console_down.sql"),
};

const INIT_BODY: Step = Step {
    name: "m20261122_7_keep_inits",
    up: &[include_str!("init_body.sql")],
    down: include_str!("init_body_down.sql"),
};

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for sql in self.up {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(self.down).await.map(drop)
    }
}
