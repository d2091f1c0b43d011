//! quinn, as a stream that blocks: one QUIC connection with one bidirectional stream.
//!
//! quinn runs on tokio, in two ways: with tokio's threads, which carries most bytes, or with the
//! calling thread alone, which has the shorter way for one message. Settings are quinn's own, but for
//! socket buffers of the size that all others here have.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::runtime::{Builder, Runtime};

use crate::support::transport::Transport;

const NAME: &str = "localhost";
const CERTIFICATE: &str = "certificate.der";
const KEY: &str = "key.der";
/// Asked of the kernel for both directions.
const SOCKET_BUFFER: usize = 4 << 20;

/// Both sides of QUIC, with a certificate that both processes find in one directory.
pub(crate) struct Quic {
    name: &'static str,
    runtime: Arc<Runtime>,
    client: Endpoint,
    server: ServerConfig,
}

/// Makes a certificate for the server and its clients.
pub(crate) fn make_certificate(directory: &Path) -> io::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.into()]).map_err(io::Error::other)?;
    fs::write(directory.join(CERTIFICATE), made.cert.der())?;
    fs::write(directory.join(KEY), made.signing_key.serialize_der())
}

impl Quic {
    /// A client and a server on tokio's threads, with the certificate in `directory`.
    ///
    /// # Errors
    ///
    /// That of the file, of TLS, or of the system.
    pub(crate) fn with_threads(directory: &Path) -> io::Result<Quic> {
        Quic::new("quinn", Builder::new_multi_thread(), directory)
    }

    /// The same, but nothing happens while no call of the program waits.
    ///
    /// # Errors
    ///
    /// As [`Quic::with_threads`].
    pub(crate) fn on_the_calling_thread(directory: &Path) -> io::Result<Quic> {
        Quic::new(
            "quinn, one thread",
            Builder::new_current_thread(),
            directory,
        )
    }

    fn new(name: &'static str, mut runtime: Builder, directory: &Path) -> io::Result<Quic> {
        let certificate = CertificateDer::from(fs::read(directory.join(CERTIFICATE))?);
        let key = fs::read(directory.join(KEY))?;
        let key = PrivateKeyDer::try_from(key).map_err(io::Error::other)?;
        let server = ServerConfig::with_single_cert(vec![certificate.clone()], key);
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(io::Error::other)?;
        let runtime = runtime.enable_all().build()?;
        let _inside = runtime.enter();
        let mut client = endpoint(None)?;
        let config = ClientConfig::with_root_certificates(Arc::new(roots));
        client.set_default_client_config(config.map_err(io::Error::other)?);
        let server = server.map_err(io::Error::other)?;
        Ok(Quic {
            name,
            runtime: Arc::new(runtime),
            client,
            server,
        })
    }

    fn stream(&self, connection: Connection, (send, receive): (SendStream, RecvStream)) -> Stream {
        Stream {
            runtime: Arc::clone(&self.runtime),
            connection,
            send,
            receive,
        }
    }
}

fn endpoint(server: Option<ServerConfig>) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new(EndpointConfig::default(), server, socket, runtime)
}

impl Transport for Quic {
    type Listener = Endpoint;
    type Stream = Stream;

    fn name(&self) -> &'static str {
        self.name
    }

    fn listen(&self) -> io::Result<(Endpoint, SocketAddr)> {
        let _inside = self.runtime.enter();
        let listener = endpoint(Some(self.server.clone()))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    fn accept(&self, listener: &Endpoint) -> io::Result<Stream> {
        self.runtime.block_on(async {
            let incoming = listener.accept().await.ok_or(io::ErrorKind::NotConnected)?;
            let connection = incoming.await?;
            let streams = connection.accept_bi().await?;
            Ok(self.stream(connection, streams))
        })
    }

    fn connect(&self, server: SocketAddr) -> io::Result<Stream> {
        self.runtime.block_on(async {
            let connection = self
                .client
                .connect(server, NAME)
                .map_err(io::Error::other)?
                .await?;
            let streams = connection.open_bi().await?;
            Ok(self.stream(connection, streams))
        })
    }

    fn finish(&self, stream: &mut Stream) -> io::Result<()> {
        stream.send.finish().map_err(io::Error::other)
    }
}

/// One connection with its one stream.
pub(crate) struct Stream {
    runtime: Arc<Runtime>,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.runtime.block_on(self.receive.read(buffer)) {
            Ok(length) => Ok(length.unwrap_or(0)),
            // The client closes the whole connection, which ends its stream here.
            Err(quinn::ReadError::ConnectionLost(quinn::ConnectionError::ApplicationClosed(_))) => {
                Ok(0)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.runtime.block_on(self.send.write(bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.close(0_u32.into(), b"");
        // Without tokio's threads nobody would send that until the next call.
        self.runtime.block_on(tokio::task::yield_now());
    }
}
