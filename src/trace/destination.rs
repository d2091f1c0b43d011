//! Where traces go: a file for each connection, or whatever the program opens.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Time;
use crate::wire::ConnectionId;

/// The side of a connection that a trace was taken at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// It called; in a rendezvous both do.
    Client,
    /// It was called.
    Server,
}

impl Role {
    /// The word that qlog has for it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

/// Whose trace it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// The side.
    pub role: Role,
    /// The connection id of the client: the same in the traces of both sides.
    pub id: ConnectionId,
    /// This side's address, as exactly as it is known.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// When the connection began, by the clock that its events are told in.
    pub at: Time,
    /// The same as time since the Unix epoch; `None` in a simulation.
    pub wall: Option<Duration>,
}

impl About {
    /// A name for a file, in order of time, alike for both ends: `1764331200000-00c0ffee00c0ffee-client.sqlog`.
    ///
    /// ```
    /// use aqueduct::time::Time;
    /// use aqueduct::trace::{About, Role};
    /// use aqueduct::wire::ConnectionId;
    /// use std::time::Duration;
    ///
    /// let about = About {
    ///     role: Role::Client,
    ///     id: ConnectionId::new(0xc0ffee).expect("not 0"),
    ///     local: "192.0.2.1:4000".parse().expect("an address"),
    ///     remote: "192.0.2.2:4000".parse().expect("an address"),
    ///     at: Time::ZERO,
    ///     wall: Some(Duration::from_millis(1_764_331_200_000)),
    /// };
    /// assert_eq!(about.file_name(), "1764331200000-0000000000c0ffee-client.sqlog");
    /// ```
    pub fn file_name(&self) -> String {
        let began = self
            .wall
            .unwrap_or(Duration::from_nanos(self.at.as_nanos()));
        format!(
            "{:013}-{:016x}-{}.sqlog",
            began.as_millis(),
            self.id.get(),
            self.role.name()
        )
    }
}

/// What opens the output of one connection's trace.
type Open = dyn Fn(&About) -> io::Result<Option<Box<dyn io::Write + Send>>>
    + Send
    + Sync
    + UnwindSafe
    + RefUnwindSafe;

/// Where the traces of connections go ([`Config::with_traces`](crate::config::Config::with_traces)).
///
/// ```
/// use aqueduct::Config;
/// use aqueduct::trace::Traces;
/// use std::fs::File;
/// use std::io;
///
/// // Only connections to one port are of interest.
/// let traces = Traces::new(|about| match about.remote.port() {
///     4433 => Ok(Some(Box::new(File::create(about.file_name())?))),
///     _ => Ok(None),
/// });
/// let config = Config::new().with_traces(traces);
/// assert!(config.traces().is_some());
/// ```
#[derive(Clone)]
pub struct Traces(Arc<Open>);

impl Traces {
    /// Each trace goes to what `open` returns for it: `None` for connections that are not of interest. An error is
    /// told as a warning, and the connection goes on without a trace.
    ///
    /// Outputs are written to by the threads that serve the connection, 64 KiB at a time, while they hold it: one that
    /// blocks holds the connection up. Who cannot rule that out passes what is written on to another thread.
    pub fn new(
        open: impl Fn(&About) -> io::Result<Option<Box<dyn io::Write + Send>>>
        + Send
        + Sync
        + UnwindSafe
        + RefUnwindSafe
        + 'static,
    ) -> Self {
        Traces(Arc::new(open))
    }

    /// Each trace goes to a file of its own in this directory, which is made if it is missing: [`About::file_name`].
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Traces::new(move |about| {
            fs::create_dir_all(&dir)?;
            let file = File::create(dir.join(about.file_name()))?;
            Ok(Some(Box::new(file)))
        })
    }

    pub(crate) fn open(&self, about: &About) -> io::Result<Option<Box<dyn io::Write + Send>>> {
        (self.0)(about)
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}
