//! A snapshot that comes in: written as it arrives, and installed only if all of it is there and whole.

use bytes::{Buf, Bytes};
use openraft::raft::SnapshotResponse;
use openraft::{RaftTypeConfig, Snapshot, SnapshotMeta, Vote};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncWrite, AsyncWriteExt};

use super::{RaftService, fatal};
use crate::layers::msg::tokio::BodyReader;
use crate::layers::msg::{Codec, Postcard};
use crate::layers::raft::wire::{
    END_BYTES, End, Fault, FaultKind, HEAD_BYTES, Head, META_BYTES_MAX,
};

/// Bytes that are held of a piece at once, whatever length it says it has.
const HELD_BYTES: usize = 64 << 10;

fn broken(what: impl ToString) -> Fault {
    Fault::new(FaultKind::SnapshotBroken, what)
}

impl<C> RaftService<C>
where
    C: RaftTypeConfig,
    C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin,
{
    /// Takes a snapshot. One that does not end well is dropped, and with it what was written of it.
    pub(super) async fn receive(
        &self,
        mut body: BodyReader,
    ) -> Result<SnapshotResponse<C::NodeId>, Fault> {
        let mut head = Bytes::from(exactly(&mut body, HEAD_BYTES).await?);
        let head = Head::split(&mut head).ok_or_else(|| broken("no head"))?;
        let raft = self.raft(head)?;
        let len = body.read_u32().await.map_err(broken)?;
        let len = usize::try_from(len).map_err(broken)?;
        if len > META_BYTES_MAX {
            return Err(Fault::new(
                FaultKind::Malformed,
                "a meta of more than 1 MiB",
            ));
        }
        let meta = exactly(&mut body, len).await?;
        let (vote, meta) = Postcard
            .decode::<(Vote<C::NodeId>, SnapshotMeta<_, _>)>(&meta)
            .map_err(|error| Fault::new(FaultKind::Malformed, error))?;
        let ours = raft.with_raft_state(|state| state.vote_ref().clone());
        let ours = ours
            .await
            .map_err(|error| Fault::new(FaultKind::Fatal, error))?;
        if ours > vote {
            // A leader of the past: its snapshot is not wanted, and it learns so before it has sent all of it.
            return Ok(SnapshotResponse::new(ours));
        }
        let begun = raft.begin_receiving_snapshot().await;
        let mut snapshot = begun.map_err(fatal)?;
        copy(&mut body, &mut *snapshot).await?;
        snapshot.shutdown().await.map_err(broken)?;
        let installed = raft.install_full_snapshot(vote, Snapshot { meta, snapshot });
        installed
            .await
            .map_err(|error| Fault::new(FaultKind::Fatal, error))
    }
}

async fn exactly(body: &mut BodyReader, len: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; len];
    body.read_exact(&mut bytes).await.map_err(broken)?;
    Ok(bytes)
}

/// Writes the data as it comes, up to the end that says what it should have been.
async fn copy(body: &mut BodyReader, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), Fault> {
    let mut count = End {
        crc32c: 0,
        bytes: 0,
    };
    let mut held = vec![0; HELD_BYTES];
    loop {
        let len = body.read_u32().await.map_err(broken)?;
        if len == 0 {
            break;
        }
        let mut left = usize::try_from(len).map_err(broken)?;
        while left > 0 {
            let part = &mut held[..left.min(HELD_BYTES)];
            let len = body.read(part).await.map_err(broken)?;
            if len == 0 {
                return Err(broken("it ends in the midst of a piece"));
            }
            count.add(&part[..len]);
            to.write_all(&part[..len]).await.map_err(broken)?;
            left -= len;
        }
    }
    let end = exactly(body, END_BYTES - 4).await?;
    let mut end = &end[..];
    let said = End {
        crc32c: end.get_u32(),
        bytes: end.get_u64(),
    };
    if said != count {
        return Err(broken(format!("said was {said:?}, there is {count:?}")));
    }
    match body.next_piece().await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(broken("more follows its end")),
        Err(error) => Err(broken(error)),
    }
}
