//! Values to bodies and back: postcard for programs, JSON for people.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{RpcError, Status, code};

/// A value that cannot be written, or bytes that are no such value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

impl CodecError {
    #[cfg(feature = "raft")]
    pub(in crate::layers) fn new(what: &str) -> Self {
        CodecError(what.to_owned())
    }
}

/// Writes values into bodies and reads them.
///
/// ```
/// use aqueduct::msg::{Codec, Json, Postcard};
///
/// let value = (7_u32, "seven".to_owned());
/// assert_eq!(&Json.encode(&value)?[..], br#"[7,"seven"]"#);
/// assert_eq!(Postcard.encode(&value)?.len(), 7);
/// assert_eq!(Postcard.decode::<(u32, String)>(&Postcard.encode(&value)?)?, value);
/// # Ok::<(), aqueduct::msg::CodecError>(())
/// ```
pub trait Codec {
    /// The value as a body.
    ///
    /// # Errors
    /// What the value's own `Serialize` says.
    fn encode<T: Serialize>(&self, value: &T) -> Result<Bytes, CodecError>;

    /// The value in a body.
    ///
    /// # Errors
    /// If the bytes are no such value, or more follow.
    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError>;
}

/// Small and fast; both sides must have the same types.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Postcard;

/// Larger, and readable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Json;

impl Codec for Postcard {
    fn encode<T: Serialize>(&self, value: &T) -> Result<Bytes, CodecError> {
        let bytes = postcard::to_stdvec(value).map_err(|error| CodecError(error.to_string()))?;
        Ok(bytes.into())
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError> {
        let (value, rest) =
            postcard::take_from_bytes(body).map_err(|error| CodecError(error.to_string()))?;
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(CodecError("bytes follow the value".into()))
        }
    }
}

impl Codec for Json {
    fn encode<T: Serialize>(&self, value: &T) -> Result<Bytes, CodecError> {
        let bytes = serde_json::to_vec(value).map_err(|error| CodecError(error.to_string()))?;
        Ok(bytes.into())
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(body).map_err(|error| CodecError(error.to_string()))
    }
}

/// Of a request: nothing was executed.
impl From<CodecError> for Status {
    fn from(error: CodecError) -> Self {
        Status::refused(code::MALFORMED, error.0)
    }
}

/// Of an answer that cannot be read: the call was executed.
impl From<CodecError> for RpcError {
    fn from(error: CodecError) -> Self {
        RpcError::Protocol(error.0)
    }
}
