//! [`Lease`] and [`LockGuard`]: what ends if its holder does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{ClientShared, KvClient, KvError, unexpected};
use crate::layers::kv::answer::Answer;
use crate::layers::kv::command::{Cmd, Request};
use crate::layers::kv::lease::LeaseView;
use crate::layers::kv::protocol::{Consistency, RENEW, Renew, WRITE};
use crate::layers::kv::recipe::{Acquired, Mutex as Recipe};
use crate::runtime::boot;

/// A lease that is renewed as long as this value lives. Dropped, it runs out.
///
/// **It can be lost at any time**: ask [`Lease::is_held`] before acting on it, and let what is protected check the token.
#[derive(Debug)]
pub struct Lease {
    id: u64,
    client: KvClient,
    view: Arc<Mutex<LeaseView>>,
    is_lost: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl KvClient {
    /// A lease of this time to live.
    ///
    /// # Errors
    /// [`KvError`].
    pub async fn lease(&self, ttl: Duration) -> Result<Lease, KvError> {
        let sent_at = boot();
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let id = match self.execute(Cmd::LeaseGrant { ttl_ms }).await? {
            Answer::Granted { id } => id,
            other => return Err(unexpected(other)),
        };
        let view = Arc::new(Mutex::new(LeaseView::new(ttl, sent_at)));
        let (lost, is_lost) = watch::channel(false);
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(keep(shared, id, Arc::clone(&view), lost));
        Ok(Lease {
            id,
            client: self.clone(),
            view,
            is_lost,
            task,
        })
    }

    /// Acquires the lock of this name, whoever has it before; waits as long as it takes.
    ///
    /// # Errors
    /// [`KvError`]; [`KvError::NotHeld`] if the lease is lost while waiting.
    ///
    /// # Cancel safety
    /// If the future is dropped, the lock is not acquired, or let go when its lease runs out.
    pub async fn lock(&self, name: &str, ttl: Duration) -> Result<LockGuard, KvError> {
        let lease = self.lease(ttl).await?;
        let owner = format!("{:032x}", self.shared.client);
        let recipe = Recipe::lock(name, owner, lease.id);
        self.acquire(recipe, lease).await
    }

    /// Becomes the leader of this group, as `me`, when whoever leads does not any more.
    ///
    /// # Errors
    /// As [`KvClient::lock`].
    pub async fn campaign(
        &self,
        name: &str,
        me: impl Into<Bytes>,
        ttl: Duration,
    ) -> Result<LockGuard, KvError> {
        let lease = self.lease(ttl).await?;
        let recipe = Recipe::leadership(name, me, lease.id);
        self.acquire(recipe, lease).await
    }

    async fn acquire(&self, recipe: Recipe, lease: Lease) -> Result<LockGuard, KvError> {
        loop {
            if !lease.is_held() {
                return Err(KvError::NotHeld);
            }
            let answer = self.execute(recipe.acquire()).await?;
            match recipe.on_answer(&answer) {
                Some(Acquired::Held { token }) => {
                    return Ok(LockGuard {
                        recipe,
                        lease,
                        token,
                    });
                }
                Some(Acquired::By(holder)) => self.gone(&recipe, holder.mod_rev).await?,
                None => return Err(unexpected(answer)),
            }
        }
    }

    /// Waits until the holder of that revision may be gone; the caller looks again.
    async fn gone(&self, recipe: &Recipe, since: u64) -> Result<(), KvError> {
        match self.watch(recipe.key().clone(), since).await {
            Ok(_) | Err(KvError::Unavailable { .. } | KvError::Unknown) => Ok(()),
            // Forgotten: look at what is there now, without haste.
            Err(KvError::Compacted) => {
                self.get(recipe.key().clone(), Consistency::Linearizable)
                    .await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Lease {
    /// Its number: to bind records to it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether it is held, by this process's own clock.
    pub fn is_held(&self) -> bool {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.is_held(boot())
    }

    /// Waits until it is lost.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn lost(&self) {
        let mut is_lost = self.is_lost.clone();
        // The sender ends when the lease is lost, or with this value.
        let _ = is_lost.wait_for(|is_lost| *is_lost).await;
    }

    /// Ends it now, with all that is bound to it.
    ///
    /// # Errors
    /// [`KvError`]; it runs out by itself then.
    pub async fn revoke(self) -> Result<(), KvError> {
        self.task.abort();
        let revoke = Request::without_session(Cmd::LeaseRevoke {
            id: self.id,
            term: None,
        });
        let _: Answer = self.client.shared.ask(WRITE, &revoke, true).await?;
        Ok(())
    }
}

/// Renews a lease until it is lost.
async fn keep(
    shared: Arc<ClientShared>,
    id: u64,
    view: Arc<Mutex<LeaseView>>,
    lost: watch::Sender<bool>,
) {
    let look = || *view.lock().unwrap_or_else(PoisonError::into_inner);
    while look().is_held(boot()) {
        tokio::time::sleep(look().renew_at() - boot()).await;
        let sent_at = boot();
        let renew = Renew::Lease(id);
        let renewal = shared.ask::<_, bool>(RENEW, &renew, true);
        let left = look().lost_at() - sent_at;
        let renewed = tokio::time::timeout(left, renewal).await;
        let mut view = view.lock().unwrap_or_else(PoisonError::into_inner);
        match renewed {
            Ok(Ok(true)) => view.on_renewed(boot(), sent_at),
            Ok(Ok(false)) => view.on_lost(),
            Ok(Err(_)) | Err(_) => {}
        }
    }
    lost.send_replace(true);
}

/// A lock, or a leadership, that is held as long as its lease is.
#[derive(Debug)]
pub struct LockGuard {
    recipe: Recipe,
    lease: Lease,
    token: u64,
}

impl LockGuard {
    /// The fencing token: later holders have greater ones.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The lease that it hangs on.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Whether it is held, by this process's own clock. What it protects must check the token all the same.
    pub fn is_held(&self) -> bool {
        self.lease.is_held()
    }

    /// The lock as commands: for transactions that are done only while it is held.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Lets it go.
    ///
    /// # Errors
    /// [`KvError`]; it goes with its lease then.
    pub async fn release(self) -> Result<(), KvError> {
        let release = self.recipe.release(self.token);
        self.lease.client.execute(release).await?;
        self.lease.revoke().await
    }
}
