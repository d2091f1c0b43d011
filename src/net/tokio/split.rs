//! Halves that borrow their stream, and what all halves can do.

use tokio::io::{AsyncRead, AsyncWrite};

use super::Stream;

/// What a reading half can do, borrowed or owned; its field `stream` holds the stream.
macro_rules! reading_half {
    ($half:ty) => {
        impl $half {
            /// Reads without taking: the next read sees the same bytes again.
            ///
            /// # Errors
            /// As a read.
            ///
            /// # Cancel safety
            /// Nothing is taken in any case.
            pub async fn peek(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.stream.peek(buf).await
            }

            /// Polls for data to read without taking it; how much was put into `buf`, which is advanced by it.
            ///
            /// # Errors
            /// As a read.
            pub fn poll_peek(
                &mut self,
                cx: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.stream.poll_peek(cx, buf)
            }

            /// As [`Stream::ready`](super::Stream::ready).
            ///
            /// # Errors
            /// As there.
            ///
            /// # Cancel safety
            /// Nothing is taken. What is ready stays so.
            pub async fn ready(
                &self,
                interest: tokio::io::Interest,
            ) -> std::io::Result<tokio::io::Ready> {
                self.stream.ready(interest).await
            }

            /// Waits until a read is worth trying.
            ///
            /// # Errors
            /// As [`Stream::ready`](super::Stream::ready).
            ///
            /// # Cancel safety
            /// Nothing is taken. What is ready stays so.
            pub async fn readable(&self) -> std::io::Result<()> {
                self.stream.readable().await
            }

            /// As [`Stream::recv_datagram`](super::Stream::recv_datagram).
            ///
            /// # Errors
            /// As there.
            ///
            /// # Cancel safety
            /// No datagram is taken.
            pub async fn recv_datagram(&self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.stream.recv_datagram(buf).await
            }

            /// Reads what is there, without waiting.
            ///
            /// # Errors
            /// `WouldBlock` if nothing is; otherwise as a read.
            pub fn try_read(&self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.stream.try_read(buf)
            }

            /// Reads what is there into several buffers, one after another, without waiting.
            ///
            /// # Errors
            /// As `try_read`.
            pub fn try_read_vectored(
                &self,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                self.stream.try_read_vectored(bufs)
            }

            /// Reads what is there, at most 16 KiB in one call, and advances the buffer by it.
            ///
            /// # Errors
            /// As `try_read`.
            pub fn try_read_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize> {
                self.stream.try_read_buf(buf)
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.stream.poll_read_in(cx, buf)
            }
        }
    };
}

/// What a writing half can do, borrowed or owned; its field `stream` holds the stream.
macro_rules! writing_half {
    ($half:ty) => {
        impl $half {
            /// As [`Stream::ready`](super::Stream::ready).
            ///
            /// # Errors
            /// As there.
            ///
            /// # Cancel safety
            /// Nothing is taken. What is ready stays so.
            pub async fn ready(
                &self,
                interest: tokio::io::Interest,
            ) -> std::io::Result<tokio::io::Ready> {
                self.stream.ready(interest).await
            }

            /// Waits until a write is worth trying.
            ///
            /// # Errors
            /// As [`Stream::ready`](super::Stream::ready).
            ///
            /// # Cancel safety
            /// Nothing is taken. What is ready stays so.
            pub async fn writable(&self) -> std::io::Result<()> {
                self.stream.writable().await
            }

            /// As [`Stream::send_datagram`](super::Stream::send_datagram): never waits.
            ///
            /// # Errors
            /// As there.
            pub fn send_datagram(&self, data: &[u8]) -> std::io::Result<()> {
                self.stream.send_datagram(data)
            }

            /// Writes as much as there is room for, without waiting.
            ///
            /// # Errors
            /// `WouldBlock` if there is no room; otherwise as a write.
            pub fn try_write(&self, buf: &[u8]) -> std::io::Result<usize> {
                self.stream.try_write(buf)
            }

            /// Writes as much of several buffers as there is room for, without waiting.
            ///
            /// # Errors
            /// As `try_write`.
            pub fn try_write_vectored(
                &self,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                self.stream.try_write_vectored(bufs)
            }
        }

        impl AsyncWrite for $half {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.stream.poll_write_in(cx, buf)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.stream.poll_write_vectored_in(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            /// Nothing to do: whatever was taken leaves by itself.
            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            /// Ends the writing side: FIN after everything written.
            fn poll_shutdown(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(self.stream.shut_writing())
            }
        }
    };
}

/// What every half knows of its stream.
macro_rules! any_half {
    ($half:ty) => {
        impl $half {
            /// The address of the peer, as it was when the stream was opened.
            ///
            /// # Errors
            /// `NotConnected` once the connection was reset or failed.
            pub fn peer_addr(&self) -> std::io::Result<std::net::SocketAddr> {
                self.stream.peer_addr()
            }

            /// The address of this side.
            ///
            /// # Errors
            /// None today; the signature is that of tokio's halves.
            pub fn local_addr(&self) -> std::io::Result<std::net::SocketAddr> {
                self.stream.local_addr()
            }
        }

        impl AsRef<Stream> for $half {
            fn as_ref(&self) -> &Stream {
                &self.stream
            }
        }
    };
}

pub(super) use {any_half, reading_half, writing_half};

/// The borrowed half to read from: see [`Stream::split`].
#[derive(Debug)]
pub struct ReadHalf<'s> {
    stream: &'s Stream,
}

/// The borrowed half to write to: see [`Stream::split`]. Dropping it ends nothing.
#[derive(Debug)]
pub struct WriteHalf<'s> {
    stream: &'s Stream,
}

pub(super) fn split(stream: &mut Stream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf { stream }, WriteHalf { stream })
}

reading_half!(ReadHalf<'_>);
writing_half!(WriteHalf<'_>);
any_half!(ReadHalf<'_>);
any_half!(WriteHalf<'_>);
