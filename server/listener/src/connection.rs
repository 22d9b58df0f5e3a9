//! A connection whose peer must take what is written to it.

use crate::shares::Share;
use actix_rt::net::{ActixStream, Ready, TcpStream};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes that a peer must take in each period of [`Settings::patience`](crate::Settings::patience) that is spent waiting for it.
const FLOOR: usize = 32 << 10;
/// Maximum bytes that the system holds beyond what is on its way: more would only be held for peers that do not read.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
const UNSENT: u32 = 128 << 10;

/// A TCP connection that ends with [`TimedOut`](io::ErrorKind::TimedOut) if its peer reads too slowly. Only time spent waiting
/// for the peer counts, so a connection on which there is nothing to say stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    patience: Duration,
    /// Time spent waiting since the peer last took [`FLOOR`] bytes.
    waited: Duration,
    /// Bytes taken in that time.
    taken: usize,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    _share: Share,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, patience: Duration, share: Share) -> Self {
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT) {
            tracing::debug!(%error, "the system keeps its own limit of unsent bytes");
        }
        Self {
            stream,
            patience,
            waited: Duration::ZERO,
            taken: 0,
            waiting: None,
            _share: share,
        }
    }

    /// The address and port at the other end.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }

    fn wrote(&mut self, bytes: usize) {
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        self.taken += bytes;
        if self.taken >= FLOOR {
            (self.taken, self.waited) = (0, Duration::ZERO);
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Poll::Ready(result) = Pin::new(&mut this.stream).poll_write(context, bytes) {
            this.wrote(*result.as_ref().unwrap_or(&0));
            return Poll::Ready(result);
        }
        let left = this.patience.saturating_sub(this.waited);
        let begin = || (Instant::now(), Box::pin(sleep(left)));
        let (_, timer) = this.waiting.get_or_insert_with(begin);
        ready!(timer.as_mut().poll(context));
        tracing::debug!("a peer that does not read was cut off");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl ActixStream for Connection {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(&self.stream, context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(&self.stream, context)
    }
}
