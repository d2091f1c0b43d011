//! Scripts: a conversation with one endpoint as text, in the manner of packetdrill.
//!
//! A script plays the peer. Each line is a time and what happens then: a packet that the peer sends (`<`), a
//! packet that the endpoint must send (`>`), a call of the application, or a question. The endpoint under
//! test is the real one, driven as a runtime drives it; time is virtual, so a script of an hour takes
//! microseconds. Every packet that the endpoint sends must be expected (or be of a kind that the script
//! ignores): one more, one less, or one at another time fails the script.
//!
//! ```
//! let report = aqueduct::sim::script::run(
//!     "
//!     # A peer says five bytes and finishes.
//!     listen
//!     0.0   < S
//!           > SA cookie
//!     0.02  < D 0:5 F cookie
//!           > A ack 0 up 6
//!     read 5
//!     read = eof
//!     state CLOSE_WAIT
//!     ",
//! );
//! // What it says when the endpoint does otherwise:
//! let wrong = aqueduct::sim::script::run("listen\n0.0 < S\n> D 0:1\n").unwrap_err();
//! assert_eq!(wrong.line, 3);
//! # let _ = report;
//! ```
//!
//! # Lines
//!
//! `#` begins a comment. Otherwise a line is `[TIME] < PACKET`, `[TIME] > PACKET` or `[TIME] VERB …`.
//!
//! | time | meaning |
//! |---|---|
//! | `1.5` | seconds after the start |
//! | `+0.25` | seconds after the line before |
//! | none | at the time of the line before |
//! | `0.9..1.1`, `+0.9..1.1` | for `>`: between these |
//!
//! An expected packet may come 10 µs early or late.
//!
//! # Packets
//!
//! A packet is its kind and then words. In an injected packet a word that is missing has a sensible value;
//! in an expected one it is not compared, FIN aside. Packets are counted from 0 at the sender's first; a number
//! that the endpoint leaves out is not counted.
//!
//! | kind | packet | | kind | packet |
//! |---|---|---|---|---|
//! | `S` | SYN | | `P` | PROBE of liveness |
//! | `SA` | SYNACK | | `PM` | PROBE of path MTU |
//! | `D a:b` | DATA, bytes a to b | | `PC`, `PR` | PATH challenge, response |
//! | `A` | ACK | | `U` | UNKNOWN |
//! | `R` | RST | | `V` | VERSIONS |
//!
//! | word | meaning |
//! |---|---|
//! | `F` `I` `H` `X` | flags FIN, IMM, PSH, RETX; `-F` for none (expected packets) |
//! | `pn N` | packet number (injected: the next one unless said; `pn echo`: that of the SYN, for a RST that refuses) |
//! | `ack 0-3,5` | an ACK block for these numbers; `ack none`, `ack all` (injected: all seen), `ack every` (injected: up to the newest, also what was left out) |
//! | `up N` | all bytes below are received (kept from packet to packet) |
//! | `cr N` | credit: bytes below may be sent (kept; 65,536 at first) |
//! | `unread N` `delay S` `dropped` | the rest of an ACK block |
//! | `num N` | the number of an ACK |
//! | `cookie` | carries a cookie (injected: the one that the endpoint gave; `cookie flip`: with a wrong bit) |
//! | `win N` `maxdg N` `service N` `clock N` | of SYN and SYNACK; `clock wrong`: an echo of no SYN |
//! | `code N` `highest N` | of RST |
//! | `size N` | bytes of the datagram (injected: padded to it) |
//! | `tracked N` | the oldest packet that the sender still tracks |
//! | `nonce N` | of PATH (injected PR: the last challenge's unless said) |
//! | `from A`, `to A` | address of the peer: `a` unless said; `a2` another port, `b` another host |
//! | `conn N` | the connection: the script's first is 1, each has ids of its own |
//! | `cid wrong` | for a connection that does not exist |
//! | `content N` | payload of another stream than the right one |
//! | `flip N` | bit N of the datagram is wrong; `version N` instead of ours; `critical`, `unknown`: an unknown option; `reserved`: the bit that means nothing |
//!
//! Values of expected packets may be `*` (any), `A..B`, `<=N`, `>=N`. `< raw HEX` injects any bytes, `< zeros N` zeros.
//!
//! # Verbs
//!
//! | verb | meaning |
//! |---|---|
//! | `config NAME VALUE` | before the endpoint is used: `receive_window`, `send_buffer`, `user_timeout`, `connect_timeout`, `idle_timeout`, `keepalive IDLE INTERVAL COUNT`, `max_ack_delay`, `max_datagram`, `nodelay`, `abort_on_unread`, `time_wait`, `backlog` |
//! | `listen`, `unlisten`, `backlog full` | whether strangers may connect |
//! | `connect`, `rendezvous TOKEN` | opens a connection to address `a` |
//! | `write N`, `write N = M` | writes the next N bytes of content; M or `blocked`, `closed`, or an error's kind |
//! | `read N`, `read = M` | reads exactly N bytes and checks them; or `eof`, `blocked`, or an error's kind |
//! | `shutdown`, `shutdown_read`, `close`, `linger S`, `abort CODE` | as the application does |
//! | `keepalive IDLE INTERVAL COUNT`, `user_timeout S` | sets them |
//! | `icmp` | ICMP says that the port of the last packet is closed |
//! | `ignore PACKET` | from now on packets like this need not be expected; `heed` ends all that |
//! | `quiet` | nothing more was sent up to now |
//! | `state NAME` | the state in the words of RFC 9293 |
//! | `info NAME VALUE` | a number of `Info`: `cwnd`, `ssthresh`, `inflight`, `srtt`, `min_rtt`, `sent`, `acked`, `lost`, `written`, `received`, `retransmitted`, `duplicate`, `unread_at_peer`, `mtu` |
//! | `failed KIND`, `alive` | whether the connection failed, and with which `io::ErrorKind` |
//! | `closed`, `accepted N` | the connection is over; so many were accepted |

mod build;
mod device;
mod line;
mod notation;
mod numbers;
mod play;
mod read;
mod verbs;

use std::fmt;

/// Where a script and the endpoint differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The line of the script, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// What is wrong.
    pub what: String,
    /// The packets up to there, as the script would write them.
    pub log: Vec<String>,
}

/// Packets that a failure shows: the latest.
const LOG_SHOWN: usize = 12;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}: {}\n  {}", self.line, self.text, self.what)?;
        let shown = self.log.len().saturating_sub(LOG_SHOWN);
        self.log[shown..]
            .iter()
            .try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl std::error::Error for Failure {}

/// What a script did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Packets that the peer sent.
    pub injected: usize,
    /// Packets that the endpoint sent.
    pub emitted: usize,
}

/// Plays a script.
///
/// # Errors
/// The first line that is no line of a script, or that the endpoint does not agree with.
pub fn run(script: &str) -> Result<Report, Failure> {
    let mut player = play::Player::new();
    for (index, text) in script.lines().enumerate() {
        let fail = |what: String, player: &play::Player| Failure {
            line: index + 1,
            text: text.trim().to_owned(),
            what,
            log: player.log().to_vec(),
        };
        match line::parse(text) {
            Ok(None) => {}
            Ok(Some(line)) => player.play(&line).map_err(|what| fail(what, &player))?,
            Err(what) => return Err(fail(what, &player)),
        }
    }
    player.finish().map_err(|what| Failure {
        line: script.lines().count(),
        text: "the end".to_owned(),
        what,
        log: player.log().to_vec(),
    })
}
