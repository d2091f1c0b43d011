//! [`Health`]: how a connection does.

use crate::detect::Evidence;

/// How a connection does, as far as this side knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// Calls can be made.
    pub is_open: bool,
    /// The other side takes no further calls; why.
    pub leaves: Option<String>,
    /// Calls of this side that wait for their answers.
    pub calls: usize,
    /// What the transport knows of the other side, for a detector; `None` once the connection has ended, and where the stream is not
    /// one of this crate.
    pub evidence: Option<Evidence>,
}
