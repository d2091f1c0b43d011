//! Memory that datagrams were received into, for whoever keeps parts of it instead of copies.

use std::ops::Range;

use crate::limits::SLAB_BYTES;

/// What one receive call may fill: [`SLAB_BYTES`] bytes, shared by all that keep a part of them.
///
/// ```
/// use aqueduct::wire::Slab;
///
/// let mut slab = Slab::new();
/// slab.space()[..5].copy_from_slice(b"hello");
/// let part = &slab.as_ref()[1..4];
/// assert_eq!(slab.find(part), Some(1..4));
/// assert_eq!(slab.find(b"ell"), None, "the same bytes, but elsewhere");
/// ```
#[derive(Debug)]
pub struct Slab(Box<[u8]>);

impl Default for Slab {
    fn default() -> Self {
        Self::new()
    }
}

impl Slab {
    /// A slab of zeros.
    pub fn new() -> Self {
        Slab(vec![0; SLAB_BYTES].into())
    }

    /// All of it, to be filled: by who has the slab for himself.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Where in the slab these bytes are, if they are there and not elsewhere.
    pub fn find(&self, part: &[u8]) -> Option<Range<usize>> {
        let start = part.as_ptr().addr().checked_sub(self.0.as_ptr().addr())?;
        let range = start..start.checked_add(part.len())?;
        let found = self.0.get(range.clone())?;
        std::ptr::eq(found, part).then_some(range)
    }
}

impl AsRef<[u8]> for Slab {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
