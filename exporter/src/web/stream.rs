//! A connection that is TLS or is not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::Web;

/// What a client is answered over. A handshake is part of the first read: for whoever holds the stream, a client that
/// is slow with it is one that is slow with its request's head, and meets the same limit.
pub struct Stream<S>(Inner<S>);

enum Inner<S> {
    Plain(S),
    Handshake(Box<Accept<S>>),
    Tls(Box<TlsStream<S>>),
    /// The handshake failed, and took the connection with it.
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// As the file says now; in plain where there is none.
    pub fn new(web: Option<&Web>, stream: S) -> Self {
        let tls = web.and_then(|web| web.rules().tls.clone());
        Self(match tls {
            Some(server) => Inner::Handshake(Box::new(TlsAcceptor::from(server).accept(stream))),
            None => Inner::Plain(stream),
        })
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Inner::Handshake(accept) = &mut self.0 {
            self.0 = match ready!(Pin::new(accept).poll(cx)) {
                Ok(stream) => Inner::Tls(Box::new(stream)),
                Err(error) => {
                    tracing::debug!(%error, "TLS handshake failed");
                    Inner::Closed
                }
            };
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx));
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Handshake(_) | Inner::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Handshake(_) | Inner::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Inner::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Inner::Handshake(_) | Inner::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Inner::Plain(stream) => stream.is_write_vectored(),
            _ => true,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Handshake(_) | Inner::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Handshake(_) | Inner::Closed => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, duplex};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn in_plain_the_stream_below_is_written_flushed_and_shut_down() {
        let (mut client, below) = duplex(64);
        let mut stream = Stream::new(None, BufWriter::new(below));
        assert!(stream.is_write_vectored());
        for text in [b"first", b"again"] {
            stream.write_all(text).await.unwrap();
            stream.flush().await.unwrap();
            let mut read = [0; 5];
            let length = timeout(SOON, client.read(&mut read)).await.unwrap().unwrap();
            assert_eq!(read[..length], text[..]);
        }
        stream.write_all(b"last").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = String::new();
        timeout(SOON, client.read_to_string(&mut rest)).await.unwrap().unwrap();
        assert_eq!(rest, "last");
    }
}
