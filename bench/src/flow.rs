//! The usual finalizer over an object store: download every segment, join, run FFmpeg, upload in parts, one after the
//! other. It runs as a process of its own, so that it is measured like the others.

use crate::server::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY};
use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rusty_s3::actions::{CreateMultipartUpload, S3Action as _};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Reads at once.
const READS: usize = 10;

/// Length of an uploaded part.
const PART_BYTES: usize = 64 << 20;

/// How long a signed address lives.
const TTL: Duration = Duration::from_secs(3600);

/// What the flow is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the server.
    #[arg(long)]
    endpoint: String,
    /// What the keys of the segments begin with.
    #[arg(long)]
    prefix: String,
    /// Segments of the video track.
    #[arg(long)]
    video: u32,
    /// Segments of the audio track.
    #[arg(long)]
    audio: u32,
    /// Key of the result.
    #[arg(long)]
    result: String,
}

/// For messages.
pub(crate) const NAME: &str = "the usual flow";

struct Store {
    bucket: Bucket,
    credentials: Credentials,
    http: reqwest::Client,
}

/// Makes the result in the current folder and uploads it.
pub(crate) async fn run(args: Args) -> Result<()> {
    let store = Store {
        bucket: Bucket::new(args.endpoint.parse()?, UrlStyle::Path, BUCKET, "us-east-1")?,
        credentials: Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY),
        http: reqwest::Client::builder().no_proxy().build()?,
    };
    for (track, count) in [("video", args.video), ("audio", args.audio)] {
        let names = std::iter::once("init.mp4".to_owned()).chain((1..=count).map(|n| format!("segment_{n:03}.m4s")));
        let objects: Vec<(String, PathBuf)> =
            names.map(|name| (format!("{}{track}/{name}", args.prefix), format!("{track}-{name}").into())).collect();
        let reads = objects.iter().map(|(key, to)| store.download(key, to));
        stream::iter(reads).buffer_unordered(READS).try_collect::<()>().await?;
        let mut joined = tokio::fs::File::create(format!("{track}.mp4")).await?;
        for (_, part) in &objects {
            tokio::io::copy(&mut tokio::fs::File::open(part).await?, &mut joined).await?;
        }
        joined.flush().await?;
    }
    let ffmpeg = tokio::task::spawn_blocking(|| {
        std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-i", "video.mp4", "-i", "audio.mp4", "-map", "0:v:0", "-map", "1:a:0"])
            .args(["-c", "copy", "-movflags", "+faststart", "result.mp4"])
            .status()
    });
    ensure!(ffmpeg.await??.success(), "FFmpeg failed");
    store.upload("result.mp4".as_ref(), &args.result).await
}

impl Store {
    async fn download(&self, key: &str, to: &Path) -> Result<()> {
        let url = self.bucket.get_object(Some(&self.credentials), key).sign(TTL);
        let mut answer = self.http.get(url).send().await?.error_for_status()?;
        let mut file = tokio::fs::File::create(to).await?;
        while let Some(piece) = answer.chunk().await? {
            file.write_all(&piece).await?;
        }
        Ok(file.flush().await?)
    }

    async fn upload(&self, from: &Path, key: &str) -> Result<()> {
        let create = self.bucket.create_multipart_upload(Some(&self.credentials), key);
        let answer = self.http.post(create.sign(TTL)).send().await?.error_for_status()?.text().await?;
        let upload = CreateMultipartUpload::parse_response(&answer)?;
        let (mut file, mut tags) = (tokio::fs::File::open(from).await?, Vec::new());
        loop {
            let mut part = Vec::with_capacity(PART_BYTES);
            (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).await?;
            if part.is_empty() {
                break;
            }
            let number = u16::try_from(tags.len() + 1)?;
            let put = self.bucket.upload_part(Some(&self.credentials), key, number, upload.upload_id());
            let answer = self.http.put(put.sign(TTL)).body(part).send().await?.error_for_status()?;
            let tag = answer.headers().get(http::header::ETAG).context("a part has a tag")?;
            tags.push(tag.to_str()?.to_owned());
        }
        let tags = tags.iter().map(String::as_str);
        let complete = self.bucket.complete_multipart_upload(Some(&self.credentials), key, upload.upload_id(), tags);
        let (url, body) = (complete.sign(TTL), complete.body());
        self.http.post(url).body(body).send().await?.error_for_status()?;
        Ok(())
    }
}
