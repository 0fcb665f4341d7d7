//! Serves the API's connections. Each has deadlines, and their number is bounded. `axum::serve` has neither.
//!
//! hyper has a deadline for heads (`header_read_timeout`), but it does not fit here. It runs while a connection that is kept alive waits for
//! its next request, so it would close the connections of gateways after seconds. It does not run before the first bytes have shown the
//! version of HTTP, nor over HTTP/2. So this module keeps what each connection is doing, and a timer for it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Version};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::io::InspectReader;
use tower::ServiceExt;

/// How long a connection may take to end once no new request is accepted on it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The shortest time between two lines in the log that say that no more connections are accepted.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The bounds of the connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections at a time. More wait until one of them ends.
    pub max_connections: usize,
    /// The longest time from the first byte of a request to the end of its head. It also starts when a connection is accepted.
    pub head_timeout: Duration,
    /// The longest time from an answer to the first byte of the next request.
    pub idle_timeout: Duration,
}

/// Serves `app` until `stop` is ready. Then it accepts no connections, and returns when all requests that were running are answered.
pub async fn serve(mut listener: TcpListener, app: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let (stopping, is_stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut warned: Option<Instant> = None;
    loop {
        tokio::select! {
            (stream, _) = Listener::accept(&mut listener), if connections.len() < limits.max_connections => {
                connections.spawn(serve_connection(stream, app.clone(), limits, is_stopping.clone()));
                let is_due = warned.is_none_or(|warned| warned.elapsed() > WARNING_INTERVAL);
                if connections.len() == limits.max_connections && is_due {
                    warned = Some(Instant::now());
                    tracing::warn!(connections = connections.len(), "as many connections are open as --max-connections allows; more wait");
                }
            }
            Some(_ended) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop(listener);
    drop(stopping);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection(stream: TcpStream, app: Router, limits: Limits, mut stopping: watch::Receiver<()>) {
    // Answers are one small write. Waiting to fill a packet would only delay them.
    drop(stream.set_nodelay(true));
    let activity = Activity::begin();
    let mut changes = activity.0.subscribe();
    let arrivals = activity.clone();
    let stream = InspectReader::new(stream, move |bytes: &[u8]| arrivals.arrived(bytes));
    let service = service_fn(move |request: Request<Incoming>| {
        let running = activity.request(request.version());
        let answer = app.clone().oneshot(request);
        async move {
            let answer = answer.await;
            drop(running);
            answer
        }
    });
    let builder = Builder::new(TokioExecutor::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        let deadline = changes.borrow_and_update().deadline(limits);
        tokio::select! {
            biased;
            _ended = connection.as_mut() => return,
            _changed = changes.changed() => {}
            () = reached(deadline) => {
                // The bytes that make the deadline void may have arrived at the same moment.
                let state = *changes.borrow();
                match state.deadline(limits) {
                    Some(deadline) if deadline > Instant::now() => {}
                    None => {}
                    Some(_passed) if state.reads_head => return,
                    Some(_passed) => break,
                }
            }
            _stopping = stopping.changed() => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    drop(timeout(CLOSE_TIMEOUT, connection).await);
}

/// Waits until `deadline`. Without one it waits for ever.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy)]
struct State {
    /// The requests that are not answered yet.
    running: usize,
    /// Without running requests: whether a head is expected or has begun.
    reads_head: bool,
    /// When the connection began to do this.
    since: Instant,
    /// Over HTTP/2 frames arrive between requests too. So their arrival does not mean that a head has begun.
    is_http2: bool,
}

impl State {
    fn deadline(self, limits: Limits) -> Option<Instant> {
        let patience = if self.reads_head { limits.head_timeout } else { limits.idle_timeout };
        if self.running > 0 { None } else { self.since.checked_add(patience) }
    }
}

/// The state of a connection, which is changed where bytes arrive and where requests are handled.
#[derive(Debug, Clone)]
struct Activity(Arc<watch::Sender<State>>);

impl Activity {
    fn begin() -> Self {
        let state = State { running: 0, reads_head: true, since: Instant::now(), is_http2: false };
        Self(Arc::new(watch::Sender::new(state)))
    }

    fn arrived(&self, bytes: &[u8]) {
        self.0.send_if_modified(|state| {
            let head_begins = !bytes.is_empty() && state.running == 0 && !state.reads_head && !state.is_http2;
            if head_begins {
                (state.reads_head, state.since) = (true, Instant::now());
            }
            head_begins
        });
    }

    /// A request whose head has arrived. It is running until the returned value is dropped.
    fn request(&self, version: Version) -> Running {
        self.0.send_modify(|state| {
            (state.running, state.reads_head, state.is_http2) =
                (state.running.saturating_add(1), false, version == Version::HTTP_2);
        });
        Running(self.clone())
    }
}

/// A request that is not answered yet.
struct Running(Activity);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            (state.running, state.since) = (state.running.saturating_sub(1), Instant::now());
        });
    }
}
