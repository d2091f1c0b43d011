//! Round-trip estimation (RFC 6298, RFC 9002 s5).
/// The estimator.
#[derive(Debug)]
pub struct RttEstimator {}
