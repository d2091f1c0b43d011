//! The transports under comparison, behind one face.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::str::FromStr;

use aqueduct::{Config, Congestion, Listener, Stream};
use socket2::{Domain, Socket, Type};

/// A transport and its congestion control, as `aqueduct:bbr` or `tcp:cubic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Aqueduct { control: String, tolerance: u16 },
    Tcp { control: String },
}

impl FromStr for Stack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, control) = text
            .split_once(':')
            .ok_or("expected TRANSPORT:CONTROL, as aqueduct:cubic or tcp:bbr")?;
        match name {
            "tcp" => Ok(Stack::Tcp {
                control: control.to_owned(),
            }),
            "aqueduct" => {
                // `bbr+150` tolerates a loss of 150 thousandths.
                let (control, tolerance) = control.split_once('+').unwrap_or((control, "0"));
                congestion(control)?;
                let tolerance = tolerance
                    .parse()
                    .map_err(|_| "a tolerance in thousandths")?;
                Ok(Stack::Aqueduct {
                    control: control.to_owned(),
                    tolerance,
                })
            }
            _ => Err(format!("unknown transport {name}: aqueduct or tcp")),
        }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stack::Tcp { control } => write!(f, "tcp:{control}"),
            Stack::Aqueduct { control, tolerance } if *tolerance == 0 => {
                write!(f, "aqueduct:{control}")
            }
            Stack::Aqueduct { control, tolerance } => write!(f, "aqueduct:{control}+{tolerance}"),
        }
    }
}

fn congestion(name: &str) -> Result<Congestion, String> {
    match name {
        "newreno" | "reno" => Ok(Congestion::NewReno),
        "cubic" => Ok(Congestion::Cubic),
        "bbr" => Ok(Congestion::Bbr),
        "auto" => Ok(Congestion::Auto),
        "default" => Ok(Congestion::default()),
        _ => Err(format!(
            "unknown control {name}: newreno, cubic, bbr, auto or default"
        )),
    }
}

/// What a sender's transport counted, over the whole namespace for kernel TCP.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent: u64,
    pub(crate) retransmitted: u64,
}

/// An open connection.
pub(crate) trait Connection: Read + Write + Send {
    fn twin(&self) -> io::Result<Box<dyn Connection>>;
    fn finish_writing(&self) -> io::Result<()>;
    /// `None` where counters belong to the namespace: [`kernel_counters`].
    fn counters(&self) -> Option<Counters>;
    /// What people want to know when a figure surprises.
    fn describe(&self) -> String;
}

impl Connection for TcpStream {
    fn twin(&self) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(self.try_clone()?))
    }

    fn finish_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn counters(&self) -> Option<Counters> {
        None
    }

    fn describe(&self) -> String {
        String::new()
    }
}

impl Connection for Stream {
    fn twin(&self) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(self.try_clone()?))
    }

    fn finish_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn counters(&self) -> Option<Counters> {
        let info = self.info();
        Some(Counters {
            sent: info.packets_sent,
            retransmitted: info.packets_retransmitted,
        })
    }

    fn describe(&self) -> String {
        format!("{:?}", self.info())
    }
}

impl Stack {
    /// Opens a connection. Each has a socket of its own.
    pub(crate) fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Connection>> {
        match self {
            Stack::Tcp { control } => {
                let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
                socket.set_tcp_congestion(control.as_bytes())?;
                socket.connect(&to.into())?;
                Ok(Box::new(TcpStream::from(socket)))
            }
            Stack::Aqueduct { control, tolerance } => {
                let control = congestion(control).map_err(io::Error::other)?;
                let config = Config::new()
                    .with_congestion(control)
                    .with_loss_tolerance(*tolerance);
                Ok(Box::new(Stream::connect_with(to, &config)?))
            }
        }
    }
}

/// Listens for both transports at one address: TCP and UDP ports do not meet.
pub(crate) struct Server {
    tcp: TcpListener,
    aqueduct: Listener,
}

impl Server {
    pub(crate) fn bind(at: SocketAddr) -> io::Result<Self> {
        Ok(Server {
            tcp: TcpListener::bind(at)?,
            aqueduct: Listener::bind(at)?,
        })
    }

    /// Calls `serve` on every connection, on a thread of its own; never returns.
    pub(crate) fn run(self, serve: fn(Box<dyn Connection>)) -> io::Result<()> {
        let tcp = self.tcp;
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                std::thread::spawn(move || serve(Box::new(stream)));
            }
        });
        loop {
            let (stream, _) = self.aqueduct.accept()?;
            std::thread::spawn(move || serve(Box::new(stream)));
        }
    }
}

/// The segments that this namespace's kernel sent and repeated (RFC 4022).
pub(crate) fn kernel_counters() -> io::Result<Counters> {
    let text = fs::read_to_string("/proc/net/snmp")?;
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return Ok(Counters::default());
    };
    let value = |wanted: &str| {
        names
            .split_whitespace()
            .zip(values.split_whitespace())
            .find(|(name, _)| *name == wanted)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0)
    };
    Ok(Counters {
        sent: value("OutSegs"),
        retransmitted: value("RetransSegs"),
    })
}
