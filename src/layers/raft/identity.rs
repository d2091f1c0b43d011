//! [`PeerIdentity`]: which node of which cluster.

use bytes::Bytes;
use serde::Serialize;

use crate::layers::msg::{Codec, CodecError, NAME_BYTES_MAX, Postcard};

/// A node of a cluster, as files and connections name it.
///
/// ```
/// use aqueduct::raft::PeerIdentity;
///
/// let me = PeerIdentity::of(0xA9_u128, &7_u64)?;
/// assert_eq!(me, PeerIdentity { cluster: 0xA9, node: vec![7].into() });
/// # Ok::<(), aqueduct::msg::CodecError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PeerIdentity {
    /// The cluster. Chosen once, at random: two clusters never share it.
    pub cluster: u128,
    /// The node's id by postcard, at most 64 bytes.
    pub node: Bytes,
}

impl PeerIdentity {
    /// The identity of the node with this id.
    ///
    /// # Errors
    /// [`CodecError`] if the id has no encoding, or one of more than 64 bytes.
    pub fn of<N: Serialize>(cluster: u128, node: &N) -> Result<Self, CodecError> {
        let node = Postcard.encode(node)?;
        if node.len() > NAME_BYTES_MAX {
            return Err(CodecError::new("a node id of more than 64 bytes"));
        }
        Ok(PeerIdentity { cluster, node })
    }
}
