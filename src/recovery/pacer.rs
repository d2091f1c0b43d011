//! When may the next bytes leave.
/// A token bucket.
#[derive(Debug)]
pub struct Pacer {}
