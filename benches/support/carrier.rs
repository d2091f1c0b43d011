//! Whatever carries bytes between two processes, as the benchmarks list it.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use super::transport::Transport;
use super::works::{self, Bulk, Idle};

/// The works of one carrier; what it cannot do at all is `None`.
pub(crate) trait Carrier {
    /// What tables call it.
    fn name(&self) -> &'static str;
    /// Is the server, for ever.
    fn serve(&self) -> io::Result<()>;
    /// See [`works::bulk`].
    fn bulk(&self, server: SocketAddr, number: u64, write: usize, total: u64) -> io::Result<Bulk>;
    /// See [`works::ping_pong`].
    fn ping_pong(&self, server: SocketAddr, size: usize, count: u64) -> io::Result<Vec<u64>>;
    /// See [`works::connects`].
    fn connects(&self, server: SocketAddr, count: u64) -> io::Result<Option<Duration>>;
    /// See [`works::idle`].
    fn idle(&self, server: SocketAddr, count: u64, time: Duration) -> io::Result<Option<Idle>>;
}

impl<T: Transport> Carrier for T {
    fn name(&self) -> &'static str {
        Transport::name(self)
    }

    fn serve(&self) -> io::Result<()> {
        works::serve(self)
    }

    fn bulk(&self, server: SocketAddr, number: u64, write: usize, total: u64) -> io::Result<Bulk> {
        works::bulk(self, server, number, write, total)
    }

    fn ping_pong(&self, server: SocketAddr, size: usize, count: u64) -> io::Result<Vec<u64>> {
        works::ping_pong(self, server, size, count)
    }

    fn connects(&self, server: SocketAddr, count: u64) -> io::Result<Option<Duration>> {
        works::connects(self, server, count).map(Some)
    }

    fn idle(&self, server: SocketAddr, count: u64, time: Duration) -> io::Result<Option<Idle>> {
        works::idle(self, server, count, time).map(Some)
    }
}

/// All that a benchmark compares.
pub(crate) type Carriers = Vec<Box<dyn Carrier>>;

/// Is the server of the carrier called `role`.
///
/// # Errors
///
/// The server's error, or that there is no such carrier.
pub(crate) fn serve_as(role: &str, carriers: &Carriers) -> io::Result<()> {
    match carriers.iter().find(|carrier| carrier.name() == role) {
        Some(carrier) => carrier.serve(),
        None => Err(io::Error::other(format!("there is no {role} to serve"))),
    }
}

/// The end of a benchmark.
pub(crate) fn exit(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
