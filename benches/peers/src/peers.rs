//! Everything that is compared: one line each.

mod aqueduct;
mod bare_udp;
mod kcp;
mod kernel;
mod quic;
mod s2n;

use std::io;
use std::path::Path;

use ::aqueduct::Config;

use crate::scenarios::{Scenario, Streams, Works};
use bare_udp::BareUdp;

pub(crate) use quic::make_certificate;

/// One of the compared.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) scenarios: &'static [Scenario],
    make: Make,
}

/// Makes one of the compared, with the certificate in a directory.
type Make = fn(&Path) -> io::Result<Box<dyn Works>>;

impl Variant {
    /// Makes it ready to serve or to be a client.
    ///
    /// # Errors
    ///
    /// The system's, or that of TLS.
    pub(crate) fn make(&self, certificate: &Path) -> io::Result<Box<dyn Works>> {
        (self.make)(certificate)
    }

    /// Why it cannot be measured here, if it cannot.
    pub(crate) fn hindrance(&self) -> Option<String> {
        let algorithm = self.name.strip_prefix("kernel TCP, ")?;
        let known = kernel::algorithms();
        let is_known = known.split_whitespace().any(|one| one == algorithm);
        (!is_known).then(|| format!("this kernel has no {algorithm}, only {}", known.trim()))
    }
}

const ALL: &[Scenario] = &[
    Scenario::Bulk,
    Scenario::Veth,
    Scenario::PingPong,
    Scenario::Connects,
    Scenario::Connects64,
    Scenario::Idle,
    Scenario::Many,
];
const BULK: &[Scenario] = &[Scenario::Bulk, Scenario::Veth];
const SINGLE: &[Scenario] = &[Scenario::Bulk, Scenario::Veth, Scenario::PingPong];
const SHORT: &[Scenario] = &[Scenario::PingPong, Scenario::Connects];
const SHARED: &[Scenario] = &[
    Scenario::PingPong,
    Scenario::Connects,
    Scenario::Connects64,
    Scenario::Idle,
    Scenario::Many,
];

/// What is compared. The first of a scenario is what the others are compared with.
#[rustfmt::skip]
pub(crate) const VARIANTS: &[Variant] = &[
    variant("kernel TCP, cubic", ALL, |_| streams(kernel::Kernel::new("cubic"))),
    variant("kernel TCP, bbr", SINGLE, |_| streams(kernel::Kernel::new("bbr"))),
    variant("bare UDP", SINGLE, |_| boxed(BareUdp::default())),
    variant("bare UDP, CRC", BULK, |_| boxed(BareUdp { crc: true, ..BareUdp::default() })),
    variant("bare UDP, CRC, copy", BULK, |_| boxed(BareUdp { crc: true, copy: true, spin: false })),
    variant("bare UDP, spinning", SINGLE, |_| boxed(BareUdp { spin: true, ..BareUdp::default() })),
    variant("aqueduct", ALL, |_| streams(aqueduct::copying(Config::new()))),
    variant("aqueduct, Bytes", BULK, |_| streams(aqueduct::sharing(Config::new()))),
    variant("aqueduct, one socket", SHARED, |_| streams(aqueduct::on_one_socket(Config::new())?)),
    variant("quinn", ALL, |at| streams(quic::Quic::with_threads(at)?)),
    variant("quinn, one thread", SHORT, |at| streams(quic::Quic::on_one_thread(at)?)),
    variant("s2n-quic", ALL, |at| streams(s2n::S2n::new(at)?)),
    // It has no handshake and no end of a connection: nothing to count, and nothing that rests.
    variant("KCP", SINGLE, |_| streams(kcp::Kcp::new()?)),
];

const fn variant(name: &'static str, scenarios: &'static [Scenario], make: Make) -> Variant {
    Variant {
        name,
        scenarios,
        make,
    }
}

fn streams(peer: impl crate::stream::Peer) -> io::Result<Box<dyn Works>> {
    boxed(Streams::new(peer))
}

/// With the outcome that the lines of the table have, of which some can fail.
fn boxed(works: impl Works + 'static) -> io::Result<Box<dyn Works>> {
    Ok(Box::new(works))
}

/// The variant of this name.
///
/// # Errors
///
/// That there is none.
pub(crate) fn find(name: &str) -> io::Result<&'static Variant> {
    let found = VARIANTS.iter().find(|variant| variant.name == name);
    found.ok_or_else(|| io::Error::other(format!("there is no {name}")))
}
