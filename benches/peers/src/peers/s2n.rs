//! s2n-quic: one QUIC connection with one bidirectional stream, on tokio's threads.
//!
//! It takes and hands out `Bytes`, as its own interface does. Settings are its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use s2n_quic::client::Connect;
use s2n_quic::connection::{self, Handle};
use s2n_quic::provider::tls::rustls;
use s2n_quic::stream::{BidirectionalStream, Error};
use s2n_quic::{Client, Server};
use tokio::sync::Mutex;

use super::quic::{CERTIFICATE_TEXT, KEY_TEXT, NAME};
use crate::stream::{Buffer, Peer, Stream, Tasks};

/// s2n-quic with the certificate in a directory.
pub(crate) struct S2n {
    tasks: Tasks,
    client: Client,
    directory: PathBuf,
}

impl S2n {
    /// # Errors
    ///
    /// That of the file, of TLS, or of the system.
    pub(crate) fn new(directory: &Path) -> io::Result<S2n> {
        let tasks = Tasks::tokio()?;
        let tls = rustls::Client::builder()
            .with_certificate(&*directory.join(CERTIFICATE_TEXT))
            .and_then(rustls::client::Builder::build)
            .map_err(io::Error::other)?;
        let client = tasks.inside(|| {
            Client::builder()
                .with_tls(tls)
                .map_err(io::Error::other)?
                .with_io(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?
                .start()
                .map_err(io::Error::other)
        })?;
        Ok(S2n {
            tasks,
            client,
            directory: directory.to_owned(),
        })
    }
}

impl Peer for S2n {
    type Listener = Mutex<Server>;
    type Stream = S2nStream;

    fn listen(&self, at: SocketAddr) -> io::Result<(Self::Listener, SocketAddr)> {
        let certificate = self.directory.join(CERTIFICATE_TEXT);
        let tls = rustls::Server::builder()
            .with_certificate(&*certificate, &*self.directory.join(KEY_TEXT))
            .and_then(rustls::server::Builder::build)
            .map_err(io::Error::other)?;
        let server = self.tasks.inside(|| {
            Server::builder()
                .with_tls(tls)
                .map_err(io::Error::other)?
                .with_io(at)?
                .start()
                .map_err(io::Error::other)
        })?;
        let address = server.local_addr()?;
        Ok((Mutex::new(server), address))
    }

    async fn accept(&self, listener: &Self::Listener) -> io::Result<S2nStream> {
        let connection = listener.lock().await.accept().await;
        let mut connection = connection.ok_or(io::ErrorKind::NotConnected)?;
        let stream = connection.accept_bidirectional_stream().await?;
        let stream = stream.ok_or(io::ErrorKind::NotConnected)?;
        Ok(S2nStream::new(connection.handle(), stream))
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<S2nStream> {
        let connect = Connect::new(server).with_server_name(NAME);
        let mut connection = self.client.connect(connect).await?;
        let stream = connection.open_bidirectional_stream().await?;
        Ok(S2nStream::new(connection.handle(), stream))
    }

    fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

/// One connection with its one stream.
pub(crate) struct S2nStream {
    connection: Handle,
    stream: BidirectionalStream,
    /// Received, and not read yet.
    rest: Bytes,
}

impl S2nStream {
    fn new(connection: Handle, stream: BidirectionalStream) -> S2nStream {
        S2nStream {
            connection,
            stream,
            rest: Bytes::new(),
        }
    }
}

impl Stream for S2nStream {
    async fn read<'b>(&mut self, into: &'b mut Buffer, max: usize) -> io::Result<&'b [u8]> {
        while self.rest.is_empty() {
            match self.stream.receive().await {
                Ok(Some(data)) => self.rest = data,
                Ok(None) => break,
                // The other side closes the whole connection, which ends its stream here.
                Err(Error::ConnectionError {
                    error: connection::Error::Application { .. } | connection::Error::Closed { .. },
                    ..
                }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        into.bytes = self.rest.split_to(self.rest.remaining().min(max));
        Ok(&into.bytes)
    }

    async fn write(&mut self, data: Bytes) -> io::Result<()> {
        Ok(self.stream.send(data).await?)
    }
}

impl Drop for S2nStream {
    fn drop(&mut self) {
        self.connection.close(0_u32.into());
    }
}
