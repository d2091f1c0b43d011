//! How a session ends: the other side leaves, this one does, the stream is lost, or somebody broke the protocol. What each of its
//! calls hears then.

use super::{Event, Phase, Session};
use crate::layers::msg::error::{RpcError, Status};
use crate::layers::msg::frame::{Frame, Kind};

impl Session {
    /// Takes no further calls; those that run are answered still.
    pub fn go_away(&mut self, text: &str) {
        if self.is_closed() || std::mem::replace(&mut self.is_leaving, true) {
            return;
        }
        self.wait(&go_away_frame(self.last_peer_id, text));
    }

    /// The stream has ended, or failed.
    pub fn handle_lost(&mut self, why: &str) {
        self.fail(&RpcError::NotSent(why.to_owned()));
    }

    /// Why the other side takes no further calls, if it said so.
    pub fn peer_leaves(&self) -> Option<&str> {
        self.peer_leaves.as_deref()
    }

    /// Whether the other side leaves, or the session has ended.
    pub(super) fn may_send(&self) -> Result<(), RpcError> {
        if let Phase::Closed(error) = &self.phase {
            return Err(before_sending(error));
        }
        match &self.peer_leaves {
            Some(text) => Err(RpcError::Closed(text.clone())),
            None => Ok(()),
        }
    }

    /// Ends everything: what was sent may have been executed, what was not has not.
    pub(super) fn fail(&mut self, error: &RpcError) {
        if self.is_closed() {
            return;
        }
        self.phase = Phase::Closed(error.clone());
        for (id, call) in std::mem::take(&mut self.calls) {
            let error = if call.is_sent {
                after_sending(error)
            } else {
                before_sending(error)
            };
            self.events.push_back(Event::Failed { id, error });
        }
        for (id, call) in &mut self.served {
            if !std::mem::replace(&mut call.is_cancelled, true) {
                self.events.push_back(Event::Cancelled { id: *id });
            }
        }
        self.waiting.clear();
        self.outbox.clear();
        self.grants.clear();
        self.events.push_back(Event::Closed(error.clone()));
    }
}

/// The failure of a call of which nothing was sent.
fn before_sending(error: &RpcError) -> RpcError {
    if error.maybe_executed() {
        RpcError::NotSent(error.to_string())
    } else {
        error.clone()
    }
}

/// The failure of a call that may have arrived.
fn after_sending(error: &RpcError) -> RpcError {
    match error {
        RpcError::NotSent(why) => RpcError::Unknown(why.clone()),
        RpcError::Protocol(_) => error.clone(),
        other => RpcError::Unknown(other.to_string()),
    }
}

pub(super) fn go_away_frame(last_id: u64, text: &str) -> Frame {
    let text = Status::new(0, text);
    let payload = [&last_id.to_be_bytes()[..], text.short_text().as_bytes()].concat();
    Frame::new(Kind::GoAway, 0).with_payload(payload.into())
}
