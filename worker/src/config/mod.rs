//! Settings: where they come from, what they may be, and how they are shown.
//!
//! Order: defaults < `config.toml` (or the file that `SPOOL_CONFIG` names) < environment `SPOOL__SECTION__KEY` < flags.
//! Everything is checked once, in [`load()`]; afterwards a setting cannot be wrong. Secrets come from the environment or
//! from a file that `…_FILE` names, never from `config.toml`, and are never shown.
//! This is the only module that reads the environment. A section lives beside the code it configures; those with
//! several users are in `sections`.

mod load;
mod sections;

pub use crate::secret::Secret;
pub(crate) use load::library_path;
pub use load::{Error, Sources, load};
pub use sections::{Cleanup, Engine, Limits, Live, Log, LogFormat, Mux, Preview, Queue, Retention, Slots, Work};

use serde::{Deserialize, Deserializer, Serialize};

/// Every setting. `Config::default()` is what the top-level `config.toml` says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The database.
    pub database: crate::db::Config,
    /// The object store.
    pub storage: crate::storage::Config,
    /// Where acknowledged bytes wait for the store.
    pub staging: crate::staging::Config,
    /// Tokens and their keys.
    pub auth: crate::auth::Config,
    /// The API.
    pub http: crate::http::Config,
    /// The working process.
    pub work: Work,
    /// Bounds on what clients may send.
    pub limits: Limits,
    /// How a recording goes on and ends.
    pub live: Live,
    /// Looking into buckets that other uploaders write.
    pub bucket: crate::bucket::Config,
    /// Deleting what was kept only for the result.
    pub cleanup: Cleanup,
    /// How long things are kept.
    pub retention: Retention,
    /// Making the result.
    pub mux: Mux,
    /// Poster and animated preview.
    pub preview: Preview,
    /// Telling the web app.
    pub webhook: crate::webhook::Config,
    /// Timings of the job engine.
    pub queue: Queue,
    /// What is logged, and how.
    pub log: Log,
}

/// The keys that hold secrets: refused in a file, masked when shown, and read from `…_FILE` too.
pub(crate) const SECRETS: [&str; 7] = [
    "auth.service_tokens",
    "auth.signing_keys",
    "database.url",
    "storage.access_key_id",
    "storage.secret_access_key",
    "webhook.compatibility_secret",
    "webhook.secrets",
];

impl Config {
    /// The effective settings as TOML with secrets masked: what `spool config` prints.
    pub fn show(&self) -> String {
        toml::to_string(self).expect("every setting is a TOML value")
    }

    /// The effective settings as JSON with secrets masked: what `spool config --json` prints.
    pub fn show_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("every setting is a JSON value")
    }

    /// Refuses settings that contradict each other or that nothing could work with.
    fn validate(&self) -> Result<(), Error> {
        let wrong = |key: &str, why: &str| {
            Err(Error::Invalid {
                key: key.to_owned(),
                origin: "the effective settings".to_owned(),
                why: why.to_owned(),
            })
        };
        for (key, duration) in [
            ("database.connect_timeout", self.database.connect_timeout),
            ("database.acquire_timeout", self.database.acquire_timeout),
            ("database.statement_timeout", self.database.statement_timeout),
            ("storage.timeout", self.storage.timeout),
            ("storage.io_timeout", self.storage.io_timeout),
            ("auth.upload_token_ttl", self.auth.upload_token_ttl),
            ("auth.playback_token_ttl", self.auth.playback_token_ttl),
            ("http.header_timeout", self.http.header_timeout),
            ("http.body_timeout", self.http.body_timeout),
            ("http.put_timeout", self.http.put_timeout),
            ("http.request_timeout", self.http.request_timeout),
            ("limits.presign_ttl", self.limits.presign_ttl),
            ("limits.segment_duration", self.limits.segment_duration),
            ("bucket.look_min", self.bucket.look_min),
            ("live.silence_after", self.live.silence_after),
            ("preview.time_limit", self.preview.time_limit),
            ("queue.heartbeat", self.queue.heartbeat),
            ("queue.poll", self.queue.poll),
        ] {
            if duration.is_zero() {
                return wrong(key, "it must be longer than zero");
            }
        }
        for (key, number) in [
            ("database.pool_max", self.database.pool_max),
            ("storage.tries_max", self.storage.tries_max),
            ("http.connections_max", self.http.connections_max),
            ("http.puts_max", self.http.puts_max),
            ("limits.puts_per_recording", self.limits.puts_per_recording),
            ("limits.puts_per_second", self.limits.puts_per_second),
            ("bucket.reads_max", self.bucket.reads_max),
            ("mux.read_ahead", self.mux.read_ahead),
        ] {
            if number == 0 {
                return wrong(key, "it must be at least 1");
            }
        }
        if let Some(word) = self.http.embed_origins.iter().find(|word| !crate::http::watch::is_embed_origin(word)) {
            let why = format!("{word:?} is no origin like https://app.example.com, and neither \"*\" nor \"'self'\"");
            return wrong("http.embed_origins", &why);
        }
        if self.storage.service == crate::storage::Service::S3 && self.storage.bucket.is_empty() {
            return wrong("storage.bucket", "storage.service is s3, so a bucket must be named");
        }
        let keys = [&self.storage.access_key_id, &self.storage.secret_access_key];
        if self.storage.service == crate::storage::Service::S3
            && self.storage.identity == crate::storage::Identity::Keys
            && keys.iter().any(|key| !key.is_set())
        {
            let why =
                "set SPOOL__STORAGE__ACCESS_KEY_ID and SPOOL__STORAGE__SECRET_ACCESS_KEY, or identity = \"machine\"";
            return wrong("storage.identity", why);
        }
        if self.limits.presign_ttl > crate::storage::PRESIGN_TTL_MAX {
            return wrong("limits.presign_ttl", "S3 takes no signature that lives longer than 7 days");
        }
        if self.limits.segments_max == 0 || self.limits.segments_max > domain::segment::INDEX_MAX {
            return wrong("limits.segments_max", "it must be from 1 to 99999");
        }
        if self.limits.segment_size.0 == 0 || self.limits.segment_size.0 > u64::from(u32::MAX) {
            return wrong("limits.segment_size", "it must be from 1 byte to 4 GiB");
        }
        if self.limits.playlist_hold >= self.http.request_timeout {
            return wrong("limits.playlist_hold", "it must be shorter than http.request_timeout");
        }
        let pool = &self.work.pool;
        if !(1..=32).contains(&pool.len())
            || !pool.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        {
            return wrong("work.pool", "it must be 1 to 32 lowercase letters, digits or -");
        }
        if !(0.0..=1.0).contains(&self.live.max_gap_ratio) {
            return wrong("live.max_gap_ratio", "it must be from 0.0 to 1.0");
        }
        if self.queue.heartbeat * 2 > self.queue.lease {
            return wrong(
                "queue.lease",
                "it must be at least twice queue.heartbeat, else one late beat loses every job",
            );
        }
        if self.mux.part_size.0 < 5 << 20 {
            return wrong("mux.part_size", "it must be at least 5 MiB, which S3 demands of every part but the last");
        }
        if self.mux.scratch_max.0 == 0 {
            return wrong("mux.scratch_max", "it must be more than zero; mux.engine = \"index\" takes nothing apart");
        }
        if !(64..=960).contains(&self.preview.side_max) {
            return wrong("preview.side_max", "it must be from 64 to 960 pixels");
        }
        let least = media::ff::pictures::PREVIEW_BYTES_MIN as u64;
        if !(least..=8 << 20).contains(&self.preview.size_max.0) {
            return wrong("preview.size_max", "it must be from 400 kB, which every recording fits into, to 8 MiB");
        }
        if let Err((key, why)) = self.webhook.check() {
            return wrong(&key, why);
        }
        if let Some(name) = self.work.queues.iter().find(|name| domain::job::Queue::parse(name).is_none()) {
            return wrong("work.queues", &format!("there is no queue {name:?}"));
        }
        Ok(())
    }
}

/// Reads a list that is an array in a file and words between commas in the environment.
pub(crate) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Array(Vec<String>),
        Text(String),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::Array(words) => words,
        Words::Text(text) => {
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../../config.toml");

    #[test]
    fn default_is_what_the_top_level_file_says() {
        let file: Config = toml::from_str(FILE).unwrap();
        assert_eq!(file.show(), Config::default().show());
        assert_eq!(file, Config::default());
        Config::default().validate().unwrap();
    }

    /// A key that the file does not name is a key that nobody can find.
    #[test]
    fn the_top_level_file_names_every_key_and_comments_on_it() {
        let shown: toml::Table = Config::default().show().parse().unwrap();
        let file: toml::Table = FILE.parse().unwrap();
        for (section, keys) in &shown {
            for (key, _) in keys.as_table().unwrap() {
                let path = format!("{section}.{key}");
                if SECRETS.contains(&path.as_str()) {
                    let variable = format!("SPOOL__{}", path.replace('.', "__").to_uppercase());
                    assert!(FILE.contains(&variable), "config.toml does not mention {variable}");
                } else {
                    assert!(file[section].get(key).is_some(), "config.toml lacks {path}");
                }
            }
        }
        let mut commented = false;
        for line in FILE.lines() {
            let (text, comment) = line.split_once('#').map_or((line, None), |(text, comment)| (text, Some(comment)));
            if text.contains(" = ") {
                assert!(commented || comment.is_some(), "no comment: {line}");
            }
            commented = (commented && !line.is_empty()) || (text.is_empty() && comment.is_some());
        }
    }

    #[test]
    fn show_masks_every_secret() {
        let mut config = Config::default();
        config.database.url = Secret::new("postgres://u:hunter2@h/db");
        config.auth.service_tokens = Secret::new("app:hunter2");
        config.auth.signing_keys = Secret::new("a:hunter2");
        config.storage.access_key_id = Secret::new("hunter2");
        config.storage.secret_access_key = Secret::new("hunter2");
        config.webhook.secrets = Secret::new("app:hunter2");
        config.webhook.compatibility_secret = Secret::new("hunter2");
        let shown = format!("{}{}{config:?}", config.show(), config.show_json());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(config.show().matches("\"********\"").count(), SECRETS.len());
    }

    #[test]
    fn validate_names_the_key() {
        let check = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(check(|c| c.storage.service = crate::storage::Service::S3).contains("storage.bucket"));
        let without_keys: fn(&mut Config) = |c| {
            c.storage.service = crate::storage::Service::S3;
            c.storage.bucket = "b".into();
        };
        assert!(check(without_keys).contains("storage.identity"));
        assert!(check(|c| c.limits.presign_ttl = std::time::Duration::from_secs(8 * 86_400)).contains("presign_ttl"));
        assert!(check(|c| c.live.max_gap_ratio = 1.5).contains("live.max_gap_ratio"));
        assert!(check(|c| c.queue.lease = c.queue.heartbeat).contains("queue.lease"));
        assert!(check(|c| c.work.queues = vec!["mxu".into()]).contains("work.queues"));
        assert!(check(|c| c.work.pool = "Pool 1".into()).contains("work.pool"));
        assert!(check(|c| c.webhook.proxy = "proxy".into()).contains("webhook.proxy"));
        assert!(check(|c| c.http.puts_max = 0).contains("http.puts_max"));
    }
}
