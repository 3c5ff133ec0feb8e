//! Faults on purpose, for tests of failure: the n-th call of a kind fails, waits or comes short; every call is counted.
//!
//! It lies below the timeouts and retries of [`super::Store`], where a real store would fail, and above its client. A
//! store opened without faults does not have this layer at all.

use opendal::raw::{
    Layer, OpCompose, OpCopy, OpCreateDir, OpDelete, OpList, OpPresign, OpRead, OpRename, OpRestore, OpStat, OpWrite,
    RpCreateDir, RpPresign, RpRead, RpRename, RpRestore, RpStat, Service, ServiceInfo, Servicer, oio,
};
use opendal::{Buffer, BytesRange, Capability, Error, ErrorKind, Metadata, OperationContext, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A kind of call below the retries: a request to a server, or a step on a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Reads an object or a range of it; a longer read is several.
    Read,
    /// Takes the next piece of an object.
    Write,
    /// Makes the object appear whose pieces were taken.
    Finish,
    /// Takes back what was written of an object that will not appear.
    Abort,
    /// Copies an object on the server; elsewhere a copy is reads and writes.
    Copy,
    /// Looks at an object.
    Stat,
    /// Begins a listing.
    List,
    /// Deletes one object, also when many are deleted with one request.
    Delete,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and may go well the next time; the store is not asked.
    Fail,
    /// It is refused and always will be; the store is not asked.
    Refuse,
    /// It is done, but its answer is lost: the caller sees a failure that may go well the next time. (A finished write
    /// cannot be finished again, so the tries inside the request end too.)
    Forget,
    /// It waits before the store is asked.
    Delay(Duration),
    /// It waits until the faults are cleared, before the store is asked.
    Hold,
    /// A read ends after so many bytes without an error. Other calls go on.
    Truncate(usize),
}

/// Faults of one store and what it was asked. Clones are the same faults.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rules: Vec<(Call, Range<u64>, Fault)>,
    seen: BTreeMap<Call, Seen>,
    cleared: watch::Sender<()>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    calls: u64,
    size_bytes: u64,
}

impl Faults {
    /// None yet; calls are counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on the calls of `call` with these numbers, counted from 0 at this moment, meet `fault`.
    pub fn set(&self, call: Call, calls: Range<u64>, fault: Fault) {
        let mut state = self.state();
        let so_far = state.seen.get(&call).map_or(0, |seen| seen.calls);
        let calls = calls.start.saturating_add(so_far)..calls.end.saturating_add(so_far);
        state.rules.push((call, calls, fault));
    }

    /// No call meets a fault any more.
    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.cleared.send_replace(());
    }

    /// Calls so far, those that met a fault included.
    pub fn calls(&self, call: Call) -> u64 {
        self.state().seen.get(&call).map_or(0, |seen| seen.calls)
    }

    /// Bytes that calls of a kind have read or written.
    pub fn size_bytes(&self, call: Call) -> u64 {
        self.state().seen.get(&call).map_or(0, |seen| seen.size_bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and tells what it meets.
    fn next(&self, call: Call) -> Option<Fault> {
        let mut state = self.state();
        let seen = state.seen.entry(call).or_default();
        let number = seen.calls;
        seen.calls += 1;
        let met = state.rules.iter().find(|(kind, calls, _)| *kind == call && calls.contains(&number));
        met.map(|(_, _, fault)| *fault)
    }

    fn add(&self, call: Call, size_bytes: usize) {
        self.state().seen.entry(call).or_default().size_bytes += size_bytes as u64;
    }

    /// Makes a call, or what its fault makes of it.
    async fn meet<T>(&self, call: Call, made: impl Future<Output = Result<T>>) -> Result<(T, Option<usize>)> {
        let transient = || Error::new(ErrorKind::Unexpected, "a fault on purpose").set_temporary();
        match self.next(call) {
            Some(Fault::Fail) => return Err(transient()),
            Some(Fault::Refuse) => return Err(Error::new(ErrorKind::PermissionDenied, "a fault on purpose")),
            Some(Fault::Forget) => return made.await.and_then(|_| Err(transient())),
            Some(Fault::Delay(duration)) => tokio::time::sleep(duration).await,
            Some(Fault::Hold) => {
                let mut cleared = self.state().cleared.subscribe();
                let _ = cleared.changed().await;
            }
            Some(Fault::Truncate(size_bytes)) => return Ok((made.await?, Some(size_bytes))),
            None => {}
        }
        Ok((made.await?, None))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

impl Layer for Faults {
    fn apply_service(&self, inner: Servicer) -> Servicer {
        Arc::new(Faulty { inner, faults: self.clone() })
    }
}

/// What a layer wraps, with the faults it meets.
#[derive(Debug)]
pub(super) struct Faulty<I> {
    inner: I,
    faults: Faults,
}

impl<I> Faulty<I> {
    fn wrap<J>(&self, inner: J) -> Faulty<J> {
        Faulty { inner, faults: self.faults.clone() }
    }
}

impl Service for Faulty<Servicer> {
    type Reader = Faulty<oio::Reader>;
    type Writer = Faulty<oio::Writer>;
    type Lister = Once<oio::Lister>;
    type Deleter = Faulty<oio::Deleter>;
    type Copier = Once<oio::Copier>;
    type Composer = oio::Composer;

    fn info(&self) -> ServiceInfo {
        self.inner.info()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    async fn create_dir(&self, ctx: &OperationContext, path: &str, args: OpCreateDir) -> Result<RpCreateDir> {
        self.inner.create_dir(ctx, path, args).await
    }

    async fn stat(&self, ctx: &OperationContext, path: &str, args: OpStat) -> Result<RpStat> {
        Ok(self.faults.meet(Call::Stat, self.inner.stat(ctx, path, args)).await?.0)
    }

    fn read(&self, ctx: &OperationContext, path: &str, args: OpRead) -> Result<Self::Reader> {
        Ok(self.wrap(self.inner.read(ctx, path, args)?))
    }

    fn write(&self, ctx: &OperationContext, path: &str, args: OpWrite) -> Result<Self::Writer> {
        Ok(self.wrap(self.inner.write(ctx, path, args)?))
    }

    fn delete(&self, ctx: &OperationContext) -> Result<Self::Deleter> {
        Ok(self.wrap(self.inner.delete(ctx)?))
    }

    fn list(&self, ctx: &OperationContext, path: &str, args: OpList) -> Result<Self::Lister> {
        Ok(Once { faulty: self.wrap(self.inner.list(ctx, path, args)?), met: false })
    }

    fn copy(&self, ctx: &OperationContext, from: &str, to: &str, args: OpCopy) -> Result<Self::Copier> {
        Ok(Once { faulty: self.wrap(self.inner.copy(ctx, from, to, args)?), met: false })
    }

    fn compose(&self, ctx: &OperationContext, to: &str, args: OpCompose) -> Result<Self::Composer> {
        self.inner.compose(ctx, to, args)
    }

    async fn rename(&self, ctx: &OperationContext, from: &str, to: &str, args: OpRename) -> Result<RpRename> {
        self.inner.rename(ctx, from, to, args).await
    }

    async fn restore(&self, ctx: &OperationContext, path: &str, args: OpRestore) -> Result<RpRestore> {
        self.inner.restore(ctx, path, args).await
    }

    async fn presign(&self, ctx: &OperationContext, path: &str, args: OpPresign) -> Result<RpPresign> {
        self.inner.presign(ctx, path, args).await
    }
}

impl oio::Read for Faulty<oio::Reader> {
    async fn open(&self, range: BytesRange) -> Result<(RpRead, Box<dyn oio::ReadStreamDyn>)> {
        let ((read, stream), limit) = self.faults.meet(Call::Read, self.inner.open(range)).await?;
        let stream = Limited { faulty: self.wrap(stream), left: limit.unwrap_or(usize::MAX) };
        Ok((read, Box::new(stream)))
    }

    async fn read(&self, range: BytesRange) -> Result<(RpRead, Buffer)> {
        let ((read, buffer), limit) = self.faults.meet(Call::Read, self.inner.read(range)).await?;
        let buffer = buffer.slice(..limit.unwrap_or(usize::MAX).min(buffer.len()));
        self.faults.add(Call::Read, buffer.len());
        Ok((read, buffer))
    }
}

/// A stream that ends after so many bytes.
struct Limited {
    faulty: Faulty<Box<dyn oio::ReadStreamDyn>>,
    left: usize,
}

impl oio::ReadStream for Limited {
    async fn read(&mut self) -> Result<Buffer> {
        if self.left == 0 {
            return Ok(Buffer::new());
        }
        let buffer = self.faulty.inner.read().await?;
        let buffer = buffer.slice(..self.left.min(buffer.len()));
        self.left -= buffer.len();
        self.faulty.faults.add(Call::Read, buffer.len());
        Ok(buffer)
    }
}

impl oio::Write for Faulty<oio::Writer> {
    async fn write(&mut self, piece: Buffer) -> Result<()> {
        let size_bytes = piece.len();
        self.faults.meet(Call::Write, self.inner.write(piece)).await?;
        self.faults.add(Call::Write, size_bytes);
        Ok(())
    }

    async fn copy_from(&mut self, path: &str, args: OpRead, range: BytesRange) -> Result<()> {
        self.inner.copy_from(path, args, range).await
    }

    async fn close(&mut self) -> Result<Metadata> {
        Ok(self.faults.meet(Call::Finish, self.inner.close()).await?.0)
    }

    async fn abort(&mut self) -> Result<()> {
        self.faults.meet(Call::Abort, self.inner.abort()).await?;
        Ok(())
    }
}

impl oio::Delete for Faulty<oio::Deleter> {
    async fn delete(&mut self, path: &str, args: OpDelete) -> Result<()> {
        self.faults.meet(Call::Delete, self.inner.delete(path, args)).await?;
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}

/// Something in many steps that meets its fault with the first of them.
pub(super) struct Once<I> {
    faulty: Faulty<I>,
    met: bool,
}

impl<I> Once<I> {
    async fn meet(&mut self, call: Call) -> Result<()> {
        if !self.met {
            self.faulty.faults.meet(call, std::future::ready(Ok(()))).await?;
            self.met = true;
        }
        Ok(())
    }
}

impl oio::List for Once<oio::Lister> {
    async fn next(&mut self) -> Result<Option<oio::Entry>> {
        self.meet(Call::List).await?;
        self.faulty.inner.next().await
    }
}

impl oio::Copy for Once<oio::Copier> {
    async fn next(&mut self) -> Result<Option<usize>> {
        self.meet(Call::Copy).await?;
        self.faulty.inner.next().await
    }

    async fn close(&mut self) -> Result<Metadata> {
        if self.met {
            return self.faulty.inner.close().await;
        }
        let (copied, _) = self.faulty.faults.meet(Call::Copy, self.faulty.inner.close()).await?;
        self.met = true;
        Ok(copied)
    }

    async fn abort(&mut self) -> Result<()> {
        self.faulty.inner.abort().await
    }
}
