//! A database that is away, silent or busy: wishes are taken at once all the while, and what comes back is seen.

use crate::world::{Console, World};
use domain::filter::Filter;
use sqlx::Executor;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tui::source::ask::{Pace, What};
use tui::source::told::{Body, Link};
use tui::source::{Ask, Told};

async fn link(console: &mut Console, what: &str, wanted: impl Fn(&Link) -> bool) -> Link {
    console
        .until(what, |told| match told {
            Told::Link(link) if wanted(&link) => Some(link),
            _ => None,
        })
        .await
}

async fn up(console: &mut Console) {
    link(console, "a connection", |link| matches!(link, Link::Up { .. })).await;
}

async fn lost(console: &mut Console) {
    link(console, "the loss", |link| matches!(link, Link::Lost { .. })).await;
}

fn recordings() -> What {
    What::Recordings { filter: Filter::default(), after: None, limit: 10 }
}

/// A wire to the server that can be made to swallow everything, as a network does that has forgotten a connection.
struct Wire {
    address: SocketAddr,
    silent: watch::Sender<bool>,
}

impl Wire {
    async fn to(port: u16) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, seen) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(carry(near_read, far_write, seen.clone()));
                tokio::spawn(carry(far_read, near_write, seen.clone()));
            }
        });
        Wire { address, silent }
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    silent: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        if !*silent.borrow() && to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_silent_database_is_lost_and_found_again_and_never_waited_for() {
    let world = World::new().await;
    world.recording("r1", "live").await;
    let options: sqlx::postgres::PgConnectOptions = world.db.url().parse().unwrap();
    let wire = Wire::to(options.get_port()).await;
    let url = sqlx::ConnectOptions::to_url_lossy(&options.port(wire.address.port())).to_string();
    let mut console = Console::on(&url);
    up(&mut console).await;
    let generation = console.read(recordings(), true);
    assert!(matches!(console.reply(generation).await.body, Body::Fresh(_)));

    wire.silent.send_replace(true);
    console.ask(Ask::Refresh);
    let begun = Instant::now();
    // More wishes than the channel holds: they are taken while the read hangs.
    for _ in 0..20 {
        for _ in 0..100 {
            console.ask(Ask::Pace(Pace::Second));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // Counted from the last answer, and not from when the silence was too long.
    let first = link(&mut console, "the loss", |link| matches!(link, Link::Lost { .. })).await;
    let Link::Lost { since, tries, .. } = first else { panic!("{first:?}") };
    assert!(since >= Duration::from_secs(2) && tries == 0, "{since:?}, {tries} tries");
    wire.silent.send_replace(false);
    up(&mut console).await;
    let again = console
        .until("what is watched, read again", |told| match told {
            Told::Reply(reply) if reply.generation == generation => Some(reply.body),
            _ => None,
        })
        .await;
    assert_eq!(again, Body::Unchanged);
}

/// A pool asks a connection whether it lives whenever it is given back, and replaces one without a word that is cut just
/// then. So it is cut until one is hit that is in use or lies idle.
#[tokio::test]
async fn a_connection_that_is_cut_is_made_again() {
    let world = World::new().await;
    let mut console = world.console();
    up(&mut console).await;
    let generation = console.read(recordings(), true);
    assert!(matches!(console.reply(generation).await.body, Body::Fresh(_)));
    let cut = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity \
        WHERE application_name = 'spool-tui/ann@desk' AND datname = current_database()";
    let cutting = async {
        loop {
            world.text(cut).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    tokio::select! {
        () = lost(&mut console) => {}
        () = cutting => {}
    }
    up(&mut console).await;
    assert_eq!(console.reply(generation).await.body, Body::Unchanged, "what is watched is read again");
}

#[tokio::test]
async fn a_table_that_is_held_costs_a_moment_and_not_the_connection() {
    let world = World::new().await;
    let mut console = world.console();
    up(&mut console).await;
    let mut held = world.pool.begin().await.unwrap();
    held.execute("LOCK TABLE spool.recording IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let generation = console.read(recordings(), true);
    let failed = console.reply(generation).await.body;
    assert!(matches!(&failed, Body::Failed(why) if why.as_str().contains("holds")), "{failed:?}");
    // Others are read meanwhile.
    console.value(What::Workers).await;
    held.rollback().await.unwrap();
    let found = console
        .until("the list", |told| match told {
            Told::Reply(reply) if reply.generation == generation => matches!(reply.body, Body::Fresh(_)).then_some(()),
            _ => None,
        })
        .await;
    assert_eq!(found, ());
}

#[tokio::test]
async fn nobody_there_is_told_and_a_database_without_spool_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut console = Console::on(&format!("postgres://nobody@127.0.0.1:{port}/nothing"));
    let told = link(&mut console, "the second try", |link| matches!(link, Link::Lost { tries: 2.., .. })).await;
    assert!(!format!("{told:?}").contains("nobody"), "{told:?}");
    let empty = postgres::testing::TestDb::empty().await.unwrap();
    let mut console = Console::on(empty.url());
    let told = link(&mut console, "the reason", |link| matches!(link, Link::Lost { .. })).await;
    assert!(format!("{told:?}").contains("spool migrate"), "{told:?}");
}
