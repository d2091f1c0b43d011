//! [`Nodes`]: whom to ask next.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ClientConfig, KvError, is_certain};
use crate::layers::kv::protocol::{ANSWER_BYTES_MAX, Outcome, WATCH};
use crate::layers::msg::tokio::RpcClient;
use crate::layers::msg::{self, CallOptions, Codec, Hello, Postcard, RpcError};

/// The pause after a try that came to nothing, doubled each time up to the second.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(160);

/// The nodes of a cluster as a client knows them.
#[derive(Debug)]
pub(super) struct Nodes {
    config: ClientConfig,
    wire: u16,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<String>,
    /// Whom to ask now.
    current: usize,
    /// Who did not answer just now: others may still take it for the leader.
    suspect: Option<String>,
    open: BTreeMap<String, RpcClient>,
}

/// What a call has come to so far.
struct Tries {
    count: u32,
    /// One of them may have been executed.
    is_unknown: bool,
    why: String,
}

impl Nodes {
    pub(super) fn new(addresses: Vec<String>, config: ClientConfig, wire: u16) -> Self {
        let known = Mutex::new(Known {
            addresses,
            current: 0,
            suspect: None,
            open: BTreeMap::new(),
        });
        Nodes {
            config,
            wire,
            known,
        }
    }

    /// How long a call goes on.
    pub(super) fn patience(&self) -> Duration {
        self.config.timeout
    }

    /// Asks one node after the other until one answers, those who do not lead for where the leader is.
    pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: u16,
        question: &Q,
        is_write: bool,
    ) -> Result<A, KvError> {
        let body = Postcard.encode(question).map_err(|_| KvError::Nonsense)?;
        let mut tries = Tries {
            count: 0,
            is_unknown: false,
            why: "nobody was asked".into(),
        };
        let answer = tokio::time::timeout(self.config.timeout, async {
            let mut pause = PAUSE_MIN;
            loop {
                tries.count += 1;
                // Until it is answered: if time runs out meanwhile, nobody knows.
                let before = std::mem::replace(&mut tries.is_unknown, is_write);
                match self.ask_current(method, body.clone(), &mut tries).await {
                    Ok(answer) => return answer,
                    Err(is_certain) => tries.is_unknown = before || (is_write && !is_certain),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        });
        match answer.await {
            Ok(answer) => answer,
            Err(_) if tries.is_unknown => Err(KvError::Unknown),
            Err(_) => Err(KvError::Unavailable {
                tried: tries.count,
                why: tries.why,
            }),
        }
    }

    /// Asks a node for what only it knows.
    pub(super) async fn ask_one<A: DeserializeOwned>(
        &self,
        address: &str,
        method: u16,
    ) -> Result<A, KvError> {
        let wait = self.config.attempt;
        let answer = self.call(address, method, Bytes::new(), wait).await;
        let unavailable = |why: String| KvError::Unavailable { tried: 1, why };
        match answer.map_err(|error| unavailable(error.to_string()))? {
            Outcome::Done(answer) => Ok(answer),
            Outcome::NotLeader(_) => Err(unavailable("it does not lead".into())),
            Outcome::NoQuorum => Err(unavailable("no majority".into())),
            Outcome::Failed(why) => Err(unavailable(why)),
        }
    }

    /// One try: an answer, or whether it is certain that nothing was done.
    async fn ask_current<A: DeserializeOwned>(
        &self,
        method: u16,
        body: Bytes,
        tries: &mut Tries,
    ) -> Result<Result<A, KvError>, bool> {
        let address = self.known().current().ok_or(true)?;
        let wait = self.attempt(method, tries.count);
        let outcome = self.call(&address, method, body, wait).await;
        let (why, next, is_certain) = match outcome {
            Ok(Outcome::Done(answer)) => return Ok(Ok(answer)),
            Ok(Outcome::NotLeader(leader)) => ("it does not lead".into(), leader, true),
            Ok(Outcome::NoQuorum) => ("it reaches no majority".into(), None, true),
            Ok(Outcome::Failed(why)) => (why, None, false),
            Err(error) => {
                let certain = is_certain(&error);
                let mut known = self.known();
                known.open.remove(&address);
                known.suspect = Some(address.clone());
                drop(known);
                (error.to_string(), None, certain)
            }
        };
        tracing::debug!(address, why, "asking another node");
        tries.why = why;
        self.known().turn_from(&address, next);
        Err(is_certain)
    }

    /// How long a try may take: the first ones are short, since a node that has just died says nothing.
    fn attempt(&self, method: u16, tries: u32) -> Duration {
        let longest = self.config.attempt;
        match method {
            WATCH => self.config.timeout,
            _ => (longest / 4 * tries.max(1)).min(longest),
        }
    }

    async fn call<A: DeserializeOwned>(
        &self,
        address: &str,
        method: u16,
        body: Bytes,
        wait: Duration,
    ) -> Result<Outcome<A>, RpcError> {
        let connecting = self.connection(address);
        let client = match tokio::time::timeout(wait, connecting).await {
            Ok(client) => client?,
            Err(_) => return Err(RpcError::NotSent("no connection in time".into())),
        };
        let options = CallOptions {
            timeout: Some(wait),
            ..CallOptions::default()
        };
        let answer = client.call_with(method, body, &options).await?;
        let decoded = Postcard.decode(&answer);
        decoded.map_err(|error| RpcError::Protocol(error.to_string()))
    }

    async fn connection(&self, address: &str) -> Result<RpcClient, RpcError> {
        let open = self.known().open.get(address).cloned();
        if let Some(open) = open.filter(RpcClient::is_open) {
            return Ok(open);
        }
        let hello = Hello {
            cluster: self.config.cluster,
            wire: self.wire,
            service: "kv client".into(),
            ..Hello::default()
        };
        let config = msg::ClientConfig {
            answer_max: ANSWER_BYTES_MAX,
            ..msg::ClientConfig::default()
        };
        let client = RpcClient::connect(address, hello, config).await?;
        let mut known = self.known();
        known.open.insert(address.to_owned(), client.clone());
        Ok(client)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Nodes that a client remembers: those it was told of at first, and leaders that others named.
    const ADDRESSES_MAX: usize = 64;

    fn current(&self) -> Option<String> {
        self.addresses.get(self.current).cloned()
    }

    /// This node was of no use: ask the one that it names, or the next.
    fn turn_from(&mut self, address: &str, next: Option<String>) {
        // Once round the others first: then the next one that names it is believed again.
        let is_suspect = next.is_some() && next == self.suspect;
        let next = next.filter(|_| !is_suspect);
        if is_suspect {
            self.suspect = None;
        }
        if let Some(next) = next {
            let at = self.addresses.iter().position(|known| *known == next);
            if at.is_none() && self.addresses.len() < Self::ADDRESSES_MAX {
                self.addresses.push(next);
                self.current = self.addresses.len() - 1;
                return;
            }
            self.current = at.unwrap_or(self.current);
        } else if self.current().as_deref() == Some(address) {
            // Another call may have found a better one meanwhile.
            self.current = (self.current + 1) % self.addresses.len();
        }
    }
}
