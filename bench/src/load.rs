//! The load: a fixed number of third parties. Each keeps one connection over mutual TLS, and sends its next request when the last one is
//! answered (a closed loop).
//!
//! It uses HTTP/1.1 by hyper, on the calling thread. Requests are built and signed before the clock starts.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dcr_cli::client::client_config;
use dcr_cli::pki::Identity;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::Error;

/// A complete request.
pub(crate) type Request = hyper::Request<Full<Bytes>>;

/// A request, and the expected status of its answer.
pub(crate) type Expecting = (Request, u16);

/// How many characters of a wrong answer are shown.
const SHOWN: usize = 300;

/// The connected third parties of one listener.
pub(crate) struct Load {
    connections: Vec<SendRequest<Full<Bytes>>>,
}

/// A complete answer.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Bytes,
}

/// The results of a number of requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// The time from the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// One entry for each request, the shortest first.
    latencies: Vec<Duration>,
}

impl Load {
    /// Opens `connections` connections to `port` of localhost, presenting `transport`.
    pub(crate) async fn connect(
        port: u16,
        connections: usize,
        ca_pem: &str,
        transport: &Identity,
    ) -> Result<Self, Error> {
        let tls = TlsConnector::from(Arc::new(client_config(ca_pem, Some(transport))?));
        let connections = try_join_all((0..connections).map(|_| connect(port, tls.clone()))).await?;
        Ok(Self { connections })
    }

    /// Sends all requests. It fails if an answer does not have the expected status.
    pub(crate) async fn run(&mut self, requests: Vec<Expecting>) -> Result<Run, Error> {
        let queue = Rc::new(RefCell::new(VecDeque::from(requests)));
        let started = Instant::now();
        let latencies = try_join_all(self.connections.iter_mut().map(|connection| work(connection, queue.clone())));
        let mut latencies: Vec<Duration> = latencies.await?.into_iter().flatten().collect();
        let elapsed = started.elapsed();
        latencies.sort_unstable();
        Ok(Run { elapsed, latencies })
    }

    /// Sends one request over the first connection.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Answer, Error> {
        send(self.connections.first_mut().ok_or("there is no connection")?, request).await
    }
}

impl Run {
    /// Adds the results of later requests.
    pub(crate) fn extend(&mut self, later: Self) {
        self.elapsed += later.elapsed;
        self.latencies.extend(later.latencies);
        self.latencies.sort_unstable();
    }

    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.elapsed.as_secs_f64()
    }

    /// How many requests would have been answered in this time.
    pub(crate) fn requests_in(&self, time: Duration) -> usize {
        let each = self.elapsed.as_nanos() / u128::try_from(self.latencies.len().max(1)).unwrap_or(u128::MAX);
        usize::try_from(time.as_nanos() / each.max(1)).unwrap_or(usize::MAX)
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this percentage of the requests did not exceed, in microseconds. It is exact, not from a histogram.
    pub(crate) fn quantile_us(&self, per_cent: usize) -> f64 {
        let rank = (self.latencies.len() * per_cent).div_ceil(100).max(1) - 1;
        self.latencies.get(rank).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    }
}

/// A count as a floating-point number. It is exact up to 2^32, which no run reaches.
pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

async fn connect(port: u16, tls: TlsConnector) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let stream = tls.connect(ServerName::try_from("localhost")?, stream).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // The request that was under way reports the failure.
        drop(connection.await);
    });
    Ok(sender)
}

async fn work(
    connection: &mut SendRequest<Full<Bytes>>,
    queue: Rc<RefCell<VecDeque<Expecting>>>,
) -> Result<Vec<Duration>, Error> {
    let mut latencies = Vec::with_capacity(queue.borrow().len());
    loop {
        let next = queue.borrow_mut().pop_front();
        let Some((request, expected)) = next else { return Ok(latencies) };
        let started = Instant::now();
        let answer = send(connection, request).await?;
        latencies.push(started.elapsed());
        if answer.status != expected {
            let text: String = String::from_utf8_lossy(&answer.body).chars().take(SHOWN).collect();
            return Err(format!("answered {} instead of {expected}: {text}", answer.status).into());
        }
    }
}

async fn send(connection: &mut SendRequest<Full<Bytes>>, request: Request) -> Result<Answer, Error> {
    connection.ready().await?;
    let response = connection.send_request(request).await?;
    let status = response.status().as_u16();
    Ok(Answer { status, body: response.into_body().collect().await?.to_bytes() })
}
