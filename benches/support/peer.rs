//! The other process: this program again, as a server.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Stdio, exit};
use std::thread;

use super::placement::Placement;

/// A running server; dropping it ends it.
pub(crate) struct Peer {
    child: Child,
    address: SocketAddr,
}

impl Peer {
    /// Starts this program with `--peer ROLE` and `more` arguments, and waits until it says where it listens.
    ///
    /// # Errors
    ///
    /// The system's error, or that the program said something else.
    pub(crate) fn start(placement: Placement, role: &str, more: &[&OsStr]) -> io::Result<Peer> {
        let mut child = placement
            .server(&std::env::current_exe()?)
            .args(["--peer", role])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(|_| {
            io::Error::other(format!(
                "the server {role} did not say where it listens: {line:?}"
            ))
        })?;
        Ok(Peer { child, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has ended, or it ends now; there is nothing to do about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the server: says where it listens, and sees to it that it does not outlive its client.
///
/// # Errors
///
/// The system's error.
pub(crate) fn announce(address: SocketAddr) -> io::Result<()> {
    println!("{address}");
    io::stdout().flush()?;
    thread::spawn(|| {
        // The client holds the other end, and its death closes it.
        let _ = io::stdin().read(&mut [0]);
        exit(0);
    });
    Ok(())
}
