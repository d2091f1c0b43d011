//! The thread that takes the turns of one shard, unless a thread of the application does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::mailbox::Mailbox;
use super::platform::{Builder, Poll, Waker};
use super::shard::{Shard, WAKER};
use super::turn::{Flow, Patience, Turns};
use crate::endpoint::Endpoint;

/// A shard with everything but somebody who serves it.
pub(crate) fn prepare(endpoint: Endpoint) -> io::Result<Arc<Shard>> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKER)?;
    let registry = poll.registry().try_clone()?;
    let shard = Arc::new(Shard::new(endpoint, registry, Mailbox::new(waker)));
    shard.baton.begin(Turns::new(shard.clone(), poll));
    Ok(shard)
}

/// Has a thread serve the shard from here on, `aqueduct-0`, `aqueduct-1` and so on, if none does.
pub(crate) fn serve(shard: &Arc<Shard>) -> io::Result<()> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    if !shard.baton.begin_background() {
        return Ok(());
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let served = shard.clone();
    Builder::new()
        .name(format!("aqueduct-{number}"))
        .spawn(move || run(served))?;
    Ok(())
}

fn run(shard: Arc<Shard>) {
    // Its drop tells every stream, also when a panic unwinds past it.
    let _ending = Ending(shard.clone());
    while let Some(mut turns) = shard.baton.take_for_background() {
        while !shard.baton.is_asked() {
            match turns.turn(&mut Patience::default()) {
                Ok(Flow::Continue) => {}
                Ok(Flow::Stop) => return,
                Err(error) => {
                    tracing::warn!(%error, "the thread that serves a socket ends");
                    return;
                }
            }
        }
        shard.baton.give_back(turns);
    }
}

/// Ends the shard when the thread does, for whatever reason.
struct Ending(Arc<Shard>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}
