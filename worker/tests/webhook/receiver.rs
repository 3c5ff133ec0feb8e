//! A receiver of webhooks as a web app would write it: the example of the documentation, in a process of its own, with the
//! Standard Webhooks package from PyPI.

use crate::support::site::free_port;
use crate::support::{PATIENCE, Running, Site, wait};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A secret in base64, as receivers' libraries want it.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A file of this repository.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The only block of this language in `docs/webhooks.md`.
pub fn example(language: &str) -> String {
    let text = std::fs::read_to_string(file("docs/webhooks.md")).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).expect("docs/webhooks.md has an example");
    rest.split_once("```").unwrap().0.to_owned()
}

/// Python with the packages that the tests use.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let made = Command::new(file("scripts/tools.sh")).arg("venv").output().expect("bash runs scripts/tools.sh");
        assert!(
            made.status.success(),
            "the package standardwebhooks, with which a receiver is written, cannot be fetched from PyPI; without it \
             nothing here proves anything:\n{}",
            String::from_utf8_lossy(&made.stderr)
        );
        PathBuf::from(String::from_utf8(made.stdout).unwrap().trim()).join("bin/python")
    })
}

/// The receiver, and what it has written down. It may be stopped and started again; what was written stays.
pub struct Receiver {
    folder: PathBuf,
    port: u16,
    certificate: Option<PathBuf>,
    process: Option<Running>,
}

/// One request that was answered, or that a receiver died over.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub id: String,
    pub body: Value,
    pub text: String,
    pub headers: Value,
    pub verified: bool,
    /// None while it is being answered.
    pub status: Option<u64>,
    pub begun: f64,
    pub ended: Option<f64>,
}

impl Seen {
    pub fn seq(&self) -> u64 {
        self.body["seq"].as_u64().unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default()
    }

    /// The receiver said that it has it.
    pub fn taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl Receiver {
    /// One that is not there yet.
    pub fn new(site: &Site, name: &str) -> Receiver {
        let folder = site.folder().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("receive.py"), example("python")).unwrap();
        Receiver { folder, port: free_port(), certificate: None, process: None }
    }

    /// One that speaks TLS, with a certificate that nobody knows. Gives the certificate's file.
    pub fn with_tls(site: &mut Site, name: &str) -> (Receiver, PathBuf) {
        let mut receiver = Receiver::new(site, name);
        let (key, certificate) = (receiver.folder.join("key.pem"), receiver.folder.join("certificate.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        let made = openssl.output().expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let both = std::fs::read_to_string(&certificate).unwrap() + &std::fs::read_to_string(&key).unwrap();
        let file = receiver.folder.join("both.pem");
        std::fs::write(&file, both).unwrap();
        receiver.certificate = Some(file);
        receiver.name_in(site, "app");
        (receiver, certificate)
    }

    /// Names it in the settings of a site as endpoint `name`, with a secret.
    pub fn name_in(&self, site: &mut Site, name: &str) {
        let key = format!("SPOOL__WEBHOOK__ENDPOINTS__{}__URL", name.to_uppercase());
        site.set(&key, &self.url("/hook?key=secret-of-the-address"));
        site.set("SPOOL__WEBHOOK__SECRETS", &format!("{name}:{SECRET}"));
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// Starts it, and waits until it listens.
    pub async fn start(&mut self, secret: &str) {
        let mut command = Command::new(python());
        command.arg(file("worker/tests/webhook/receiver.py")).arg(self.port.to_string()).arg(&self.folder);
        command.env("SPOOL_WEBHOOK_SECRET", secret);
        if let Some(certificate) = &self.certificate {
            command.env("RECEIVER_CERTIFICATE", certificate);
        }
        let mut process = Running::start(command, &self.folder.join("receiver.log"));
        let http = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build().unwrap();
        wait::until("the receiver listens", PATIENCE, async || {
            assert!(process.is_alive(), "the receiver has ended:\n{}", process.log());
            http.get(self.url("/")).send().await.ok().map(drop)
        })
        .await;
        self.process = Some(process);
    }

    /// Started already.
    pub async fn started(site: &mut Site) -> Receiver {
        let mut receiver = Receiver::new(site, "receiver");
        receiver.name_in(site, "app");
        receiver.start(SECRET).await;
        receiver
    }

    /// Takes it away, with whatever it is doing.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// What it answers next, one entry a request; afterwards what the example answers.
    pub fn answers(&self, answers: &[Value]) {
        let new = self.folder.join("answers.new");
        std::fs::write(&new, json!(answers).to_string()).unwrap();
        std::fs::rename(new, self.folder.join("answers.json")).unwrap();
    }

    /// Every request, in the order in which they began.
    pub fn seen(&self) -> Vec<Seen> {
        let text = std::fs::read_to_string(self.folder.join("log.jsonl")).unwrap_or_default();
        let mut all: Vec<Seen> = Vec::new();
        // A line that is being written has no end yet.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = line["body"].as_str().unwrap().to_owned();
            let seen = Seen {
                id: line["id"].as_str().unwrap_or_default().to_owned(),
                body: serde_json::from_str(&text).unwrap(),
                text,
                headers: line["headers"].clone(),
                verified: line["verified"].as_bool().unwrap_or(false),
                status: line["status"].as_u64(),
                begun: line["begun"].as_f64().unwrap(),
                ended: line["ended"].as_f64(),
            };
            match all.iter_mut().find(|known| known.begun == seen.begun && known.id == seen.id) {
                Some(known) => *known = seen,
                None => all.push(seen),
            }
        }
        all
    }

    /// Waits until the requests are as wanted, and gives them.
    pub async fn until(&self, what: &str, wanted: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        wait::until(what, PATIENCE, async || Some(self.seen()).filter(|seen| wanted(seen))).await
    }

    /// Waits until so many events were taken, and gives those, in the order of their arrival.
    pub async fn until_taken(&self, n: usize) -> Vec<Seen> {
        let taken = |seen: &[Seen]| seen.iter().filter(|seen| seen.taken()).count() >= n;
        let seen = self.until(&format!("{n} events are taken"), taken).await;
        seen.into_iter().filter(Seen::taken).collect()
    }
}
