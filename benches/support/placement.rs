//! Which processor each of the two processes runs on.
//!
//! It decides what a round trip means: on one processor a message costs a change of context, on two
//! it wakes a processor that sleeps, which takes ten times as long on many virtual machines. The
//! system's scheduler changes its mind about that between two runs; a fixed place does not.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the processes run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub(crate) enum Placement {
    /// Wherever the system puts them.
    #[default]
    Free,
    /// Both on the first processor.
    One,
    /// The client on the first, the server on the second.
    Two,
}

impl Placement {
    /// Puts this process, the client, in its place. To be called before any thread starts.
    ///
    /// # Errors
    ///
    /// That `taskset` is missing, or did not obey.
    pub(crate) fn enter(self) -> io::Result<()> {
        if self == Placement::Free {
            return Ok(());
        }
        let own = std::process::id().to_string();
        let mut taskset = Command::new("taskset");
        let status = taskset
            .args(["-a", "-c", "-p", "0", &own])
            .stdout(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(io::Error::other(format!("taskset: {status}"))),
            Err(error) => Err(io::Error::other(format!("taskset: {error}"))),
        }
    }

    /// The command that starts `program` as the server; it inherits the place of the client.
    pub(crate) fn server(self, program: &Path) -> Command {
        if self != Placement::Two {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).arg(program);
        command
    }
}
