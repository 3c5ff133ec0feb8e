//! A browser of one test: headless Chromium behind its own WebDriver server, both gone with the value.
//!
//! WebDriver (W3C) is a dozen requests with JSON, made here with the HTTP client that the tests have anyway; the client
//! libraries for it bring a parser under a licence that `deny.toml` does not let in.

use crate::support::wait;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Chromium's first start on a busy machine takes a while.
const START: Duration = Duration::from_secs(60);

/// Keys of WebDriver's `press`.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ESCAPE: &str = "\u{e00c}";
pub(crate) const RIGHT: &str = "\u{e014}";
pub(crate) const HOME: &str = "\u{e011}";

/// The browser. Nothing of it outlives the value.
#[derive(Debug)]
pub(crate) struct Browser {
    http: reqwest::Client,
    port: u16,
    session: String,
    driver: Child,
    profile: TempDir,
}

impl Browser {
    /// Starts one with an empty profile and a window of 1280 × 800.
    pub(crate) async fn start() -> Browser {
        let port = crate::support::site::free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).arg("--log-level=WARNING").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = command.spawn().unwrap_or_else(|error| {
            panic!(
                "chromedriver: {error}. These tests need Chromium and its driver: scripts/setup.sh test installs them \
                 (packages chromium and chromium-driver on Debian)"
            )
        });
        let http = reqwest::Client::builder().timeout(START).no_proxy().build().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser { http, port, session: String::new(), driver, profile };
        wait::until("chromedriver listens", START, async || {
            browser.http.get(format!("http://127.0.0.1:{port}/status")).send().await.ok().map(drop)
        })
        .await;
        let asked = browser.capabilities();
        let made = browser.ask(Method::POST, "/session", Some(asked)).await;
        let made = made.unwrap_or_else(|why| panic!("Chromium does not start: {why}"));
        browser.session = made["sessionId"].as_str().expect("a session has an id").to_owned();
        browser
    }

    fn capabilities(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let arguments = [
            "--headless=new",
            // A container's root has no user namespaces, and the only pages are ours.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--mute-audio",
            "--autoplay-policy=no-user-gesture-required",
            "--window-size=1280,800",
            // Nothing of its own goes to the network.
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            profile.as_str(),
        ];
        json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "timeouts": { "script": 30_000, "pageLoad": 30_000 },
        } } })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let request = self.http.request(method, format!("http://127.0.0.1:{}{path}", self.port));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.map_err(|error| format!("no answer: {error}"))?;
        let good = answer.status().is_success();
        let value = answer.json::<Value>().await.map_err(|error| error.to_string())?["value"].take();
        if good { Ok(value) } else { Err(format!("{}: {}", value["error"], value["message"])) }
    }

    /// One command of the session.
    pub(crate) async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let asked = self.ask(method, &format!("/session/{}{path}", self.session), body).await;
        asked.unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.command(Method::POST, "/url", Some(json!({ "url": url }))).await;
    }

    /// Runs the body of a function in the page, and gives what it returns or resolves to.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.command(Method::POST, "/execute/sync", Some(json!({ "script": script, "args": [] }))).await
    }

    /// Presses and lets go one key, wherever the focus is.
    pub(crate) async fn press(&self, key: &str) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        self.command(Method::POST, "/actions", Some(body)).await;
    }

    /// Clicks the middle of an element.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.command(Method::POST, &format!("/element/{element}/click"), Some(json!({}))).await;
    }

    /// An element's reference.
    pub(crate) async fn find(&self, selector: &str) -> String {
        let body = json!({ "using": "css selector", "value": selector });
        reference(&self.command(Method::POST, "/element", Some(body)).await)
    }

    /// Role and name that assistive technology gets of the focused element.
    pub(crate) async fn focused(&self) -> (String, String) {
        let element = reference(&self.command(Method::GET, "/element/active", None).await);
        let text = async |what: &str| {
            let value = self.command(Method::GET, &format!("/element/{element}/{what}"), None).await;
            value.as_str().unwrap_or_default().to_owned()
        };
        (text("computedrole").await, text("computedlabel").await)
    }

    /// Commands go to the first frame of the page from now on.
    pub(crate) async fn enter_frame(&self) {
        self.command(Method::POST, "/frame", Some(json!({ "id": 0 }))).await;
    }

    /// Commands go to the page again.
    pub(crate) async fn leave_frame(&self) {
        self.command(Method::POST, "/frame", Some(json!({ "id": null }))).await;
    }

    /// URLs that pages have asked for since the last call.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let lines = self.command(Method::POST, "/se/log", Some(json!({ "type": "performance" }))).await;
        let lines = lines.as_array().cloned().unwrap_or_default();
        let message = |line: &Value| serde_json::from_str::<Value>(line["message"].as_str()?).ok();
        let asked = lines.iter().filter_map(message).map(|mut message| message["message"].take());
        let asked = asked.filter(|message| message["method"] == "Network.requestWillBeSent");
        let urls = asked.filter_map(|message| message["params"]["request"]["url"].as_str().map(str::to_owned));
        // A blob is no request, and the page that a new browser shows is made of the browser's own files.
        urls.filter(|url| url.starts_with("http")).collect()
    }

    /// What pages have written to the console since the last call, and what the browser complained of.
    pub(crate) async fn console(&self) -> Vec<String> {
        let lines = self.command(Method::POST, "/se/log", Some(json!({ "type": "browser" }))).await;
        let lines = lines.as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| format!("{} {}", line["level"], line["message"])).collect()
    }

    /// Processes of the browser: whoever was started with its profile.
    fn processes(&self) -> Vec<Pid> {
        let profile = self.profile.path().to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&profile)
        };
        pids.filter(ours).filter_map(Pid::from_raw).collect()
    }

    /// Asks the driver to close the browser: the only way that also ends the browser's own children at once.
    fn close(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let head = format!("DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", self.session);
        stream.write_all(head.as_bytes())?;
        stream.read(&mut [0; 64]).map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.close();
        let _ = kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        let _ = self.driver.wait();
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn reference(element: &Value) -> String {
    let reference = element.as_object().and_then(|fields| fields.values().next()?.as_str());
    reference.expect("an element has a reference").to_owned()
}
