//! Messages and calls over a stream: requests and answers with deadlines, cancelling, streaming, and errors that say whether a call
//! may have been executed.
//!
//! The machine is [`Session`], without I/O, one for each stream; docs/LAYERS.md has the frames. [`RpcClient`] and
//! [`RpcServer`] drive it with threads, [`Pool`] holds several connections, so that what is urgent does not wait behind what is long.
//!
//! | question | answer |
//! |---|---|
//! | may the call have been executed? | [`RpcError::maybe_executed`]: `false` is certain |
//! | may it be repeated? | if not executed, yes; else with an [`IdemKey`] and a [`DedupTable`] at the server, which gives each effect once |
//! | who is there? | [`Hello`]: cluster, node, incarnation, version; the wrong one is refused before anything runs |
//! | what if the server is slow? | its windows shut: a body that is not read holds up no other, and no small call |
//! | what if the caller goes away? | the handler hears it ([`CallCx::is_cancelled`]) |

mod backoff;
mod body;
mod calls;
mod client;
mod codec;
mod dedup;
mod error;
mod ext;
mod flow;
mod frame;
mod health;
mod hello;
mod inflow;
mod link;
mod pool;
mod roster;
mod server;
mod session;
#[cfg(feature = "tokio")]
pub mod tokio;
mod workers;

pub use backoff::Backoff;
pub use body::{BodyReader, BodyWriter};
pub use client::{CallOptions, ClientConfig, RpcClient};
pub use codec::{Codec, CodecError, Json, Postcard};
pub use dedup::{DedupLimits, DedupTable, Seen, Sequencer};
pub use error::{RpcError, Status, code};
pub use ext::{EXT_BYTES_MAX, Ext, IdemKey};
pub use flow::{BODY_WINDOW, CONNECTION_WINDOW};
pub use frame::{FRAME_BYTES_MAX, FRAME_BYTES_MIN, Frame, FrameError, HEAD_BYTES, Kind, Parser};
pub use health::Health;
pub use hello::{Hello, Mismatch, NAME_BYTES_MAX};
pub use pool::{Class, Pool};
pub use roster::{PoolConfig, PoolState};
pub use server::{CallCx, Reply, RpcServer, ServerConfig, Service};
pub use session::{CALLS_MAX, Event, INLINE_BYTES_MAX, Request, Role, Session};

#[cfg(test)]
mod tests;
