//! aqueduct: by `read` and `write`, by `Bytes`, and with all connections of a client on one socket.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use aqueduct::{Config, Endpoint, EndpointConfig, Listener, Stream as Connection};
use bytes::{Buf, Bytes};

use crate::stream::{Buffer, Peer, Stream, Tasks};

/// Room for a thousand clients that connect at once.
const BACKLOG: usize = 4_096;

/// aqueduct with a configuration.
pub(crate) struct Aqueduct {
    config: Config,
    /// Streams by `read_bytes` and `write_bytes` instead of `read` and `write`.
    shares: bool,
    /// The socket of all connections of this client; otherwise each has its own.
    client: Option<Endpoint>,
}

/// By `read` and `write`, as `TcpStream` is used.
pub(crate) fn copying(config: Config) -> Aqueduct {
    Aqueduct {
        config,
        shares: false,
        client: None,
    }
}

/// By `read_bytes` and `write_bytes`.
pub(crate) fn sharing(config: Config) -> Aqueduct {
    Aqueduct {
        shares: true,
        ..copying(config)
    }
}

/// By `read` and `write`, the client's connections on one UDP socket.
///
/// # Errors
///
/// The system's error.
pub(crate) fn on_one_socket(config: Config) -> io::Result<Aqueduct> {
    let client = Endpoint::builder()
        .config(config.clone())
        .bind((Ipv4Addr::UNSPECIFIED, 0))?;
    Ok(Aqueduct {
        client: Some(client),
        ..copying(config)
    })
}

impl Aqueduct {
    fn stream(&self, connection: Connection) -> io::Result<Shared> {
        connection.set_nodelay(true)?;
        Ok(Shared {
            connection,
            shares: self.shares,
        })
    }
}

impl Peer for Aqueduct {
    type Listener = Listener;
    type Stream = Shared;

    fn listen(&self, at: SocketAddr) -> io::Result<(Listener, SocketAddr)> {
        let listener = Endpoint::builder()
            .endpoint_config(EndpointConfig::new().with_backlog(BACKLOG))
            .config(self.config.clone())
            .bind(at)?
            .listen()?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(&self, listener: &Listener) -> io::Result<Shared> {
        self.stream(listener.accept()?.0)
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<Shared> {
        self.stream(match &self.client {
            Some(client) => client.connect(server)?,
            None => Connection::connect_with(server, &self.config)?,
        })
    }

    fn tasks(&self) -> &Tasks {
        &Tasks::Threads
    }
}

/// A stream, and how it is used.
pub(crate) struct Shared {
    connection: Connection,
    shares: bool,
}

impl Stream for Shared {
    async fn read<'b>(&mut self, into: &'b mut Buffer, max: usize) -> io::Result<&'b [u8]> {
        if self.shares {
            into.bytes = self.connection.read_bytes(max)?;
            return Ok(&into.bytes);
        }
        let length = self.connection.read(&mut into.space[..max])?;
        Ok(&into.space[..length])
    }

    async fn write(&mut self, mut data: Bytes) -> io::Result<()> {
        if !self.shares {
            return self.connection.write_all(&data);
        }
        while !data.is_empty() {
            let taken = self.connection.write_bytes(data.clone())?;
            data.advance(taken);
        }
        Ok(())
    }
}
