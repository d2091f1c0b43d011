//! Ping-pong: messages of 64 bytes, each when the one before is back.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Figures, figures, request, wrong};
use crate::pattern::Pattern;
use crate::stream::{Buffer, Peer, Stream, read_exact};
use crate::system::now;

pub(crate) const MESSAGE: usize = 64;
/// The part of the time that warms up and does not count: one in so many.
const WARM_UP: u32 = 10;

/// Median and 99th percentile, microseconds.
pub(crate) fn round_trips(mut times: Vec<Duration>) -> Figures {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times
            .get(index)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    figures([("p50 us", at(50)), ("p99 us", at(99))])
}

/// Plays for a time; what `exchange` does with a number is one round trip.
pub(crate) struct Game {
    begin: std::time::Instant,
    time: Duration,
    times: Vec<Duration>,
}

impl Game {
    pub(crate) fn new(time: Duration) -> Game {
        Game {
            begin: now(),
            time,
            times: Vec::new(),
        }
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.begin.elapsed() < self.time
    }

    /// A round trip that began then has ended now.
    pub(crate) fn count(&mut self, from: std::time::Instant) {
        let time = from.elapsed();
        if self.begin.elapsed() > self.time / WARM_UP {
            self.times.push(time);
        }
    }

    pub(crate) fn end(self) -> Figures {
        round_trips(self.times)
    }
}

/// Is the client.
pub(super) async fn play<P: Peer>(
    peer: Arc<P>,
    server: SocketAddr,
    time: Duration,
) -> io::Result<Figures> {
    let pattern = Pattern::new();
    let mut stream = peer.connect(server).await?;
    stream
        .write(Bytes::from_static(&[request::PING_PONG]))
        .await?;
    let mut buffer = Buffer::new(MESSAGE);
    let mut answer = [0; MESSAGE];
    let mut game = Game::new(time);
    for number in 0.. {
        if !game.goes_on() {
            break;
        }
        let message = pattern.bytes(number, 0, MESSAGE);
        let begin = now();
        stream.write(message.clone()).await?;
        read_exact(&mut stream, &mut buffer, &mut answer).await?;
        game.count(begin);
        if message != answer[..] {
            return Err(wrong("what came back is not what was sent"));
        }
    }
    Ok(game.end())
}

/// Is the server.
pub(super) async fn serve(mut stream: impl Stream, buffer: &mut Buffer) -> io::Result<()> {
    let mut message = [0; MESSAGE];
    loop {
        let part = stream.read(buffer, MESSAGE).await?;
        let length = part.len();
        if length == 0 {
            return Ok(());
        }
        message[..length].copy_from_slice(part);
        read_exact(&mut stream, buffer, &mut message[length..]).await?;
        stream.write(Bytes::copy_from_slice(&message)).await?;
    }
}
