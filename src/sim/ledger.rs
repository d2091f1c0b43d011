//! The book of what every application wrote and read: the oracle for content, kept apart from the core.

use std::collections::{BTreeMap, VecDeque};

use crate::wire::ConnectionId;

/// What one side of a connection wrote, and what its peer has read of it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Bytes that `write` took.
    pub(super) written: u64,
    /// Of these, bytes that the peer's application read.
    pub(super) read: u64,
    /// Written and not read: what must come next.
    pending: VecDeque<u8>,
    /// Whether the writer said that no more follows.
    pub(super) is_finished: bool,
    /// Whether an end was cut off by a reset, a crash or an abort on either side.
    pub(super) is_cut: bool,
    /// Whether the reader saw the end of the stream.
    pub(super) is_end_seen: bool,
    /// The largest packet number that the writer's side sent.
    pub(super) largest_sent: Option<u64>,
}

/// All flows of a simulation, by the connection id of the side that writes.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    flows: Vec<Flow>,
    by_cid: BTreeMap<u64, usize>,
}

impl Ledger {
    /// Opens the book of a connection: what it will write.
    pub(super) fn open(&mut self, cid: ConnectionId) -> usize {
        self.flows.push(Flow::default());
        self.by_cid.insert(cid.get(), self.flows.len() - 1);
        self.flows.len() - 1
    }

    /// The flow that the connection with this id writes.
    pub(super) fn find(&self, cid: ConnectionId) -> Option<usize> {
        self.by_cid.get(&cid.get()).copied()
    }

    pub(super) fn flow(&self, index: usize) -> &Flow {
        &self.flows[index]
    }

    pub(super) fn flow_mut(&mut self, index: usize) -> &mut Flow {
        &mut self.flows[index]
    }

    pub(super) fn flows(&self) -> &[Flow] {
        &self.flows
    }
}

impl Flow {
    /// The application wrote these bytes.
    pub(super) fn on_written(&mut self, data: &[u8]) {
        self.pending.extend(data);
        self.written += u64::try_from(data.len()).expect("a length");
    }

    /// The peer's application read these bytes: they must be the next ones.
    pub(super) fn on_read(&mut self, data: &[u8]) -> Result<(), String> {
        self.check(data)?;
        self.pending.drain(..data.len());
        self.read += u64::try_from(data.len()).expect("a length");
        Ok(())
    }

    /// The next bytes to be read must be these.
    pub(super) fn check(&self, data: &[u8]) -> Result<(), String> {
        if data.len() > self.pending.len() {
            let (read, written) = (self.read, self.written);
            return Err(format!(
                "{} bytes read at {read} of {written} written",
                data.len()
            ));
        }
        let (front, back) = self.pending.as_slices();
        let split = data.len().min(front.len());
        if data[..split] == front[..split] && data[split..] == back[..data.len() - split] {
            return Ok(());
        }
        let wrong = data
            .iter()
            .zip(&self.pending)
            .position(|(a, b)| a != b)
            .unwrap_or(0);
        let at = self.read + u64::try_from(wrong).expect("a length");
        Err(format!("byte {at} of the stream was changed on its way"))
    }

    /// The peer's application saw the end of the stream: all must have been read.
    pub(super) fn on_end(&mut self) -> Result<(), String> {
        let (read, written) = (self.read, self.written);
        if !self.is_finished || read != written {
            let finished = if self.is_finished {
                "finished"
            } else {
                "unfinished"
            };
            return Err(format!(
                "end of stream after {read} of {written} bytes ({finished})"
            ));
        }
        self.is_end_seen = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_may_be_read_once_and_in_order() {
        let mut flow = Flow::default();
        flow.on_written(b"hello ");
        flow.on_written(b"world");
        assert!(flow.check(b"hello world").is_ok());
        assert!(flow.on_read(b"hello").is_ok());
        assert!(flow.on_read(b"hello").is_err(), "twice");
        assert!(flow.on_read(b"world").is_err(), "a byte is missing");
        assert!(flow.on_end().is_err(), "bytes are left");
        assert!(flow.on_read(b" world").is_ok());
        assert!(flow.on_read(b"!").is_err(), "never written");
        assert!(flow.on_end().is_err(), "not finished");
        flow.is_finished = true;
        assert!(flow.on_end().is_ok());
    }
}
