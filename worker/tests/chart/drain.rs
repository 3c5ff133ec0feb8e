//! What the probes and the metrics of a pod see while it drains, which for a mux may be minutes.

use crate::support::{Api, PATIENCE, Site, wait};
use reqwest::Method;
use rustix::process::Signal;

#[tokio::test(flavor = "multi_thread")]
async fn draining_worker_lives_is_not_ready_and_is_counted_until_its_jobs_have_ended() {
    let site = Site::new().await;
    let listen = format!("127.0.0.1:{}", crate::support::site::free_port());
    let set = format!("work.listen={listen}");
    let mut work = site.start(&["work", "--set", &set, "--set", "work.drain=10m", "--set", "work.pool=mux"]);
    let health = Api::new(format!("http://{listen}"), String::new());
    let status = async |path: &str| {
        let answer = health.try_send(health.request(Method::GET, path)).await;
        answer.map(|answer| answer.status)
    };
    wait::until("the worker is ready", PATIENCE, async || (status("/readyz").await == Some(200)).then_some(())).await;

    let enqueued = site.spool(&["job", "enqueue", "noop", r#"{"wait_ms": 100000}"#]).status().unwrap();
    assert!(enqueued.success());
    let running = "SELECT count(*) FROM queue.job WHERE kind = 'noop' AND state = 3";
    wait::until("the job runs", PATIENCE, async || (site.count(running, []).await == 1).then_some(())).await;

    work.signal(Signal::TERM);
    wait::until("the worker drains", PATIENCE, async || (status("/readyz").await == Some(503)).then_some(())).await;
    wait::until("the metrics say so", PATIENCE, async || {
        let text = reqwest::get(format!("http://{listen}/metrics")).await.ok()?.text().await.ok()?;
        text.contains("spool_draining{pool=\"mux\"} 1").then_some(())
    })
    .await;
    assert_eq!(status("/healthz").await, Some(200), "a probe must not kill what it drains");
    assert_eq!(site.count(running, []).await, 1, "the job goes on");

    work.signal(Signal::TERM);
    assert_eq!(work.wait(PATIENCE).code(), Some(130), "told twice it ends at once");
}
