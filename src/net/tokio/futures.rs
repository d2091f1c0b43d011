//! The traits of `futures-io` on the same streams, for code that is written against those.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::Stream;
use crate::net::stream::{read_vectored, write_vectored};

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_reading(cx, |connection| connection.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_reading(cx, |connection| read_vectored(connection, bufs))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |connection| connection.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |connection| write_vectored(connection, bufs))
    }

    /// Nothing to do: whatever was taken leaves by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the writing side: FIN after everything written. Does not wait for the peer to have it.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shut_writing())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;

    use futures_io::{AsyncRead, AsyncWrite};

    use super::*;
    use crate::net::tokio::Listener;

    #[tokio::test]
    async fn bytes_go_there_and_the_end_follows() {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Stream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let parts = [IoSlice::new(b"over "), IoSlice::new(b"the valley")];
        let written =
            poll_fn(|cx| AsyncWrite::poll_write_vectored(Pin::new(&mut client), cx, &parts)).await;
        assert_eq!(written.unwrap(), 15);
        poll_fn(|cx| AsyncWrite::poll_flush(Pin::new(&mut client), cx))
            .await
            .unwrap();
        poll_fn(|cx| AsyncWrite::poll_close(Pin::new(&mut client), cx))
            .await
            .unwrap();
        let mut got: Vec<u8> = Vec::new();
        loop {
            let mut buf = [0; 4];
            let len = poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut server), cx, &mut buf)).await;
            match len.unwrap() {
                0 => break,
                len => got.extend(&buf[..len]),
            }
        }
        assert_eq!(got, b"over the valley");
    }
}
