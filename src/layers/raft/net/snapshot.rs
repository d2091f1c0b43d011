//! A whole snapshot as one streamed call: vote and meta, the data piece by piece, a checksum, and one answer.
//!
//! Its time is that of its progress: it may take hours, but never stands still for longer than `idle`.

use std::io::{self, SeekFrom};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use openraft::{NodeId, RaftTypeConfig, Snapshot, StorageError, StorageIOError, Vote};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt};
use tokio::time::timeout;

use super::peer::{broken, was_heard};
use super::verdict::Failure;
use crate::layers::msg::tokio::{BodyWriter, RpcClient};
use crate::layers::msg::{CallOptions, RpcError};
use crate::layers::raft::wire::{End, Head, SNAPSHOT};

/// Bytes of one piece: large enough to cost little, small enough that others get their turn.
const PIECE_BYTES: usize = 128 << 10;
/// Bytes of the answer: a vote, or a fault's text.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) head: Head,
    /// How long it may stand still.
    pub(super) idle: Duration,
    /// How long the receiver may take once he has all of it.
    pub(super) install: Duration,
}

/// Why a snapshot did not get there.
#[derive(Debug)]
pub(super) enum Stopped<N: NodeId> {
    /// It cannot be read here.
    Storage(Box<StorageError<N>>),
    /// The call failed, on this connection.
    Call(Failure, Option<u64>),
}

/// Sends a snapshot, and returns the answer.
pub(super) async fn send<C: RaftTypeConfig>(
    client: &RpcClient,
    sending: Sending,
    vote: Vote<C::NodeId>,
    snapshot: Snapshot<C>,
) -> Result<Bytes, Stopped<C::NodeId>>
where
    C::SnapshotData: AsyncRead + AsyncSeek + Unpin,
{
    let call = client.call_streaming(SNAPSHOT, &CallOptions::default());
    let (mut writer, reader) =
        call.map_err(|error| Stopped::Call(Failure::of(error, true), None))?;
    let signature = snapshot.meta.signature();
    let unreadable = |error: io::Error| {
        let error = StorageIOError::read_snapshot(Some(signature.clone()), &error);
        Stopped::Storage(Box::new(error.into()))
    };
    let head = begin(sending.head, &(&vote, &snapshot.meta))
        .map_err(|error| unreadable(io::Error::other(error)))?;
    let mut data = snapshot.snapshot;
    data.seek(SeekFrom::Start(0)).await.map_err(&unreadable)?;
    let mut end = End {
        crc32c: 0,
        bytes: 0,
    };
    let mut sent = put(&mut writer, head.into(), sending.idle).await;
    while sent.is_ok() {
        let mut piece = Vec::with_capacity(4 + PIECE_BYTES);
        piece.put_u32(0);
        let mut part = (&mut data).take(PIECE_BYTES as u64);
        let len = part.read_to_end(&mut piece).await.map_err(&unreadable)?;
        if len == 0 {
            break;
        }
        let len = u32::try_from(len).expect("a piece is short");
        (&mut piece[..4]).put_u32(len);
        end.add(&piece[4..]);
        sent = put(&mut writer, piece.into(), sending.idle).await;
    }
    if sent.is_ok() {
        let tail = Bytes::copy_from_slice(&end.encode());
        sent = put(&mut writer, tail, sending.idle).await;
    }
    let patience = match &sent {
        Ok(()) => {
            writer.finish();
            sending.install
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(Stopped::Call(broken(error), None));
        }
        // Who wants no more of it has said why.
        Err(_) => sending.idle,
    };
    match timeout(patience, reader.read_whole(ANSWER_BYTES_MAX)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Stopped::Call(Failure::of(error, true), None)),
        Err(_) => {
            let late = RpcError::Deadline {
                maybe_executed: true,
            };
            let heard = was_heard(client, patience);
            Err(Stopped::Call(Failure::of(late, heard), None))
        }
    }
}

/// Head, and the length of what describes the snapshot, and that.
fn begin(head: Head, meta: &impl serde::Serialize) -> Result<Vec<u8>, String> {
    let meta = postcard::to_stdvec(meta).map_err(|error| error.to_string())?;
    let mut bytes = head.encode().to_vec();
    bytes.put_u32(u32::try_from(meta.len()).map_err(|error| error.to_string())?);
    bytes.extend_from_slice(&meta);
    Ok(bytes)
}

/// Hands a piece over; the receiver takes it, or has taken the one before, within `idle`.
async fn put(writer: &mut BodyWriter, piece: Bytes, idle: Duration) -> io::Result<()> {
    timeout(idle, writer.send(piece))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
