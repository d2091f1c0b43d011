//! SHA-256 of a file, whole or of its beginning.

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digest of the bytes given so far.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken; more may follow.
    pub(crate) fn digest(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }

    /// Takes the first `length` bytes of `reader`, which must have them.
    ///
    /// # Errors
    ///
    /// The reader's error, or `UnexpectedEof`.
    pub(crate) fn update_from(&mut self, reader: &mut impl Read, length: u64) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let taken = reader.read(&mut buffer[..wanted])?;
            if taken == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.update(&buffer[..taken]);
            left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hasher.digest().to_string(), expected);
    }

    #[test]
    fn a_prefix_hashes_like_its_bytes_and_a_short_file_is_an_error() {
        let bytes: Vec<u8> = (0..=255).cycle().take(600_000).collect();
        let (mut prefix, mut whole) = (Hasher::default(), Hasher::default());
        prefix.update_from(&mut &bytes[..], 500_000).unwrap();
        whole.update(&bytes[..500_000]);
        assert_eq!(prefix.digest(), whole.digest());
        let error = prefix.update_from(&mut &bytes[..], 600_001).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
