//! Connections to a gateway that can send anything: octets over HTTP/1.1, frames over HTTP/2.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use dcr_cli::client::{Answer, client_config};
use dcr_cli::pki::Identity;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{PKI, START_TIMEOUT};

/// An HTTP/1.1 connection. It is closed when it is dropped.
pub(crate) struct Http1 {
    to: Destination,
    stream: Box<dyn Stream>,
    read: Vec<u8>,
    /// Whether the last answer said that the connection closes.
    closing: bool,
}

#[derive(Clone)]
enum Destination {
    Plain(u16),
    Tls(u16, Option<Identity>),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Http1 {
    /// A connection over TLS, with a transport certificate or without one.
    pub(crate) async fn tls(port: u16, transport: Option<&Identity>) -> Self {
        Self::open(Destination::Tls(port, transport.cloned())).await
    }

    /// A connection without TLS.
    pub(crate) async fn plain(port: u16) -> Self {
        Self::open(Destination::Plain(port)).await
    }

    async fn open(to: Destination) -> Self {
        let stream: Box<dyn Stream> = match &to {
            Destination::Plain(port) => Box::new(TcpStream::connect(("127.0.0.1", *port)).await.unwrap()),
            Destination::Tls(port, transport) => Box::new(tls(*port, transport.as_ref(), b"http/1.1").await),
        };
        Self { to, stream, read: Vec::new(), closing: false }
    }

    /// Writes octets unchanged.
    pub(crate) async fn write(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads one complete answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        timeout(START_TIMEOUT, self.read_answer()).await.expect("an answer in time")
    }

    /// Sends a request with a body and reads its answer. Envoy closes the connection after a 400, and after an answer that came before the
    /// request was complete. Then the next request opens a new connection.
    pub(crate) async fn request(&mut self, line: &str, headers: &[&[u8]], body: &[u8]) -> Answer {
        if self.closing {
            *self = Self::open(self.to.clone()).await;
        }
        self.write(request_octets(line, headers, body)).await;
        self.answer().await
    }

    /// Waits until the gateway has closed the connection without a further answer.
    pub(crate) async fn ended(&mut self) {
        let rest = timeout(START_TIMEOUT, self.stream.read_buf(&mut self.read)).await.expect("an end in time");
        // If the gateway has not read all octets, the close becomes a reset.
        assert!(
            matches!(rest, Ok(0) | Err(_)) && self.read.is_empty(),
            "{rest:?} {:?}",
            String::from_utf8_lossy(&self.read)
        );
    }

    async fn read_answer(&mut self) -> Answer {
        let started = Instant::now();
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break self.take(end + 4);
            }
            self.read_more().await;
        };
        let head = String::from_utf8(head).expect("an answer's head in UTF-8");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap());
        }
        let length = headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        assert!(!headers.contains_key("transfer-encoding"), "chunked answers are not read here: {head}");
        while self.read.len() < length {
            self.read_more().await;
        }
        self.closing = headers.get("connection").is_some_and(|value| value == "close");
        Answer { status, headers, body: self.take(length), version: Version::HTTP_11, elapsed: started.elapsed() }
    }

    async fn read_more(&mut self) {
        let read = self.stream.read_buf(&mut self.read).await.unwrap();
        assert!(read > 0, "the gateway closed the connection after {:?}", String::from_utf8_lossy(&self.read));
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.read.split_off(length);
        std::mem::replace(&mut self.read, rest)
    }
}

/// A request as octets. `line` has the method and the path; host and content-length are added.
pub(crate) fn request_octets(line: &str, headers: &[&[u8]], body: &[u8]) -> Vec<u8> {
    let mut octets = format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for header in headers {
        octets.extend_from_slice(header);
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(b"\r\n");
    octets.extend_from_slice(body);
    octets
}

/// An HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct Http2 {
    requests: SendRequest<Bytes>,
    port: u16,
}

/// The rest of a request, after its headers.
pub(crate) enum After {
    /// Nothing: the headers end the stream.
    Nothing,
    /// The beginning of a body. The rest does not come.
    Beginning(Vec<u8>),
    /// A body, which ends the stream.
    Body(Vec<u8>),
    /// A body and trailers. The trailers end the stream.
    BodyAndTrailers(Vec<u8>),
}

/// A request that was sent and is not answered yet. Its stream is reset when it is dropped.
pub(crate) struct Sent {
    response: ResponseFuture,
    stream: SendStream<Bytes>,
}

impl Http2 {
    pub(crate) async fn tls(port: u16, transport: Option<&Identity>) -> Self {
        let stream = tls(port, transport, b"h2").await;
        // The window is large enough for all answers. So a test that awaits one stream first does not hold back the others.
        let mut client = h2::client::Builder::new();
        client.initial_connection_window_size(16 * 1024 * 1024);
        let (requests, connection) = client.handshake(stream).await.unwrap();
        // It ends with its last handle. The requests on the connection report a failure.
        tokio::spawn(connection);
        Self { requests, port }
    }

    /// Sends a request. Headers may repeat.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], after: After) -> Sent {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://localhost:{}{path}", self.port))
            .version(Version::HTTP_2);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests =
            timeout(START_TIMEOUT, self.requests.clone().ready()).await.expect("a stream in time").unwrap();
        let ends = matches!(after, After::Nothing);
        let (response, mut stream) = requests.send_request(request.body(()).unwrap(), ends).unwrap();
        // Sending fails if the gateway has answered and closed the stream already. The answer shows the result.
        match after {
            After::Nothing => {}
            After::Beginning(body) => drop(stream.send_data(body.into(), false)),
            After::Body(body) => drop(stream.send_data(body.into(), true)),
            After::BodyAndTrailers(body) => {
                let trailers =
                    HeaderMap::from_iter([(HeaderName::from_static("x-checksum"), HeaderValue::from_static("0"))]);
                let _ = stream.send_data(body.into(), false).and_then(|()| stream.send_trailers(trailers));
            }
        }
        Sent { response, stream }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], after: After) -> Answer {
        self.send(method, path, headers, after).await.answer().await
    }
}

impl Sent {
    pub(crate) async fn answer(self) -> Answer {
        timeout(START_TIMEOUT, self.read_answer()).await.expect("an answer in time")
    }

    /// Cancels the request, like a client that no longer waits.
    pub(crate) fn cancel(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }

    async fn read_answer(self) -> Answer {
        let started = Instant::now();
        let (head, mut body) = self.response.await.unwrap().into_parts();
        let mut read = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            read.extend_from_slice(&data);
        }
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: read,
            version: head.version,
            elapsed: started.elapsed(),
        }
    }
}

async fn tls(port: u16, transport: Option<&Identity>, protocol: &[u8]) -> impl Stream + use<> {
    let mut config = client_config(&PKI.server_ca.certificate_pem, transport).unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}
