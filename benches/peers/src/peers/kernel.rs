//! TCP as the kernel has it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use bytes::Bytes;
use socket2::SockRef;

use crate::stream::{Buffer, Peer, Stream, Tasks};

/// Connections that may wait for `accept`: the standard library asks for 128 only.
const BACKLOG: i32 = 4_096;

/// Kernel TCP with one of the kernel's congestion controls.
pub(crate) struct Kernel(&'static str);

/// The congestion controls that this kernel has.
pub(crate) fn algorithms() -> String {
    fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control").unwrap_or_default()
}

impl Kernel {
    pub(crate) fn new(algorithm: &'static str) -> Kernel {
        Kernel(algorithm)
    }

    fn set_up(&self, stream: TcpStream) -> io::Result<TcpStream> {
        SockRef::from(&stream).set_tcp_congestion(self.0.as_bytes())?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Peer for Kernel {
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn listen(&self, at: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(at)?;
        SockRef::from(&listener).listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        self.set_up(listener.accept()?.0)
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<TcpStream> {
        self.set_up(TcpStream::connect(server)?)
    }

    fn tasks(&self) -> &Tasks {
        &Tasks::Threads
    }
}

impl Stream for TcpStream {
    async fn read<'b>(&mut self, into: &'b mut Buffer, max: usize) -> io::Result<&'b [u8]> {
        let length = Read::read(self, &mut into.space[..max])?;
        Ok(&into.space[..length])
    }

    async fn write(&mut self, data: Bytes) -> io::Result<()> {
        self.write_all(&data)
    }
}
