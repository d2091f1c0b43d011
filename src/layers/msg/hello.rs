//! [`Hello`]: who is there, and whom he wants; the first frame in each direction.

use bytes::{Buf, BufMut, Bytes};

use super::frame::{FRAME_BYTES_MAX, FRAME_BYTES_MIN};

const MAGIC: u32 = 0x4151_4d31;
const VERSION: u16 = 1;
/// Bytes of a node's name and of a service's.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of a HELLO: what it has now, and room for later versions. Nobody who is not known yet gets more.
pub(super) const HELLO_BYTES_MAX: u32 = 4 << 10;

/// What a side says of itself.
///
/// ```
/// use aqueduct::msg::Hello;
///
/// let me = Hello { cluster: 7, node: "n1".into(), wire: 3, ..Hello::default() };
/// let wanted = Hello { node: "n2".into(), expect_node: "n3".into(), ..me.clone() };
/// assert!(me.accepts(&wanted).is_err(), "n2 calls n3, and this is n1");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Features that its sender has; both must have one for it to be in force. None is defined yet.
    pub features: u32,
    /// The cluster. Two that differ do not talk.
    pub cluster: u128,
    /// The sender's name, at most 64 bytes; empty: it has none.
    pub node: Bytes,
    /// Whom it wants to talk to; empty: anybody.
    pub expect_node: Bytes,
    /// Random at each start of the process.
    pub incarnation: u64,
    /// The longest payload of a frame that it takes, 64 KiB to 16 MiB.
    pub max_frame: u32,
    /// What it offers or wants, for people; at most 64 bytes.
    pub service: String,
    /// The version of the application's own messages. Two that differ do not talk.
    pub wire: u16,
}

impl Default for Hello {
    fn default() -> Self {
        Hello {
            features: 0,
            cluster: 0,
            node: Bytes::new(),
            expect_node: Bytes::new(),
            incarnation: 0,
            max_frame: 1 << 20,
            service: String::new(),
            wire: 0,
        }
    }
}

/// Why two sides do not talk to each other.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Its bytes are no HELLO of this protocol.
    #[error("does not speak this protocol, or another version of it")]
    Protocol,
    /// Another cluster.
    #[error("belongs to cluster {got:x}, wanted is {want:x}")]
    Cluster {
        /// Its cluster.
        got: u128,
        /// Ours.
        want: u128,
    },
    /// Another node than the one wanted.
    #[error("is node {got:?}, wanted is {want:?}")]
    Node {
        /// Who is there.
        got: Bytes,
        /// Who was wanted.
        want: Bytes,
    },
    /// Another version of the application's messages.
    #[error("speaks version {got} of the application's messages, wanted is {want}")]
    Wire {
        /// Its version.
        got: u16,
        /// Ours.
        want: u16,
    },
}

impl Hello {
    /// Whether the values are within their bounds: names of at most 64 bytes, frames of 64 KiB to 16 MiB.
    pub fn is_valid(&self) -> bool {
        let names = [self.node.len(), self.expect_node.len(), self.service.len()];
        names.into_iter().all(|len| len <= NAME_BYTES_MAX)
            && (FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&self.max_frame)
    }

    /// Whether this side talks to one that says `theirs`.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn accepts(&self, theirs: &Hello) -> Result<(), Mismatch> {
        if theirs.cluster != self.cluster {
            let (got, want) = (theirs.cluster, self.cluster);
            return Err(Mismatch::Cluster { got, want });
        }
        let wants = |who: &Hello, other: &Hello| {
            let is_wanted = who.expect_node.is_empty() || who.expect_node == other.node;
            if is_wanted {
                Ok(())
            } else {
                Err((other.node.clone(), who.expect_node.clone()))
            }
        };
        wants(self, theirs)
            .and_then(|()| wants(theirs, self))
            .map_err(|(got, want)| Mismatch::Node { got, want })?;
        if theirs.wire != self.wire {
            let (got, want) = (theirs.wire, self.wire);
            return Err(Mismatch::Wire { got, want });
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(256);
        bytes.put_u32(MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u32(self.features);
        bytes.put_u128(self.cluster);
        bytes.put_u64(self.incarnation);
        bytes.put_u32(self.max_frame);
        bytes.put_u16(self.wire);
        for name in [&self.node[..], &self.expect_node, self.service.as_bytes()] {
            let name = &name[..name.len().min(NAME_BYTES_MAX)];
            bytes.put_u8(u8::try_from(name.len()).expect("at most 64"));
            bytes.put_slice(name);
        }
        bytes.into()
    }

    /// Bytes behind the names are ignored, for later versions.
    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u32().ok()? != MAGIC || bytes.try_get_u16().ok()? != VERSION {
            return None;
        }
        let mut hello = Hello {
            features: bytes.try_get_u32().ok()?,
            cluster: bytes.try_get_u128().ok()?,
            incarnation: bytes.try_get_u64().ok()?,
            max_frame: bytes.try_get_u32().ok()?,
            wire: bytes.try_get_u16().ok()?,
            ..Hello::default()
        };
        let mut name = || {
            let len = usize::from(bytes.try_get_u8().ok()?);
            (len <= NAME_BYTES_MAX && len <= bytes.len())
                .then(|| Bytes::copy_from_slice(&bytes.split_to(len)))
        };
        hello.node = name()?;
        hello.expect_node = name()?;
        hello.service = String::from_utf8(name()?.to_vec()).ok()?;
        hello.is_valid().then_some(hello)
    }
}
