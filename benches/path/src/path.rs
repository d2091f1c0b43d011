//! An emulated path, and one measurement on it: a server and a client in namespaces of their own, joined by
//! the link emulator.

use std::env;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// The server's address inside the emulator.
const SERVER: &str = "10.88.0.1:5000";
/// Kernel TCP may use what the longest path needs: its defaults would bound it, not its algorithm.
const KERNEL: [&str; 4] = [
    "net.ipv4.tcp_rmem=4096 131072 67108864",
    "net.ipv4.tcp_wmem=4096 65536 67108864",
    "net.ipv4.tcp_no_metrics_save=1",
    "net.ipv4.tcp_slow_start_after_idle=1",
];

/// Rate, round trip, loss and queue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Path {
    /// Mbit/s of IP packets.
    pub(crate) rate: f64,
    /// Round trip without a queue, ms.
    pub(crate) rtt: f64,
    /// Percent of the packets, of either direction of data.
    pub(crate) loss: f64,
    /// The queue, in products of rate and round trip.
    pub(crate) queue: f64,
    pub(crate) seed: u64,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Path {
            rate,
            rtt,
            loss,
            queue,
            ..
        } = self;
        write!(f, "{rate} Mbit/s, {rtt} ms, {loss} %, {queue} BDP")
    }
}

/// What the emulator saw in the direction of the data.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) in_pkts: u64,
    pub(crate) drop_queue: u64,
    pub(crate) drop_loss: u64,
    pub(crate) overruns: u64,
    pub(crate) queue_p50_us: u64,
    pub(crate) queue_p95_us: u64,
    pub(crate) late_p99_us: u64,
}

#[derive(Deserialize)]
struct Directed {
    dir: String,
    #[serde(flatten)]
    link: Link,
}

#[derive(Deserialize)]
struct Links {
    link: Vec<Directed>,
}

impl Path {
    /// Runs this program's client on the path, with `arguments`; its line of JSON, and what the link saw.
    pub(crate) fn run(&self, arguments: &[String], limit: u64) -> io::Result<(String, Link)> {
        let program = env::current_exe()?;
        let output = Command::new(emulator())
            .args(self.options())
            .args(["--json", "--limit", &limit.to_string()])
            .args(KERNEL.iter().flat_map(|setting| ["--sysctl", setting]))
            .arg("--")
            .arg(&program)
            .args(["serve", SERVER, "::"])
            .arg(&program)
            .args(arguments)
            .args(["--to", SERVER])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| {
                io::Error::other(format!(
                    "{} does not start ({error}): set LINKEM to the link emulator",
                    emulator().display()
                ))
            })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            return Err(io::Error::other(format!(
                "{self}: {}: {text}",
                output.status
            )));
        }
        let mut lines = text.lines().filter(|line| line.starts_with(['{', '[']));
        let (Some(answer), Some(link)) = (lines.next(), lines.next()) else {
            return Err(io::Error::other(format!("{self}: no result: {text}")));
        };
        let links: Links = serde_json::from_str(link)?;
        let up = links.link.into_iter().find(|one| one.dir == "up");
        Ok((
            answer.to_owned(),
            up.map(|one| one.link).unwrap_or_default(),
        ))
    }

    fn options(&self) -> Vec<String> {
        let mut options = vec![
            "--rate".to_owned(),
            format!("{}", (self.rate * 1e6) as u64),
            "--delay".to_owned(),
            format!("{}us", (self.rtt * 500.0) as u64),
            "--queue".to_owned(),
            format!("{}bdp", self.queue),
            "--seed".to_owned(),
            self.seed.to_string(),
        ];
        if self.loss > 0.0 {
            options.extend(["--loss".to_owned(), format!("{}%", self.loss)]);
        }
        options
    }
}

fn emulator() -> PathBuf {
    env::var_os("LINKEM").map_or_else(|| PathBuf::from("linkem"), PathBuf::from)
}
