//! Reads the settings from all their places, in their order, and says which place was wrong.

use super::{Config, SECRETS};
use ::config::{ConfigError, Environment, File, FileFormat, Map, Source, Value, ValueKind};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Prefix of every variable; keys and sections are parted by two underscores.
const PREFIX: &str = "SPOOL";

/// A setting that is wrong. Every variant ends a command with the exit code for configuration, and names the cure.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("read settings from {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("parse settings of {}: {why}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Line and reason.
        why: String,
    },
    /// There is no such setting.
    #[error("unknown setting {key} in {origin}; {cure}")]
    Unknown {
        /// Section and key.
        key: String,
        /// The file or the environment.
        origin: String,
        /// The nearest setting there is.
        cure: String,
    },
    /// The value cannot be used.
    #[error("setting {key} in {origin}: {why}")]
    Invalid {
        /// Section and key.
        key: String,
        /// The file or the environment.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// A secret stands where others can read it.
    #[error("secret {key} in {origin}: take it out and set {variable} or {variable}_FILE instead")]
    SecretInFile {
        /// Section and key.
        key: String,
        /// The file.
        origin: String,
        /// The variable to use instead.
        variable: String,
    },
    /// Two values for one secret.
    #[error("both {variable} and {variable}_FILE are set; unset one of them")]
    Twice {
        /// The variable.
        variable: String,
    },
}

/// Where settings come from. [`Sources::of_process`] is the ordinary one; tests bring their own.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file to read; `None`: no file.
    pub file: Option<PathBuf>,
    /// Variables of the environment.
    pub env: HashMap<String, String>,
    /// Settings from flags, as `section.key` and value; they win.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The environment of this process, and `config.toml` in its folder or the file that `SPOOL_CONFIG` names.
    pub fn of_process(flags: Vec<(String, String)>) -> Self {
        let env: HashMap<String, String> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named = env.get("SPOOL_CONFIG").map(PathBuf::from);
        let file = named.or_else(|| Some(PathBuf::from("config.toml")).filter(|path| path.exists()));
        Self { file, env, flags }
    }
}

/// Where the system finds shared libraries, if somebody had to say so: all of its environment that this process leaves to
/// a child, because the rest holds secrets.
pub(crate) fn library_path() -> impl Iterator<Item = (&'static str, OsString)> {
    let names = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];
    names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}

/// Reads and checks the settings.
pub fn load(sources: &Sources) -> Result<Config, Error> {
    let mut builder = ::config::Config::builder();
    if let Some(path) = &sources.file {
        builder = builder.add_source(read_file(path)?);
    }
    let variables = variables(&sources.env)?;
    let environment = Environment::with_prefix(PREFIX).prefix_separator("__").separator("__").source(Some(variables));
    refuse_unknown(&environment.collect().map_err(|source| unnamed(&source))?, "the environment")?;
    builder = builder.add_source(environment);
    for (key, value) in &sources.flags {
        refuse_unknown_key(key, "the flags")?;
        builder = builder.set_override(key.as_str(), value.as_str()).map_err(|source| unnamed(&source))?;
    }
    let config: Config =
        builder.build().and_then(::config::Config::try_deserialize).map_err(|source| unnamed(&source))?;
    config.validate()?;
    Ok(config)
}

fn read_file(path: &Path) -> Result<File<::config::FileSourceString, FileFormat>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let origin = path.display().to_string();
    let file = File::from_str(&text, FileFormat::Toml);
    let values = file.collect().map_err(|error| Error::Parse { path: path.to_owned(), why: error.to_string() })?;
    refuse_unknown(&values, &origin)?;
    for key in SECRETS {
        if find(&values, key).is_some_and(|value| !matches!(&value.kind, ValueKind::String(text) if text.is_empty())) {
            return Err(Error::SecretInFile { key: key.to_owned(), origin, variable: variable_of(key) });
        }
    }
    Ok(file)
}

/// The variables that are ours, with the contents of every `…_FILE` in place of its name.
fn variables(env: &HashMap<String, String>) -> Result<HashMap<String, String>, Error> {
    let prefix = format!("{PREFIX}__");
    let mut ours: HashMap<String, String> = env
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for key in SECRETS {
        let variable = variable_of(key);
        if let Some(value) = secret(env, &variable)? {
            ours.remove(&format!("{variable}_FILE"));
            ours.insert(variable, value);
        }
    }
    // The name that every hosting platform sets wins over ours.
    if let Some(url) = secret(env, "DATABASE_URL")? {
        ours.insert(variable_of("database.url"), url);
    }
    // The name that the replaced media server knew, so that its receiver's settings can stay as they are.
    if let Some(value) = secret(env, "MEDIA_SERVER_WEBHOOK_SECRET")? {
        ours.entry(variable_of("webhook.compatibility_secret")).or_insert(value);
    }
    Ok(ours)
}

fn secret(env: &HashMap<String, String>, variable: &str) -> Result<Option<String>, Error> {
    match (env.get(variable), env.get(&format!("{variable}_FILE"))) {
        (Some(_), Some(_)) => Err(Error::Twice { variable: variable.to_owned() }),
        (Some(value), None) => Ok(Some(value.clone())),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) => Ok(None),
    }
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}__{}", key.replace('.', "__").to_uppercase())
}

fn find<'a>(values: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (section, key) = path.split_once('.')?;
    match &values.get(section)?.kind {
        ValueKind::Table(table) => table.get(key),
        _ => None,
    }
}

/// Every `section.key` there is.
fn known() -> Vec<String> {
    let shown = Config::default().show_json();
    let sections = shown.as_object().expect("the settings are a table");
    let keys = |(section, keys): (&String, &serde_json::Value)| {
        let keys = keys.as_object().expect("a section is a table");
        keys.keys().map(|key| format!("{section}.{key}")).collect::<Vec<_>>()
    };
    sections.iter().flat_map(keys).collect()
}

fn refuse_unknown(values: &Map<String, Value>, origin: &str) -> Result<(), Error> {
    let mut paths = Vec::new();
    for (section, value) in values {
        match &value.kind {
            ValueKind::Table(table) => paths.extend(table.keys().map(|key| format!("{section}.{key}"))),
            _ => paths.push(section.clone()),
        }
    }
    paths.sort();
    paths.iter().try_for_each(|path| refuse_unknown_key(path, origin))
}

fn refuse_unknown_key(path: &str, origin: &str) -> Result<(), Error> {
    let known = known();
    if known.iter().any(|key| key == path || path.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.')))
    {
        return Ok(());
    }
    let last = path.rsplit('.').next().unwrap_or(path);
    let near = known.iter().min_by_key(|key| {
        let same_key = key.ends_with(&format!(".{last}"));
        (!same_key, distance(key, path))
    });
    let cure = near
        .map_or_else(String::new, |near| format!("did you mean {near} (in the environment {})?", variable_of(near)));
    Err(Error::Unknown { key: path.to_owned(), origin: origin.to_owned(), cure })
}

/// Number of letters to change, add or take away to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The reader's own error, which knows key and origin in its outer layers only.
fn unnamed(error: &ConfigError) -> Error {
    let (mut error, mut path, mut place) = (error, Vec::new(), None);
    while let ConfigError::At { error: inner, origin, key } = error {
        path.extend(key.clone());
        place = origin.clone().or(place);
        error = inner;
    }
    let why = match error {
        ConfigError::Type { origin, unexpected, expected, key } => {
            path.extend(key.clone());
            place = origin.clone().or(place);
            format!("it is {unexpected} and must be {expected}")
        }
        other => other.to_string(),
    };
    let key = if path.is_empty() { "(unnamed)".to_owned() } else { path.join(".") };
    Error::Invalid { key, origin: place.unwrap_or_else(|| "the file or the environment".to_owned()), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::time::Duration;

    fn env(pairs: &[(&str, &str)]) -> Sources {
        let env = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Sources { env, ..Sources::default() }
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, Sources) {
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        (file, sources)
    }

    #[test]
    fn load_takes_the_later_source() {
        let (_kept, mut sources) =
            file("[cleanup]\ngrace = \"1h\"\n[limits]\nsegment_size = \"1MiB\"\nsegments_max = 7\n");
        assert_eq!(load(&sources).unwrap().cleanup.grace, Duration::from_secs(3600));
        sources.env.insert("SPOOL__CLEANUP__GRACE".into(), "2s".into());
        sources.env.insert("SPOOL__LIMITS__SEGMENTS_MAX".into(), "8".into());
        sources.env.insert("SPOOL__WORK__QUEUES".into(), "mux, preview".into());
        sources.env.insert("SPOOL_TEST_POSTGRES".into(), "not a setting".into());
        sources.flags.push(("limits.segments_max".into(), "9".into()));
        let config = load(&sources).unwrap();
        assert_eq!(config.cleanup.grace, Duration::from_secs(2));
        assert_eq!((config.limits.segment_size.0, config.limits.segments_max), (1 << 20, 9));
        assert_eq!(config.work.queues, ["mux", "preview"]);
    }

    #[test]
    fn load_reads_secrets_from_files_and_lets_the_platform_name_win() {
        let (secret, _) = file("app:from-a-file\n");
        let path = secret.path().to_str().unwrap();
        let config = load(&env(&[
            ("SPOOL__AUTH__SERVICE_TOKENS_FILE", path),
            ("SPOOL__DATABASE__URL", "postgres://ours"),
            ("DATABASE_URL", "postgres://platform"),
        ]))
        .unwrap();
        assert_eq!(config.auth.service_tokens.expose(), "app:from-a-file");
        assert_eq!(config.database.url.expose(), "postgres://platform");
        let config = load(&env(&[("MEDIA_SERVER_WEBHOOK_SECRET_FILE", path)])).unwrap();
        assert_eq!(config.webhook.compatibility_secret.expose(), "app:from-a-file");
        let twice = env(&[("DATABASE_URL", "a"), ("DATABASE_URL_FILE", path)]);
        assert!(matches!(load(&twice), Err(Error::Twice { .. })));
        let gone = env(&[("SPOOL__AUTH__SIGNING_KEYS_FILE", "/nowhere/key")]);
        assert!(matches!(load(&gone), Err(Error::Read { .. })));
    }

    #[test]
    fn load_says_which_setting_is_wrong_where_and_what_to_do() {
        let refusal = |sources: &Sources| load(sources).unwrap_err().to_string();
        let text = refusal(&env(&[("SPOOL__HTTP__LISTN", "x")]));
        assert!(text.starts_with("unknown setting http.listn in the environment; did you mean http.listen"), "{text}");
        let text = refusal(&env(&[("SPOOL__GRACE", "1s")]));
        assert!(text.contains("did you mean cleanup.grace (in the environment SPOOL__CLEANUP__GRACE)"), "{text}");
        let text = refusal(&env(&[("SPOOL__CLEANUP__GRACE", "soon")]));
        assert!(text.contains("cleanup.grace") && text.contains("environment"), "{text}");
        let text = refusal(&env(&[("SPOOL__LIMITS__SEGMENT_SIZE", "big")]));
        assert!(text.contains("limits.segment_size"), "{text}");
        let text = refusal(&env(&[("SPOOL__STORAGE__SERVICE", "tape")]));
        assert!(text.contains("storage.service") && text.contains("tape"), "{text}");
        let text = refusal(&env(&[("SPOOL__STORAGE__BUCKET_FILE", "/x")]));
        assert!(text.contains("unknown setting storage.bucket_file"), "{text}");
        let (_kept, sources) = file("[auth]\nservice_tokens = \"app:x\"\n");
        assert!(refusal(&sources).contains("SPOOL__AUTH__SERVICE_TOKENS_FILE"));
        let (_kept, sources) = file("[http]\nlisten = \n");
        assert!(matches!(load(&sources), Err(Error::Parse { .. })));
        let (_kept, sources) = file("[http]\nport = 1\n");
        assert!(refusal(&sources).contains(sources.file.as_ref().unwrap().to_str().unwrap()));
        let gone = Sources { file: Some("/nowhere/config.toml".into()), ..Sources::default() };
        assert!(matches!(load(&gone), Err(Error::Read { .. })));
    }
}
