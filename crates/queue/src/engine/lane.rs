//! One kind of one queue between the pump and its apalis worker: a mailbox and the count of its slots.
//!
//! Rows in the inbox are claimed and not yet started. A slot is reserved before a claim and released by `held` alone,
//! after the end of the attempt is committed. A lane outlives the worker that reads it.

use crate::{ctx::JobCtx, kind::JobKind};
use domain::job::{KindSpec, Queue};
use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// A claimed row on its way to the handler.
pub(crate) struct Row {
    pub(crate) ctx: JobCtx,
    pub(crate) payload: String,
}

#[derive(Default)]
struct Inbox {
    rows: VecDeque<Row>,
    waker: Option<Waker>,
}

pub(crate) struct Lane {
    pub(crate) queue: &'static str,
    pub(crate) schema_ver: i16,
    pub(crate) spec: KindSpec,
    pub(crate) slots: i64,
    busy: AtomicI64,
    closed: AtomicBool,
    inbox: Mutex<Inbox>,
}

impl Lane {
    pub(crate) fn new<K: JobKind>(queue: Queue, slots: usize) -> Self {
        Lane {
            queue: queue.as_str(),
            schema_ver: K::SCHEMA_VER,
            spec: K::spec(),
            slots: i64::try_from(slots).unwrap_or(i64::MAX),
            busy: AtomicI64::new(0),
            closed: AtomicBool::new(false),
            inbox: Mutex::default(),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.spec.name
    }

    pub(crate) fn busy(&self) -> i64 {
        self.busy.load(Ordering::Acquire)
    }

    /// Takes every free slot and says how many there were; `release` what the claim does not fill.
    pub(crate) fn reserve(&self) -> i64 {
        if self.closed.load(Ordering::Acquire) {
            return 0;
        }
        let mut busy = self.busy();
        loop {
            let free = self.slots - busy;
            if free <= 0 {
                return 0;
            }
            match self.busy.compare_exchange_weak(busy, busy + free, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return free,
                Err(now) => busy = now,
            }
        }
    }

    /// Gives slots back; a negative number takes more, for a fused claim that filled slots not yet given back.
    pub(crate) fn release(&self, slots: i64) {
        self.busy.fetch_sub(slots, Ordering::AcqRel);
    }

    pub(crate) fn push(&self, row: Row) {
        let waker = {
            let mut inbox = self.inbox();
            inbox.rows.push_back(row);
            inbox.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Row> {
        let mut inbox = self.inbox();
        match inbox.rows.pop_front() {
            Some(row) => Poll::Ready(row),
            None => {
                inbox.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// What has not started yet, to be handed back.
    pub(crate) fn take_all(&self) -> Vec<Row> {
        self.inbox().rows.drain(..).collect()
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
