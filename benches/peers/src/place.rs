//! Where the two processes of a measurement run: on which processors, and in which network namespaces.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

/// Which processors the two processes run on.
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

/// Which of the two processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Placement {
    fn words(self, side: Side) -> Vec<String> {
        let processor = match (self, side) {
            (Placement::Free, _) => return Vec::new(),
            (Placement::Two, Side::Server) => "1",
            _ => "0",
        };
        ["taskset", "-c", processor].map(str::to_owned).into()
    }
}

/// Two network namespaces that a pair of veth devices joins; dropping it removes them.
pub(crate) struct Veth {
    names: [String; 2],
}

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 2);
const MTU: &str = "1500";

impl Veth {
    /// Makes them; needs root and the command `ip`.
    ///
    /// # Errors
    ///
    /// What `ip` said.
    pub(crate) fn new() -> io::Result<Veth> {
        let own = std::process::id();
        let veth = Veth {
            names: ["server", "client"].map(|side| format!("peers-{own}-{side}")),
        };
        let [server, client] = &veth.names;
        ip(&["netns", "add", server])?;
        ip(&["netns", "add", client])?;
        ip(&[
            "-n", server, "link", "add", "veth0", "mtu", MTU, "type", "veth", "peer", "name",
            "veth0", "mtu", MTU, "netns", client,
        ])?;
        for (name, address) in [(server, SERVER), (client, CLIENT)] {
            let address = format!("{address}/24");
            ip(&["-n", name, "address", "add", &address, "dev", "veth0"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", "veth0", "up"])?;
        }
        Ok(veth)
    }

    fn words(&self, side: Side) -> Vec<String> {
        let [server, client] = &self.names;
        let name = if side == Side::Server { server } else { client };
        ["ip", "netns", "exec", name].map(str::to_owned).into()
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        for name in &self.names {
            // It may never have been made; there is nothing to do about an error.
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "ip {}: {said}",
        arguments[..2].join(" ")
    )))
}

/// The address that the server listens at.
pub(crate) fn listen_at(veth: Option<&Veth>) -> SocketAddr {
    let address = veth.map_or(Ipv4Addr::LOCALHOST, |_| SERVER);
    (address, 0).into()
}

/// The command that runs `program` in its place.
pub(crate) fn command(
    placement: Placement,
    veth: Option<&Veth>,
    side: Side,
    program: &Path,
) -> Command {
    let mut words = veth.map(|veth| veth.words(side)).unwrap_or_default();
    words.extend(placement.words(side));
    let mut words = words.iter().map(OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or(program.as_os_str()));
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}
