//! The way past the server: a URL for each segment, the segment to the store, and a report that it was sent.
//!
//! Calls are made for several segments at once: while one is under way, all that ask meanwhile wait for the next one.
//! A segment has arrived when the server says that it is stored under its final key; until then nobody has read it.

use crate::client::{CallError, Client, Object, Signed};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Most objects of one call, by contract.
const OBJECTS_MAX: usize = 50;

/// First and longest pause between two looks at a segment that the server has not read yet.
const LOOKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// A segment that was not read for so long is sent through the server after all, which then answers for it.
pub(crate) const READ_MAX: Duration = Duration::from_secs(60);

/// The way past the server, until the server says that there is none. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Direct {
    client: Client,
    presigns: Together<Signed>,
    reports: Together<String>,
    off: Arc<AtomicBool>,
}

impl Direct {
    /// Must be called inside a tokio runtime.
    pub(crate) fn start(client: &Client) -> Direct {
        let (presigning, reporting) = (client.clone(), client.clone());
        let presigns = Together::start(move |objects| {
            let client = presigning.clone();
            Box::pin(async move { client.presign(&objects).await })
        });
        let reports = Together::start(move |objects| {
            let client = reporting.clone();
            Box::pin(async move { client.report(&objects).await })
        });
        Direct { client: client.clone(), presigns, reports, off: Arc::default() }
    }

    /// The server cannot do it: from now on everything goes through the server.
    pub(crate) fn turn_off(&self) {
        if !self.off.swap(true, Ordering::Relaxed) {
            tracing::info!("the server signs no urls, segments go through it");
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.off.load(Ordering::Relaxed)
    }

    pub(crate) async fn presign(&self, object: &Object) -> Result<Signed, CallError> {
        self.presigns.ask(object.clone()).await
    }

    pub(crate) async fn put(&self, signed: &Signed, bytes: bytes::Bytes) -> Result<(), CallError> {
        self.client.put_signed(signed, bytes).await
    }

    pub(crate) async fn report(&self, object: &Object) -> Result<String, CallError> {
        self.reports.ask(object.clone()).await
    }
}

/// How long to wait before look number `look`, from 0.
pub(crate) fn pause(look: u32) -> Duration {
    LOOKS.0.saturating_mul(1 << look.min(8)).min(LOOKS.1)
}

type Call<T> = Box<dyn Fn(Vec<Object>) -> Calling<T> + Send + Sync>;
type Calling<T> = Pin<Box<dyn Future<Output = Result<Vec<T>, CallError>> + Send>>;
type Asked<T> = (Object, oneshot::Sender<Result<T, CallError>>);

/// Makes one call for all who ask at the same time.
struct Together<T> {
    asks: mpsc::Sender<Asked<T>>,
}

impl<T> Clone for Together<T> {
    fn clone(&self) -> Self {
        Together { asks: self.asks.clone() }
    }
}

impl<T: Send + 'static> Together<T> {
    fn start(call: impl Fn(Vec<Object>) -> Calling<T> + Send + Sync + 'static) -> Together<T> {
        let (asks, asked) = mpsc::channel(OBJECTS_MAX);
        // It ends when nobody can ask any more.
        tokio::spawn(answer_all(Box::new(call), asked));
        Together { asks }
    }

    async fn ask(&self, object: Object) -> Result<T, CallError> {
        let (answer, answered) = oneshot::channel();
        let gone = || CallError::Fault(crate::client::Fault::Damaged);
        self.asks.send((object, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn answer_all<T>(call: Call<T>, mut asked: mpsc::Receiver<Asked<T>>) {
    let mut some = Vec::new();
    while asked.recv_many(&mut some, OBJECTS_MAX).await > 0 {
        let (objects, askers): (Vec<Object>, Vec<_>) = some.drain(..).unzip();
        match call(objects.clone()).await {
            Ok(answers) => askers.into_iter().zip(answers).for_each(|(asker, answer)| drop(asker.send(Ok(answer)))),
            Err(CallError::Fault(fault)) => {
                let fault = Arc::new(fault);
                for asker in askers {
                    drop(asker.send(Err(CallError::Fault(crate::client::Fault::Shared(Arc::clone(&fault))))));
                }
            }
            // One of them is to blame, and the others must not suffer for it.
            Err(CallError::Refused(_)) if objects.len() > 1 => {
                for (object, asker) in objects.into_iter().zip(askers) {
                    let answer = call(vec![object]).await.map(|mut answers| answers.remove(0));
                    drop(asker.send(answer));
                }
            }
            Err(CallError::Refused(refusal)) => {
                askers.into_iter().for_each(|asker| drop(asker.send(Err(CallError::Refused(refusal.clone())))));
            }
        }
    }
}
