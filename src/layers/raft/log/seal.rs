//! Values as they lie on the disk: `crc32c u32 | postcard(value)`, network byte order.
//!
//! The sum is taken where the value is written, not where its page is: it also finds what was damaged on the way there.

use std::fmt;

use bytes::{BufMut, Bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;

const SUM_BYTES: usize = 4;

/// What is wrong with a sealed value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// The sum does not fit the bytes.
    Sum,
    /// The sum fits, but the bytes are no such value: another version's, or a mistake.
    Form(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Sum => f.write_str("its checksum does not fit"),
            Damage::Form(what) => write!(f, "it cannot be decoded: {what}"),
        }
    }
}

pub(super) fn seal<T: Serialize>(value: &T) -> Result<Bytes, String> {
    let body = postcard::to_extend(value, vec![0; SUM_BYTES]).map_err(|error| error.to_string())?;
    let mut sealed = body;
    let sum = crc32c::crc32c(&sealed[SUM_BYTES..]);
    (&mut sealed[..SUM_BYTES]).put_u32(sum);
    Ok(sealed.into())
}

pub(super) fn unseal<T: DeserializeOwned>(sealed: &[u8]) -> Result<T, Damage> {
    let (sum, body) = sealed.split_first_chunk().ok_or(Damage::Sum)?;
    if u32::from_be_bytes(*sum) != crc32c::crc32c(body) {
        return Err(Damage::Sum);
    }
    let (value, rest) =
        postcard::take_from_bytes(body).map_err(|error| Damage::Form(error.to_string()))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(Damage::Form("bytes follow the value".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Damage, seal, unseal};

    #[test]
    fn every_single_bit_that_flips_is_found() {
        let sealed = seal(&(7_u64, "a value".to_owned())).expect("it has an encoding");
        assert_eq!(
            unseal::<(u64, String)>(&sealed),
            Ok((7, "a value".to_owned()))
        );
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                unseal::<(u64, String)>(&damaged),
                Err(Damage::Sum),
                "bit {bit}"
            );
        }
        for len in 0..sealed.len() {
            assert_eq!(
                unseal::<(u64, String)>(&sealed[..len]),
                Err(Damage::Sum),
                "{len} bytes"
            );
        }
    }

    #[test]
    fn another_types_bytes_are_no_value() {
        let sealed = seal(&u64::MAX).expect("it has an encoding");
        assert!(matches!(unseal::<bool>(&sealed), Err(Damage::Form(_))));
        assert!(
            matches!(unseal::<u8>(&sealed), Err(Damage::Form(_))),
            "more follows"
        );
    }
}
