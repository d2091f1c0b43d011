//! Cookies: what a SYN said, signed, so that the listener need not remember it (RFC 4987 s3.6).
//!
//! ```text
//! at   0        1        2        3       11        15        23          27      31
//!      version  key id   present  clock   promised  peer cid  peer first  window  max datagram
//! at   33             37            41         43        47           55
//!      max ack delay  idle timeout  dgram max  features  incarnation  hash, 16 bytes
//! ```
//!
//! The hash also covers this side's connection id and the client's address. Its key is another one in
//! every epoch of [`COOKIE_KEY_PERIOD`]; the last two are good, the cookie itself for [`COOKIE_LIFE`].
//! This side's id and first number are a keyed hash of client and epoch: a repeated SYN gets them again.

use std::fmt;
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::random::{Key, Random, connection_id, first_number, key, keyed_hash};
use super::{since, whole_seconds};
use crate::limits::{COOKIE_BYTES_MAX, COOKIE_KEY_PERIOD, COOKIE_LIFE};
use crate::time::Time;
use crate::wire::{ConnectionId, Opening, Packet, PacketNumber, Window};

/// The layout above; another number whenever it changes.
const VERSION: u8 = 1;
const BODY_BYTES: usize = 55;
/// Bytes of a cookie.
pub(super) const COOKIE_BYTES: usize = BODY_BYTES + 16;
const _: () = assert!(COOKIE_BYTES <= COOKIE_BYTES_MAX);

/// What a SYN said that its connection needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    pub(super) cid: ConnectionId,
    pub(super) first: PacketNumber,
    pub(super) window: Window,
    pub(super) max_datagram: u16,
    pub(super) max_ack_delay: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) dgram_max: Option<u16>,
    pub(super) features: Option<u32>,
    pub(super) incarnation: Option<u64>,
}

impl Said {
    pub(super) fn new(packet: &Packet<'_>, opening: &Opening) -> Self {
        let options = &packet.options;
        Said {
            cid: opening.cid,
            first: PacketNumber::new(u64::from(packet.pn.get())),
            window: opening.window,
            max_datagram: opening.max_datagram,
            max_ack_delay: options.max_ack_delay,
            idle_timeout: options.idle_timeout,
            dgram_max: options.dgram_max,
            features: options.features,
            incarnation: options.incarnation,
        }
    }
}

/// What the SYNACK promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Minted {
    pub(super) cid: ConnectionId,
    pub(super) first: PacketNumber,
    pub(super) cookie: [u8; COOKIE_BYTES],
}

/// What a good cookie proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Proof {
    pub(super) said: Said,
    /// The window that the SYNACK promised.
    pub(super) promised: Window,
    /// The first packet number that it promised.
    pub(super) first: PacketNumber,
    /// Time since then.
    pub(super) age: Duration,
}

/// Why a cookie proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadCookie {
    /// Not made here, or for somebody else, or altered.
    Forged,
    /// Too old, or of a key that is gone.
    Expired,
}

/// Makes cookies and checks them; keeps nothing but its keys.
pub(super) struct Cookies {
    /// From which the key of each epoch comes.
    root: Key,
    /// For ids and first numbers.
    identity: Key,
}

impl Cookies {
    pub(super) fn new(random: &mut Random) -> Self {
        Cookies {
            root: random.key(),
            identity: random.key(),
        }
    }

    /// The answer to a SYN from `from` that said this, promising `window`.
    pub(super) fn mint(&self, now: Time, from: SocketAddr, said: &Said, window: Window) -> Minted {
        let epoch = epoch(now);
        let (cid, first) = self.identity(epoch, from, said.cid);
        let body = Body {
            minted: now,
            promised: window,
            said: *said,
        };
        let mut cookie = [0; COOKIE_BYTES];
        body.encode(key_id(epoch), &mut Writer(&mut cookie[..BODY_BYTES]));
        let hash = self.hash(epoch, &cookie[..BODY_BYTES], from, cid);
        cookie[BODY_BYTES..].copy_from_slice(&hash);
        Minted { cid, first, cookie }
    }

    /// What the cookie proves of a client at `from` that writes to our id `cid`.
    pub(super) fn verify(
        &self,
        now: Time,
        from: SocketAddr,
        cid: ConnectionId,
        cookie: &[u8],
    ) -> Result<Proof, BadCookie> {
        let cookie: &[u8; COOKIE_BYTES] = cookie.try_into().map_err(|_| BadCookie::Forged)?;
        if cookie[0] != VERSION {
            return Err(BadCookie::Forged);
        }
        let epoch = live_epochs(now)
            .find(|epoch| key_id(*epoch) == cookie[1])
            .ok_or(BadCookie::Expired)?;
        let good = self.hash(epoch, &cookie[..BODY_BYTES], from, cid);
        if !is_equal(&good, &cookie[BODY_BYTES..]) {
            return Err(BadCookie::Forged);
        }
        let body = Body::decode(&mut Reader(&cookie[2..BODY_BYTES])).ok_or(BadCookie::Forged)?;
        let age = since(now, body.minted);
        if age > COOKIE_LIFE {
            return Err(BadCookie::Expired);
        }
        let (_, first) = self.identity(epoch, from, body.said.cid);
        Ok(Proof {
            said: body.said,
            promised: body.promised,
            first,
            age,
        })
    }

    /// This side's id and first number for a client.
    fn identity(
        &self,
        epoch: u64,
        from: SocketAddr,
        peer: ConnectionId,
    ) -> (ConnectionId, PacketNumber) {
        let mut input = [0; 8 + ADDRESS_BYTES + 8];
        let mut writer = Writer(&mut input);
        writer.put(&epoch.to_be_bytes());
        writer.address(from);
        writer.put(&peer.get().to_be_bytes());
        let (cid, first) = keyed_hash(&self.identity, &input);
        (connection_id(cid), first_number(first))
    }

    /// The hash over body, address and id, under the epoch's key.
    fn hash(&self, epoch: u64, body: &[u8], from: SocketAddr, cid: ConnectionId) -> Key {
        let mut input = [0; BODY_BYTES + ADDRESS_BYTES + 8];
        let mut writer = Writer(&mut input);
        writer.put(body);
        writer.address(from);
        writer.put(&cid.get().to_be_bytes());
        let epoch_key = key(keyed_hash(&self.root, &epoch.to_be_bytes()));
        key(keyed_hash(&epoch_key, &input))
    }
}

impl fmt::Debug for Cookies {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookies")
    }
}

/// The period of time whose key signs what is minted now.
fn epoch(now: Time) -> u64 {
    const SECONDS: u64 = COOKIE_KEY_PERIOD.as_secs();
    whole_seconds(now) / SECONDS
}

/// The periods whose keys are good now.
fn live_epochs(now: Time) -> impl Iterator<Item = u64> {
    let current = epoch(now);
    [Some(current), current.checked_sub(1)]
        .into_iter()
        .flatten()
}

/// What a cookie says of its epoch; enough to tell the live ones apart.
fn key_id(epoch: u64) -> u8 {
    let [.., low] = epoch.to_be_bytes();
    low
}

/// Whether the two are equal, in a time that does not depend on where they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && black_box(difference) == 0
}

/// What a cookie says, its hash and key id aside.
struct Body {
    minted: Time,
    promised: Window,
    said: Said,
}

/// Bits of the byte that says which options the SYN had.
mod present {
    pub(super) const MAX_ACK_DELAY: u8 = 1;
    pub(super) const IDLE_TIMEOUT: u8 = 2;
    pub(super) const DGRAM_MAX: u8 = 4;
    pub(super) const FEATURES: u8 = 8;
    pub(super) const INCARNATION: u8 = 16;
}

impl Body {
    fn encode(&self, key_id: u8, writer: &mut Writer<'_>) {
        let said = &self.said;
        let bit = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        let present = bit(said.max_ack_delay.is_some(), present::MAX_ACK_DELAY)
            | bit(said.idle_timeout.is_some(), present::IDLE_TIMEOUT)
            | bit(said.dgram_max.is_some(), present::DGRAM_MAX)
            | bit(said.features.is_some(), present::FEATURES)
            | bit(said.incarnation.is_some(), present::INCARNATION);
        let max_ack_delay = said.max_ack_delay.unwrap_or_default().as_micros();
        let idle_timeout = said.idle_timeout.unwrap_or_default().as_millis();
        writer.put(&[VERSION, key_id, present]);
        writer.put(&self.minted.as_nanos().to_be_bytes());
        writer.put(&self.promised.get().to_be_bytes());
        writer.put(&said.cid.get().to_be_bytes());
        writer.put(&said.first.truncate().get().to_be_bytes());
        writer.put(&said.window.get().to_be_bytes());
        writer.put(&said.max_datagram.to_be_bytes());
        writer.put(&saturate(max_ack_delay).to_be_bytes());
        writer.put(&saturate(idle_timeout).to_be_bytes());
        writer.put(&said.dgram_max.unwrap_or_default().to_be_bytes());
        writer.put(&said.features.unwrap_or_default().to_be_bytes());
        writer.put(&said.incarnation.unwrap_or_default().to_be_bytes());
    }

    /// Reads what [`Body::encode`] wrote, version and key id aside.
    fn decode(reader: &mut Reader<'_>) -> Option<Body> {
        let [present] = reader.take()?;
        let has = |bit: u8| present & bit != 0;
        Some(Body {
            minted: Time::from_nanos(reader.u64()?),
            promised: Window::new(reader.u32()?),
            said: Said {
                cid: ConnectionId::new(reader.u64()?)?,
                first: PacketNumber::new(u64::from(reader.u32()?)),
                window: Window::new(reader.u32()?),
                max_datagram: reader.u16()?,
                max_ack_delay: Some(Duration::from_micros(u64::from(reader.u32()?)))
                    .filter(|_| has(present::MAX_ACK_DELAY)),
                idle_timeout: Some(Duration::from_millis(u64::from(reader.u32()?)))
                    .filter(|_| has(present::IDLE_TIMEOUT)),
                dgram_max: Some(reader.u16()?).filter(|_| has(present::DGRAM_MAX)),
                features: Some(reader.u32()?).filter(|_| has(present::FEATURES)),
                incarnation: Some(reader.u64()?).filter(|_| has(present::INCARNATION)),
            },
        })
    }
}

/// The number, or the largest that fits.
fn saturate(number: u128) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Bytes of an address in a hash: IPv6 or mapped IPv4, and the port.
const ADDRESS_BYTES: usize = 18;

/// Room that has not been written.
struct Writer<'b>(&'b mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let room = std::mem::take(&mut self.0);
        debug_assert!(bytes.len() <= room.len(), "the layout has room for all");
        if let Some((head, rest)) = room.split_at_mut_checked(bytes.len()) {
            head.copy_from_slice(bytes);
            self.0 = rest;
        }
    }

    fn address(&mut self, address: SocketAddr) {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        self.put(&ip.octets());
        self.put(&address.port().to_be_bytes());
    }
}

/// Bytes that have not been read.
struct Reader<'d>(&'d [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests;
