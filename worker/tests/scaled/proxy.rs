//! The wire itself: each fault really happens, and a mended wire is whole.

use crate::support::proxy::{Counts, Fault, Proxy, Way};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Long enough for anything that crosses a loopback.
const SOON: Duration = Duration::from_secs(20);

/// Short, because it is waited out each time that nothing may come.
const A_WHILE: Duration = Duration::from_millis(150);

/// Answers each byte with itself, after one byte of its own that names it.
async fn echo(name: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = write.write_all(&[name]).await;
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    address
}

/// A wire to an echo, and a connection through it that has proved itself.
async fn wire() -> (Proxy, TcpStream) {
    let proxy = Proxy::to(&[echo(b'a').await]).await;
    let stream = open(&proxy).await;
    (proxy, stream)
}

async fn open(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(read(&mut stream, 1).await.unwrap(), b"a");
    assert_eq!(say(&mut stream, b"hello").await.unwrap(), b"hello");
    stream
}

async fn say(stream: &mut TcpStream, words: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(words).await?;
    read(stream, words.len()).await
}

async fn read(stream: &mut TcpStream, bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut answer = vec![0; bytes];
    timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer or an error")?;
    Ok(answer)
}

/// How a connection ends after what it still gives.
async fn end(stream: &mut TcpStream) -> (usize, Option<ErrorKind>) {
    let (mut read, mut buffer) = (0, vec![0; 4096]);
    loop {
        match timeout(SOON, stream.read(&mut buffer)).await.expect("an end") {
            Ok(0) => return (read, None),
            Ok(some) => read += some,
            Err(error) => return (read, Some(error.kind())),
        }
    }
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    timeout(A_WHILE, stream.read(&mut byte)).await.is_err()
}

#[tokio::test]
async fn whole_wire_carries_everything_and_counts_it() {
    let (proxy, mut stream) = wire().await;
    let words: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let (mut reading, mut writing) = stream.split();
    let mut answer = vec![0; words.len()];
    let (wrote, answered) = tokio::join!(writing.write_all(&words), reading.read_exact(&mut answer));
    wrote.unwrap();
    answered.unwrap();
    assert!(answer == words);
    stream.shutdown().await.unwrap();
    assert_eq!(end(&mut stream).await, (0, None), "the end passes through, both ways");
    assert_eq!(proxy.counts(), Counts { connections: 1, up_bytes: 200_005, down_bytes: 200_006 });
}

#[tokio::test]
async fn slow_wire_is_late_in_order_and_carries_on() {
    let (proxy, mut stream) = wire().await;
    let delay = Duration::from_millis(80);
    proxy.set(Fault::Slow { delay, jitter: Duration::from_millis(40) }).await;
    let begun = Instant::now();
    for words in [b"one ", b"two ", b"then"] {
        stream.write_all(words).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&mut stream, 12).await.unwrap(), b"one two then");
    assert!(begun.elapsed() >= 2 * delay, "late in both directions: {:?}", begun.elapsed());
    proxy.set(Fault::None).await;
    say(&mut stream, b"again").await.unwrap();
}

#[tokio::test]
async fn throttled_wire_carries_so_much_a_second() {
    let (proxy, mut stream) = wire().await;
    proxy.set(Fault::Throttled { bytes_per_second: 20_000 }).await;
    let begun = Instant::now();
    say(&mut stream, &[7; 10_000]).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn refused_wire_resets_what_is_open_and_refuses_what_is_new() {
    let (proxy, mut stream) = wire().await;
    proxy.set(Fault::Refused).await;
    assert_eq!(end(&mut stream).await, (0, Some(ErrorKind::ConnectionReset)));
    for _ in 0..3 {
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    proxy.set(Fault::None).await;
    open(&proxy).await;
    assert_eq!(proxy.counts().connections, 2, "a refused one was never taken");
}

#[tokio::test]
async fn cut_wire_resets_what_is_open_and_takes_what_is_new() {
    let (proxy, mut stream) = wire().await;
    proxy.cut();
    assert_eq!(end(&mut stream).await, (0, Some(ErrorKind::ConnectionReset)));
    let mut next = open(&proxy).await;
    say(&mut next, b"still here").await.unwrap();
}

#[tokio::test]
async fn silent_wire_takes_everything_and_answers_nothing_until_it_is_mended() {
    let (proxy, mut stream) = wire().await;
    proxy.set(Fault::Silent).await;
    stream.write_all(b"anybody").await.unwrap();
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(is_silent(&mut stream).await && is_silent(&mut new).await);
    proxy.set(Fault::None).await;
    assert_eq!(read(&mut stream, 7).await.unwrap(), b"anybody", "what was under way arrives");
    assert_eq!(read(&mut new, 1).await.unwrap(), b"a");
}

#[tokio::test]
async fn stranded_connections_stay_silent_while_new_ones_work() {
    let (proxy, mut stream) = wire().await;
    proxy.strand();
    stream.write_all(b"anybody").await.unwrap();
    let mut new = open(&proxy).await;
    assert!(is_silent(&mut stream).await);
    say(&mut new, b"here").await.unwrap();
    proxy.cut();
    assert_eq!(end(&mut stream).await, (0, Some(ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn wire_breaks_after_so_many_bytes_of_a_direction() {
    let (proxy, _) = wire().await;
    for way in [Way::Up, Way::Down] {
        proxy.set(Fault::ResetAfter { way, bytes: 1000 }).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(&[7; 5000]).await.unwrap();
        let (some, how) = end(&mut stream).await;
        assert_eq!(how, Some(ErrorKind::ConnectionReset), "{way:?}");
        assert!(some <= 1001, "{way:?}: {some}");
        proxy.set(Fault::SilentAfter { way, bytes: 1000 }).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(&[7; 5000]).await.unwrap();
        let before = if way == Way::Up { 1001 } else { 1000 };
        read(&mut stream, before).await.unwrap();
        assert!(is_silent(&mut stream).await, "{way:?}");
        proxy.set(Fault::None).await;
        read(&mut stream, 5001 - before).await.unwrap();
    }
}

#[tokio::test]
async fn several_far_ends_are_taken_in_turns_and_a_dead_one_is_passed_over() {
    let (a, b) = (echo(b'a').await, echo(b'b').await);
    let proxy = Proxy::to(&[a, b]).await;
    let mut names = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        names.extend(read(&mut stream, 1).await.unwrap());
    }
    assert_eq!(names, b"abab");
    let dead = Proxy::to(&[]).await;
    dead.set(Fault::Refused).await;
    proxy.lead_to(&[dead.address(), b]);
    for _ in 0..2 {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(read(&mut stream, 1).await.unwrap(), b"b");
    }
}
