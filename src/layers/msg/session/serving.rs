//! What a program does about the calls of the other side.

use bytes::Bytes;

use super::{Session, check_ext, error_frame};
use crate::layers::msg::error::Status;
use crate::layers::msg::ext::Ext;
use crate::layers::msg::frame::{Frame, Kind};
use crate::layers::msg::session::INLINE_BYTES_MAX;

impl Session {
    /// Answers a call. False if nobody wants the answer any more.
    pub fn respond(&mut self, id: u64, ext: Ext, body: Bytes) -> bool {
        let is_long = body.len() > INLINE_BYTES_MAX;
        let first = if is_long { Bytes::new() } else { body.clone() };
        if !self.begin_response(id, ext, first, is_long) {
            return false;
        }
        if is_long {
            self.outbox.push(id, body);
            self.end_body(id);
        }
        true
    }

    /// Answers a call by a body that follows by [`Session::push_body`] and [`Session::end_body`]. False as above.
    pub fn respond_streaming(&mut self, id: u64, ext: Ext) -> bool {
        self.begin_response(id, ext, Bytes::new(), true)
    }

    fn begin_response(&mut self, id: u64, mut ext: Ext, body: Bytes, more: bool) -> bool {
        let Some(call) = self.served.get_mut(&id) else {
            return false;
        };
        if call.is_cancelled {
            self.served.remove(&id);
            return false;
        }
        if std::mem::replace(&mut call.has_answer, true) {
            return false;
        }
        self.stamp(&mut ext);
        if check_ext(&ext).is_err() {
            ext = Ext::default();
        }
        let mut frame = Frame::new(Kind::Response, id).with_payload(body);
        (frame.ext, frame.more) = (ext, more);
        self.wait(&frame);
        if more {
            self.outbox.open(id);
        } else {
            self.served.remove(&id);
        }
        true
    }

    /// Answers a call by a failure, also when its answer has begun. False if nobody wants the answer any more.
    pub fn refuse(&mut self, id: u64, status: &Status) -> bool {
        let Some(call) = self.served.remove(&id) else {
            return false;
        };
        self.outbox.close(id);
        if call.is_cancelled {
            return false;
        }
        self.wait(&error_frame(id, status));
        true
    }
}
