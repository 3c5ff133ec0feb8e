//! A wire between a process under test and whatever it talks to, which a test breaks and mends while it runs.
//!
//! Plain TCP on loopback, so it stands before Postgres, before an S3 server and before the API alike, without root and
//! on every system. Several far ends are taken in turns, one connection each, as a balancer would. Every fault holds for
//! open connections and for new ones from the moment [`Proxy::set`] returns.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Bytes that move at once.
const PIECE_BYTES: usize = 16 << 10;

/// Pieces under way in one direction, which is what a slow wire holds.
const PIECES_MAX: usize = 64;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the far end: requests and bodies.
    Up,
    /// From the far end: answers.
    Down,
}

/// What is wrong with the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Everything arrives later, by `delay` and up to `jitter` more, in order.
    Slow { delay: Duration, jitter: Duration },
    /// Each direction of each connection carries so much and not more.
    Throttled { bytes_per_second: u64 },
    /// Nobody listens: open connections are reset and new ones refused.
    Refused,
    /// Connections are taken and stay open, and nothing moves: the other side of a half-open connection.
    Silent,
    /// A connection is silent once it has carried so many bytes this way; what it holds goes on when it is mended.
    SilentAfter { way: Way, bytes: u64 },
    /// A connection is reset once it has carried so many bytes this way.
    ResetAfter { way: Way, bytes: u64 },
}

/// What the wire has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were taken.
    pub connections: u64,
    /// Bytes that arrived at far ends.
    pub up_bytes: u64,
    /// Bytes that arrived at near ends.
    pub down_bytes: u64,
}

/// The wire. Dropping it resets its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
    listening: watch::Receiver<bool>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Wire {
    state: watch::Sender<State>,
    far: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
    connections: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct State {
    fault: Fault,
    /// Connections of an earlier cut end.
    cuts: u64,
    /// Connections of an earlier stranding are silent for good.
    strandings: u64,
}

impl Proxy {
    /// A whole wire to `far`.
    pub async fn to(far: &[SocketAddr]) -> Proxy {
        let reserved = socket((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = reserved.local_addr().unwrap();
        let wire = Arc::new(Wire {
            state: watch::Sender::new(State { fault: Fault::None, cuts: 0, strandings: 0 }),
            far: Mutex::new(far.to_vec()),
            turn: AtomicUsize::new(0),
            connections: AtomicU64::new(0),
            up_bytes: AtomicU64::new(0),
            down_bytes: AtomicU64::new(0),
        });
        let (listens, mut listening) = watch::channel(false);
        let accepting = tokio::spawn(accept(reserved, address, Arc::clone(&wire), listens));
        listening.wait_for(|listening| *listening).await.unwrap();
        Proxy { address, wire, listening, accepting }
    }

    /// The near end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` with the near end in place of its host and port.
    pub fn before(&self, url: &str) -> String {
        let mut url = reqwest::Url::parse(url).unwrap();
        url.set_host(Some(&self.address.ip().to_string())).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.to_string()
    }

    /// Breaks the wire in another way, or mends it.
    pub async fn set(&self, fault: Fault) {
        self.wire.state.send_modify(|state| state.fault = fault);
        let wanted = fault != Fault::Refused;
        self.listening.clone().wait_for(|listening| *listening == wanted).await.unwrap();
    }

    /// Resets every open connection, once. New ones go through.
    pub fn cut(&self) {
        self.wire.state.send_modify(|state| state.cuts += 1);
    }

    /// Leaves every open connection half-open for good: nothing comes through it any more and nobody says so. New ones go
    /// through.
    pub fn strand(&self) {
        self.wire.state.send_modify(|state| state.strandings += 1);
    }

    /// Other far ends for connections from now on.
    pub fn lead_to(&self, far: &[SocketAddr]) {
        *self.wire.far.lock().unwrap() = far.to_vec();
    }

    /// What it has carried so far.
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.wire.connections.load(Ordering::Relaxed),
            up_bytes: self.wire.up_bytes.load(Ordering::Relaxed),
            down_bytes: self.wire.down_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// Host and port of `url` as an address on this machine.
pub fn address_of(url: &str) -> SocketAddr {
    let url = reqwest::Url::parse(url).unwrap();
    let host = url.host_str().unwrap().replace("localhost", "127.0.0.1");
    SocketAddr::new(host.parse().unwrap(), url.port_or_known_default().unwrap_or(5432))
}

/// A socket with a name. Several may have the same: the one that never listens keeps the port while nobody does, so that
/// a refused connection is refused by the system and the port is still ours afterwards.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(_reserved: TcpSocket, address: SocketAddr, wire: Arc<Wire>, listens: watch::Sender<bool>) {
    let mut state = wire.state.subscribe();
    loop {
        let _ = state.wait_for(|state| state.fault != Fault::Refused).await;
        let listener: TcpListener = socket(address).and_then(|socket| socket.listen(1024)).unwrap();
        listens.send_replace(true);
        loop {
            tokio::select! {
                Ok((near, _)) = listener.accept() => {
                    wire.connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(carry(near, Arc::clone(&wire)));
                }
                _ = state.wait_for(|state| state.fault == Fault::Refused) => break,
            }
        }
        drop(listener);
        listens.send_replace(false);
    }
}

/// One connection from its first byte to its end. However it ends but by the last word of both sides, it is reset: that
/// is what the death of either side looks like to the other.
async fn carry(mut near: TcpStream, wire: Arc<Wire>) {
    let state = wire.state.subscribe();
    let State { cuts, strandings, .. } = *state.borrow();
    let mut far = None;
    let carried = async {
        reached(state.clone(), |state| state.fault != Fault::Silent).await;
        let far = far.insert(wire.connect().await?);
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let ((near_read, near_write), (far_read, far_write)) = (near.split(), far.split());
        tokio::try_join!(pump(&wire, Way::Up, near_read, far_write), pump(&wire, Way::Down, far_read, near_write))
    };
    let ends = |state: &State| state.cuts != cuts || state.fault == Fault::Refused;
    let whole = tokio::select! {
        carried = carried => carried.is_ok(),
        () = reached(state.clone(), ends) => false,
        () = reached(state.clone(), |state| state.strandings != strandings) => {
            reached(state, ends).await;
            false
        }
    };
    if !whole {
        for stream in [Some(near), far].into_iter().flatten() {
            let _ = stream.set_zero_linger();
        }
    }
}

async fn reached(mut state: watch::Receiver<State>, wanted: impl Fn(&State) -> bool) {
    let _ = state.wait_for(wanted).await;
}

impl Wire {
    /// The next far end in turn; one that does not take the connection is passed over.
    async fn connect(&self) -> io::Result<TcpStream> {
        let far = self.far.lock().unwrap().clone();
        let mut refused = io::ErrorKind::NotConnected.into();
        for _ in 0..far.len() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            match TcpStream::connect(far[turn % far.len()]).await {
                Ok(stream) => return Ok(stream),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

/// What a fault lets through of bytes that are there.
enum Pass {
    Bytes(usize),
    Nothing,
    Reset,
}

fn pass(fault: Fault, way: Way, carried: u64, there: usize) -> Pass {
    let up_to = |bytes: u64, then: Pass| match usize::try_from(bytes.saturating_sub(carried)).unwrap() {
        0 => then,
        left => Pass::Bytes(there.min(left)),
    };
    match fault {
        Fault::Silent => Pass::Nothing,
        Fault::SilentAfter { way: this, bytes } if this == way => up_to(bytes, Pass::Nothing),
        Fault::ResetAfter { way: this, bytes } if this == way => up_to(bytes, Pass::Reset),
        // A tenth of a second's worth, so that the flow is even.
        Fault::Throttled { bytes_per_second } => {
            Pass::Bytes(there.min(usize::try_from(bytes_per_second / 10).unwrap().max(1)))
        }
        _ => Pass::Bytes(there),
    }
}

/// A piece and when it is due; without one the connection is reset, after all that is due before.
type Due = (Instant, Option<Vec<u8>>);

/// Moves bytes one way until their end.
async fn pump(wire: &Wire, way: Way, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
    let (give, given) = mpsc::channel(PIECES_MAX);
    tokio::try_join!(take(wire, way, from, give), deliver(wire, way, to, given)).map(drop)
}

async fn take(wire: &Wire, way: Way, mut from: ReadHalf<'_>, give: mpsc::Sender<Due>) -> io::Result<()> {
    let mut state = wire.state.subscribe();
    let (mut buffer, mut carried) = (vec![0; PIECE_BYTES], 0_u64);
    let mut held = 0..0;
    loop {
        let fault = state.borrow_and_update().fault;
        let some = match pass(fault, way, carried, held.len().max(1)) {
            Pass::Nothing => {
                let _ = state.changed().await;
                continue;
            }
            Pass::Reset => {
                let _ = give.send((Instant::now(), None)).await;
                return std::future::pending().await;
            }
            Pass::Bytes(some) => some,
        };
        if held.is_empty() {
            // What is wrong may change while nothing comes.
            held = tokio::select! {
                read = from.read(&mut buffer) => 0..read?,
                _ = state.changed() => continue,
            };
            if held.is_empty() {
                return Ok(());
            }
            continue;
        }
        let piece = buffer[held.start..held.start + some].to_vec();
        let due = match fault {
            Fault::Slow { delay, jitter } => Instant::now() + delay + jitter.mul_f64(rand::random::<f64>()),
            _ => Instant::now(),
        };
        if give.send((due, Some(piece))).await.is_err() {
            return Ok(());
        }
        if let Fault::Throttled { bytes_per_second } = fault {
            sleep(Duration::from_secs_f64(some as f64 / bytes_per_second as f64)).await;
        }
        held.start += some;
        carried += some as u64;
    }
}

async fn deliver(wire: &Wire, way: Way, mut to: WriteHalf<'_>, mut given: mpsc::Receiver<Due>) -> io::Result<()> {
    let counter = match way {
        Way::Up => &wire.up_bytes,
        Way::Down => &wire.down_bytes,
    };
    while let Some((due, piece)) = given.recv().await {
        sleep_until(due).await;
        let Some(piece) = piece else { return Err(io::ErrorKind::ConnectionReset.into()) };
        to.write_all(&piece).await?;
        counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    to.shutdown().await
}
