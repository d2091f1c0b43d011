//! quinn: one QUIC connection with one bidirectional stream.
//!
//! It runs on tokio, in two ways: with tokio's threads, which carries most bytes, or on one thread
//! alone, which has the shorter way for one message. Settings are quinn's own, but for socket buffers of
//! the size that all others here have. It encrypts, which most others here do not.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::stream::{Buffer, Peer, Stream, Tasks};

/// Whom the certificate is for.
pub(super) const NAME: &str = "localhost";
const CERTIFICATE: &str = "certificate.der";
const KEY: &str = "key.der";
/// The same two as text.
pub(super) const CERTIFICATE_TEXT: &str = "certificate.pem";
pub(super) const KEY_TEXT: &str = "key.pem";
/// Asked of the kernel for both directions.
const SOCKET_BUFFER: usize = 4 << 20;

/// Both sides of QUIC, with a certificate that both processes find in one directory.
pub(crate) struct Quic {
    tasks: Tasks,
    client: Endpoint,
    server: ServerConfig,
}

/// Makes a certificate for the server and its clients.
///
/// # Errors
///
/// That of the file, or of TLS.
pub(crate) fn make_certificate(directory: &Path) -> io::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.into()]).map_err(io::Error::other)?;
    fs::write(directory.join(CERTIFICATE), made.cert.der())?;
    fs::write(directory.join(KEY), made.signing_key.serialize_der())?;
    fs::write(directory.join(CERTIFICATE_TEXT), made.cert.pem())?;
    fs::write(directory.join(KEY_TEXT), made.signing_key.serialize_pem())
}

impl Quic {
    /// A client and a server on tokio's threads, with the certificate in `directory`.
    ///
    /// # Errors
    ///
    /// That of the file, of TLS, or of the system.
    pub(crate) fn with_threads(directory: &Path) -> io::Result<Quic> {
        Quic::new(Tasks::tokio()?, directory)
    }

    /// The same on one thread.
    ///
    /// # Errors
    ///
    /// As [`Quic::with_threads`].
    pub(crate) fn on_one_thread(directory: &Path) -> io::Result<Quic> {
        Quic::new(Tasks::tokio_on_one_thread()?, directory)
    }

    fn new(tasks: Tasks, directory: &Path) -> io::Result<Quic> {
        let certificate = CertificateDer::from(fs::read(directory.join(CERTIFICATE))?);
        let key = fs::read(directory.join(KEY))?;
        let key = PrivateKeyDer::try_from(key).map_err(io::Error::other)?;
        let server = ServerConfig::with_single_cert(vec![certificate.clone()], key);
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(io::Error::other)?;
        let config = ClientConfig::with_root_certificates(Arc::new(roots));
        let any = (Ipv4Addr::UNSPECIFIED, 0).into();
        let mut client = tasks.inside(|| endpoint(any, None))?;
        client.set_default_client_config(config.map_err(io::Error::other)?);
        Ok(Quic {
            tasks,
            client,
            server: server.map_err(io::Error::other)?,
        })
    }
}

fn endpoint(at: SocketAddr, server: Option<ServerConfig>) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind(at)?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new(EndpointConfig::default(), server, socket, runtime)
}

impl Peer for Quic {
    type Listener = Endpoint;
    type Stream = QuicStream;

    fn listen(&self, at: SocketAddr) -> io::Result<(Endpoint, SocketAddr)> {
        let listener = self
            .tasks
            .inside(|| endpoint(at, Some(self.server.clone())))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(&self, listener: &Endpoint) -> io::Result<QuicStream> {
        let incoming = listener.accept().await.ok_or(io::ErrorKind::NotConnected)?;
        let connection = incoming.await?;
        let streams = connection.accept_bi().await?;
        Ok(QuicStream::new(connection, streams))
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<QuicStream> {
        let connecting = self.client.connect(server, NAME);
        let connection = connecting.map_err(io::Error::other)?.await?;
        let streams = connection.open_bi().await?;
        Ok(QuicStream::new(connection, streams))
    }

    fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

/// One connection with its one stream.
pub(crate) struct QuicStream {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl QuicStream {
    fn new(connection: Connection, (send, receive): (SendStream, RecvStream)) -> QuicStream {
        QuicStream {
            connection,
            send,
            receive,
        }
    }
}

impl Stream for QuicStream {
    async fn read<'b>(&mut self, into: &'b mut Buffer, max: usize) -> io::Result<&'b [u8]> {
        let length = match self.receive.read(&mut into.space[..max]).await {
            Ok(length) => length.unwrap_or(0),
            // The other side closes the whole connection, which ends its stream here.
            Err(quinn::ReadError::ConnectionLost(quinn::ConnectionError::ApplicationClosed(_))) => {
                0
            }
            Err(error) => return Err(error.into()),
        };
        Ok(&into.space[..length])
    }

    async fn write(&mut self, data: Bytes) -> io::Result<()> {
        Ok(self.send.write_all(&data).await?)
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        self.connection.close(0_u32.into(), b"");
    }
}
