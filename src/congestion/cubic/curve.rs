//! The cubic function of time, W(t) = C (t - K)^3 + W_max, in integers (RFC 9438 s4.2).

use std::time::Duration;

use super::super::cube_root::cube_root;

/// C is 4/10 datagrams a second cubed (RFC 9438 s5).
const C_NUMERATOR: u128 = 4;
/// See [`C_NUMERATOR`].
const C_DENOMINATOR: u128 = 10;
/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;
/// Farther from K the curve is flat: 2^42 ns, more than an hour, in which it rises by 40 TB. Its cube fits
/// into 128 bits.
const DISTANCE_MAX: u128 = 1 << 42;

/// The window that CUBIC aims at, as a function of the time since congestion avoidance began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    /// Bytes at its flat middle.
    w_max: u64,
    /// When that is reached.
    k: u128,
    mtu: u128,
}

impl Curve {
    /// The curve that begins at `cwnd` and has its middle at `w_max`, or at `cwnd` if that is more
    /// (RFC 9438 s4.8, s4.10), in bytes.
    pub(super) fn new(cwnd: u64, w_max: u64, mtu: u16) -> Self {
        let mtu = u128::from(mtu.max(1));
        let rise = u128::from(w_max.saturating_sub(cwnd));
        // K^3 = rise / C, in datagrams and cubic seconds.
        let cube = rise.saturating_mul(SECOND.pow(3) / C_NUMERATOR * C_DENOMINATOR) / mtu;
        Curve {
            w_max: w_max.max(cwnd),
            k: cube_root(cube),
            mtu,
        }
    }

    /// The window `t` after the beginning, bytes.
    pub(super) fn at(&self, t: Duration) -> u64 {
        let t = t.as_nanos();
        let distance = t.abs_diff(self.k).min(DISTANCE_MAX);
        let cube = distance.pow(3) / SECOND;
        let change = cube * C_NUMERATOR * self.mtu / (C_DENOMINATOR * SECOND.pow(2));
        let change = u64::try_from(change).unwrap_or(u64::MAX);
        if t < self.k {
            self.w_max.saturating_sub(change)
        } else {
            self.w_max.saturating_add(change)
        }
    }
}
