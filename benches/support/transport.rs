//! The reliable streams that are compared, behind one face.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

/// A way to carry a stream of bytes between two processes.
pub(crate) trait Transport {
    /// Waits for clients.
    type Listener;
    /// One connection.
    type Stream: Read + Write;

    /// What tables call it.
    fn name(&self) -> &'static str;
    /// Listens on a free port of the loopback address.
    fn listen(&self) -> io::Result<(Self::Listener, SocketAddr)>;
    /// Waits for the next client.
    fn accept(&self, listener: &Self::Listener) -> io::Result<Self::Stream>;
    /// Connects to a server.
    fn connect(&self, server: SocketAddr) -> io::Result<Self::Stream>;
    /// Says that nothing more will be written.
    fn finish(&self, stream: &mut Self::Stream) -> io::Result<()>;
}

/// TCP as the kernel has it.
pub(crate) struct Kernel;

impl Transport for Kernel {
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn name(&self) -> &'static str {
        "kernel TCP"
    }

    fn listen(&self) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn connect(&self, server: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn finish(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.shutdown(Shutdown::Write)
    }
}

/// Aqueduct, each connection of a client with a UDP socket of its own, as `Stream::connect` makes it.
pub(crate) struct Aqueduct;

impl Transport for Aqueduct {
    type Listener = aqueduct::Listener;
    type Stream = aqueduct::Stream;

    fn name(&self) -> &'static str {
        "aqueduct"
    }

    fn listen(&self) -> io::Result<(aqueduct::Listener, SocketAddr)> {
        let listener = aqueduct::Listener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    fn accept(&self, listener: &aqueduct::Listener) -> io::Result<aqueduct::Stream> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn connect(&self, server: SocketAddr) -> io::Result<aqueduct::Stream> {
        let stream = aqueduct::Stream::connect(server)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn finish(&self, stream: &mut aqueduct::Stream) -> io::Result<()> {
        stream.shutdown(Shutdown::Write)
    }
}

/// Aqueduct, all connections of a client on one UDP socket.
pub(crate) struct SharedSocket(aqueduct::Endpoint);

impl SharedSocket {
    /// A client with a free port of the loopback address.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(crate) fn new() -> io::Result<SharedSocket> {
        Ok(SharedSocket(aqueduct::Endpoint::bind((
            Ipv4Addr::LOCALHOST,
            0,
        ))?))
    }
}

impl Transport for SharedSocket {
    type Listener = aqueduct::Listener;
    type Stream = aqueduct::Stream;

    fn name(&self) -> &'static str {
        "aqueduct, shared socket"
    }

    fn listen(&self) -> io::Result<(aqueduct::Listener, SocketAddr)> {
        Aqueduct.listen()
    }

    fn accept(&self, listener: &aqueduct::Listener) -> io::Result<aqueduct::Stream> {
        Aqueduct.accept(listener)
    }

    fn connect(&self, server: SocketAddr) -> io::Result<aqueduct::Stream> {
        let stream = self.0.connect(server)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn finish(&self, stream: &mut aqueduct::Stream) -> io::Result<()> {
        Aqueduct.finish(stream)
    }
}
