//! The command line and what it means.

use clap::Parser;
use domain::id::RecordingId;
use media::ff::segmenter::{Options, Pace, Stop};
use recorder::client::Endpoint;
use recorder::folder::Folder;
use recorder::{Error, Observer, Session, Source, upload};
use std::path::PathBuf;
use std::time::Duration;

/// Records a source in two-second segments and uploads each one while the next is made.
#[derive(Debug, Parser)]
#[command(name = "spool-record", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// What to record: a file, `test:` or `test:1280x720@30` for the synthetic source, or a folder of unsent segments
    source: String,

    /// Base address of the server, for example http://127.0.0.1:8080
    #[arg(long, env = "SPOOL_URL", requires = "recording")]
    url: Option<String>,

    /// Id of the recording, as the server gave it
    #[arg(long, env = "SPOOL_RECORDING")]
    pub(crate) recording: Option<String>,

    /// Upload token. Others on this machine can see it here: prefer the variable or the file
    #[arg(long, env = "SPOOL_UPLOAD_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// File with the upload token
    #[arg(long, conflicts_with = "token")]
    token_file: Option<PathBuf>,

    /// Stop after this many seconds of the source
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,

    /// Write the segments into this folder, besides uploading or instead of it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Keep segments here until the server has acknowledged them, instead of in memory
    #[arg(long, value_name = "DIR")]
    keep_unsent: Option<PathBuf>,

    /// Send segments past the server into the object store, where the server can sign URLs
    #[arg(long, requires = "url")]
    direct: bool,

    /// Give up when nothing has succeeded for this many seconds after the end of the source
    #[arg(long, value_name = "N", default_value_t = 600)]
    patience: u64,

    /// At the speed of the clock on the wall; default for test:
    #[arg(long, conflicts_with = "fast")]
    realtime: bool,

    /// As fast as the machine can; default for a file
    #[arg(long)]
    fast: bool,

    /// Ask for the result when everything has arrived
    #[arg(long, requires = "url")]
    complete: bool,

    /// End in one JSON line on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 everything has arrived · 1 failed · 2 usage · 4 not found · \
    5 refused by the recording's state · 6 server unreachable · 7 token · 130 given up by a second Ctrl-C";

impl Arguments {
    /// Reads everything that the words name.
    pub(crate) fn into_session(self, observer: Observer) -> Result<Session, Error> {
        let source: Source = self.source.parse()?;
        if self.out.is_none() && self.url.is_none() {
            return Err(usage("nothing would be kept: give --url with --recording and a token, or --out DIR"));
        }
        let realtime = self.realtime || (!self.fast && matches!(source, Source::Test(_)));
        let options = Options {
            pace: if realtime { Pace::Realtime } else { Pace::Fast },
            limit: self.limit()?,
            stop: Stop::default(),
            ..Options::default()
        };
        if options.pace == Pace::Fast && options.limit.is_none() && matches!(source, Source::Test(_)) {
            return Err(usage("test: has no end of its own; --fast needs --seconds"));
        }
        if let (Source::Folder(from), Some(to)) = (&source, self.keep_unsent.as_ref().or(self.out.as_ref()))
            && from == to
        {
            return Err(usage(
                "the folder of the source cannot be written to; its segments stay there until they are removed",
            ));
        }
        Ok(Session {
            source,
            options,
            out: self.out.clone(),
            complete: self.complete,
            upload: self.upload()?,
            observer,
        })
    }

    fn limit(&self) -> Result<Option<Duration>, Error> {
        let wrong = || usage("--seconds must be a number above 0");
        let read = |seconds| Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero());
        self.seconds.map(|seconds| read(seconds).ok_or_else(wrong)).transpose()
    }

    fn upload(&self) -> Result<Option<upload::Settings>, Error> {
        let (Some(url), Some(recording)) = (&self.url, &self.recording) else { return Ok(None) };
        let base: reqwest::Url =
            url.parse().map_err(|_| usage("--url is not an address like http://127.0.0.1:8080"))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(usage("--url must begin with http:// or https:// and name a host"));
        }
        let recording = RecordingId::parse(recording).map_err(|error| usage(&format!("--recording: {error}")))?;
        let mut settings = upload::Settings::new(Endpoint { base, recording, token: self.token()?.into() });
        settings.patience = Duration::from_secs(self.patience);
        settings.direct = self.direct;
        settings.keep_unsent = self.keep_unsent.as_deref().map(Folder::create).transpose()?;
        Ok(Some(settings))
    }

    fn token(&self) -> Result<String, Error> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|source| Error::Folder {
                operation: "read token from",
                path: path.clone(),
                source,
            })?,
            (None, None) => {
                return Err(usage("an upload token is missing: SPOOL_UPLOAD_TOKEN, --token-file FILE or --token"));
            }
        };
        Ok(token.trim().to_owned())
    }
}

fn usage(what: &str) -> Error {
    Error::Usage { what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn read(words: &[&str]) -> Result<Session, Error> {
        Arguments::parse_from([&["spool-record"], words].concat()).into_session(std::sync::Arc::new(|_| {}))
    }

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn pace_follows_the_source_unless_said_otherwise() {
        let pace = |words: &[&str]| read(words).unwrap().options.pace;
        assert_eq!(pace(&["test:", "--out", "x"]), Pace::Realtime);
        assert_eq!(pace(&["test:", "--out", "x", "--fast", "--seconds", "2"]), Pace::Fast);
        assert_eq!(pace(&["a.mp4", "--out", "x"]), Pace::Fast);
        assert_eq!(pace(&["a.mp4", "--out", "x", "--realtime"]), Pace::Realtime);
    }

    #[test]
    fn usage_errors_are_found_before_anything_is_recorded() {
        let url = ["--url", "http://h", "--recording", "r"];
        let with = |words: &[&'static str]| [&["test:"], &url[..], words].concat();
        for words in [
            vec!["test:"],
            vec!["test:", "--out", "x", "--fast"],
            vec!["test:", "--out", "x", "--seconds=-1"],
            vec!["test:", "--out", "x", "--seconds", "0"],
            vec!["test:", "--url", "ftp://h", "--recording", "r", "--token", "t"],
            vec!["test:", "--url", "http://h", "--recording", "../r", "--token", "t"],
            with(&[]),
            with(&["--token", "a\nb"]),
        ] {
            let outcome = read(&words).and_then(|session| match session.upload {
                Some(upload) => recorder::client::Client::new(upload.endpoint).map(drop),
                None => Ok(()),
            });
            assert_eq!(outcome.map_err(|error| error.exit_code()), Err(2), "{words:?}");
        }
    }
}
