//! [`Recorder`]: who asked what, when, and what he was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::register::{Call, Operation, Reply};

/// An operation and its time: from before it was sent to after its answer had come. A later event has a greater number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Timed {
    pub(crate) operation: Operation,
    pub(crate) called: u64,
    /// `None`: it may take effect at any time later, or never.
    pub(crate) returned: Option<u64>,
}

/// The operations of one key.
pub(crate) type History = Vec<Timed>;

/// Clients tell it what they do, from any thread; clones are the same recorder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    now: u64,
    keys: BTreeMap<String, History>,
}

/// An operation under way. Dropped, it stays open: nobody knows what has become of it.
#[derive(Debug)]
pub(crate) struct Open {
    recorder: Recorder,
    key: String,
    at: usize,
}

impl Recorder {
    /// Before the call is sent.
    pub(crate) fn call(&self, key: &str, call: Call) -> Open {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.now += 1;
        let called = inner.now;
        let history = inner.keys.entry(key.to_owned()).or_default();
        let operation = Operation { call, reply: None };
        history.push(Timed {
            operation,
            called,
            returned: None,
        });
        Open {
            recorder: self.clone(),
            key: key.to_owned(),
            at: history.len() - 1,
        }
    }

    /// What was recorded so far, by key.
    pub(crate) fn histories(&self) -> BTreeMap<String, History> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.keys.clone()
    }
}

impl Open {
    /// After the answer has come.
    pub(crate) fn reply(self, reply: Reply) {
        let inner = &self.recorder.inner;
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.now += 1;
        let now = inner.now;
        let history = inner.keys.get_mut(&self.key);
        let timed = &mut history.expect("begun before")[self.at];
        timed.returned = Some(now);
        timed.operation.reply = Some(reply);
    }
}
