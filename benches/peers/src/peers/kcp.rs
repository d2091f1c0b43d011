//! KCP, by the crate `tokio_kcp`, with the settings that its authors call the fastest.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig, KcpStream};

use crate::stream::{Buffer, Peer, Stream, Tasks};

/// Packets in each window.
const WINDOW: u16 = 1_024;

/// KCP on tokio's threads.
pub(crate) struct Kcp {
    tasks: Tasks,
    config: KcpConfig,
}

impl Kcp {
    /// # Errors
    ///
    /// The system's error.
    pub(crate) fn new() -> io::Result<Kcp> {
        let config = KcpConfig {
            nodelay: KcpNoDelayConfig::fastest(),
            wnd_size: (WINDOW, WINDOW),
            flush_write: true,
            flush_acks_input: true,
            stream: true,
            ..KcpConfig::default()
        };
        Ok(Kcp {
            tasks: Tasks::tokio()?,
            config,
        })
    }
}

impl Peer for Kcp {
    type Listener = Mutex<KcpListener>;
    type Stream = KcpStream;

    fn listen(&self, at: SocketAddr) -> io::Result<(Self::Listener, SocketAddr)> {
        let Tasks::Tokio(runtime) = &self.tasks else {
            unreachable!("KCP runs on tokio");
        };
        let listener = runtime.block_on(KcpListener::bind(self.config, at));
        let listener = listener.map_err(io::Error::other)?;
        let address = listener.local_addr()?;
        Ok((Mutex::new(listener), address))
    }

    async fn accept(&self, listener: &Self::Listener) -> io::Result<KcpStream> {
        let accepted = listener.lock().await.accept().await;
        Ok(accepted.map_err(io::Error::other)?.0)
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<KcpStream> {
        let stream = KcpStream::connect(&self.config, server).await;
        stream.map_err(io::Error::other)
    }

    fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

impl Stream for KcpStream {
    async fn read<'b>(&mut self, into: &'b mut Buffer, max: usize) -> io::Result<&'b [u8]> {
        let length = AsyncReadExt::read(self, &mut into.space[..max]).await?;
        Ok(&into.space[..length])
    }

    async fn write(&mut self, data: Bytes) -> io::Result<()> {
        self.write_all(&data).await?;
        self.flush().await
    }
}
