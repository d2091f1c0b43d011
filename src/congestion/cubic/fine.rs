//! Bytes with a fraction: what an acknowledgement adds to a window is often less than a byte, and all of it counts.

/// Bits of the fraction.
const FRACTION_BITS: u32 = 32;

/// A count of bytes in steps of 2^-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fine(u128);

impl Fine {
    /// Whole bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Fine(u128::from(bytes) << FRACTION_BITS)
    }

    /// The whole bytes in it.
    pub(super) fn bytes(self) -> u64 {
        u64::try_from(self.0 >> FRACTION_BITS).unwrap_or(u64::MAX)
    }

    /// The quotient of two numbers, at most `u64::MAX`.
    pub(super) fn quotient(numerator: u128, denominator: u64) -> Self {
        let denominator = u128::from(denominator.max(1));
        let whole = (numerator / denominator).min(u128::from(u64::MAX));
        let fraction = ((numerator % denominator) << FRACTION_BITS) / denominator;
        Fine((whole << FRACTION_BITS) + fraction)
    }

    /// The sum, at most what [`Fine::new`] makes of `u64::MAX`.
    pub(super) fn plus(self, other: Fine) -> Self {
        Fine(self.0.saturating_add(other.0).min(Fine::new(u64::MAX).0))
    }
}
