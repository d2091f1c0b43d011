//! The receiving side: a listener, one thread per sender, files into an [`Inbox`].

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use crate::digest::Digest;
use crate::failure::Failure;
use crate::inbox::{Claim, Inbox, Part};
use crate::interrupt::Interrupt;
use crate::protocol::{DATA_MAX, Frame, FrameError, PREFACE, Problem};
use crate::report::{Arrival, Stopwatch, Terminal};
use crate::transport::{self, Listener, Stream};

/// Senders served at the same time; a further one is turned away.
const SENDERS_MAX: usize = 64;
/// How long a sender may keep a thread without asking for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a sender gets to hear why its file was refused.
const FAREWELL: Duration = Duration::from_secs(5);
/// What a sender may still send after it was refused, bytes; then it is cut off.
const FAREWELL_BYTES: u64 = 64 << 20;

/// What all senders share.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) interrupt: Interrupt,
    pub(crate) terminal: Terminal,
}

/// What the threads tell the main one.
enum Event {
    Accepted(Stream, SocketAddr),
    Finished(Result<(), Failure>),
    Failed(io::Error),
    Interrupted,
}

impl Receiver {
    /// Serves senders until Ctrl-C, or with `once` until the first is done.
    ///
    /// # Errors
    ///
    /// `Interrupted`; with `once` whatever ended the transfer.
    pub(crate) fn serve(&self, listener: Listener, once: bool) -> Result<(), Failure> {
        let (events, happened) = mpsc::channel();
        let interrupted = events.clone();
        self.interrupt
            .subscribe(move || drop(interrupted.send(Event::Interrupted)));
        let accepted = events.clone();
        thread::spawn(move || accept(&listener, &accepted, once));
        let mut active = 0;
        // The main thread holds a sender of the channel, so it never runs dry.
        while let Ok(event) = happened.recv() {
            match event {
                Event::Accepted(stream, peer) if active < SENDERS_MAX => {
                    active += 1;
                    self.spawn(stream, peer, events.clone());
                }
                Event::Accepted(_, peer) => {
                    self.terminal
                        .problem(&format!("{peer}: too many senders at once"));
                }
                Event::Finished(result) => {
                    active -= 1;
                    if once || (active == 0 && self.interrupt.is_requested()) {
                        return result.and(self.not_interrupted());
                    }
                }
                Event::Failed(source) => {
                    return Err(Failure::Other {
                        doing: "cannot accept senders",
                        source,
                    });
                }
                Event::Interrupted if active == 0 => break,
                Event::Interrupted => {}
            }
        }
        Err(Failure::Interrupted)
    }

    fn not_interrupted(&self) -> Result<(), Failure> {
        if self.interrupt.is_requested() {
            Err(Failure::Interrupted)
        } else {
            Ok(())
        }
    }

    fn spawn(&self, stream: Stream, peer: SocketAddr, events: Sender<Event>) {
        let receiver = self.clone();
        thread::spawn(move || {
            let result = receiver.session(stream, &mut |arrival| {
                let line = arrival.sentence("received", &format!("from {peer}"));
                receiver.terminal.line(&line);
                receiver.terminal.line(&arrival.verified(None));
            });
            if let Err(failure) = &result {
                receiver.terminal.problem(&format!("{peer}: {failure}"));
            }
            // The main thread may have ended already.
            let _ = events.send(Event::Finished(result));
        });
    }

    /// Receives all files of one sender, and calls `arrived` for each.
    ///
    /// # Errors
    ///
    /// Whatever ended the transfer; the sender was told, if it could hear it.
    pub(crate) fn session(
        &self,
        stream: Stream,
        arrived: &mut dyn FnMut(&Arrival),
    ) -> Result<(), Failure> {
        let result = self.files(&stream, arrived);
        let result = result.map_err(|failure| {
            if self.interrupt.is_requested() {
                Failure::Interrupted
            } else {
                failure
            }
        });
        match &result {
            // These come from the peer, or nobody is there to be told.
            Ok(()) | Err(Failure::PeerGone { .. } | Failure::AtPeer { .. }) => {}
            // The sender is gone if this fails, and the failure is reported here anyway.
            Err(failure) => drop(say_farewell(&stream, failure)),
        }
        transport::close(stream, FAREWELL);
        result
    }

    fn files(&self, stream: &Stream, arrived: &mut dyn FnMut(&Arrival)) -> Result<(), Failure> {
        const DOING: &str = "a greeting";
        let broken = |error: io::Error| Failure::stream(DOING, &error);
        let _watched = self.interrupt.watch(stream).map_err(broken)?;
        transport::watch(stream).map_err(broken)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
        let mut preface = [0; PREFACE.len()];
        (&mut &*stream).read_exact(&mut preface).map_err(broken)?;
        if preface != PREFACE {
            return Err(Failure::Protocol(
                "it does not begin like a sender of this version",
            ));
        }
        loop {
            stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
            match Frame::read(&mut &*stream) {
                Err(FrameError::Ended) => return self.not_interrupted(),
                Err(error) => return Err(Failure::frame("a pause between files", error)),
                Ok(Frame::Offer { size, resume, name }) => {
                    stream.set_read_timeout(None).map_err(broken)?;
                    arrived(&self.file(stream, size, resume, &name)?);
                }
                Ok(frame) => return Err(unexpected(frame)),
            }
        }
    }

    fn file(
        &self,
        stream: &Stream,
        size: u64,
        resume: bool,
        name: &str,
    ) -> Result<Arrival, Failure> {
        let watch = Stopwatch::start();
        let claim = self.inbox.claim(name)?;
        let mut part = claim.open_part(resume, size)?;
        self.agree(stream, &claim, &mut part)?;
        let begin = part.length();
        let sent = self.data(stream, &claim, &mut part, size)?;
        let (arrived, elapsed) = (part.digest(), watch.elapsed());
        if arrived != sent {
            claim.discard(part);
            return Err(Failure::DigestMismatch {
                name: name.to_owned(),
                sent,
                arrived,
            });
        }
        claim.commit(part)?;
        let name = name.to_owned();
        let arrival = Arrival {
            name,
            size,
            moved: size - begin,
            digest: arrived,
            elapsed,
        };
        let told = Frame::Verified { digest: arrived }.write(&mut &*stream);
        told.map_err(|error| Failure::stream(&arrival.name, &error))?;
        Ok(arrival)
    }

    /// Agrees with the sender on where the data begins.
    fn agree(&self, stream: &Stream, claim: &Claim, part: &mut Part) -> Result<(), Failure> {
        let name = claim.name().as_str();
        let frame = Frame::Part {
            length: part.length(),
            digest: part.digest(),
        };
        frame
            .write(&mut &*stream)
            .map_err(|error| Failure::stream(name, &error))?;
        match Frame::read(&mut &*stream).map_err(|error| Failure::frame(name, error))? {
            Frame::Start { offset } if offset == part.length() => Ok(()),
            Frame::Start { offset: 0 } => part
                .clear()
                .map_err(|error| Failure::writing(claim.part_path(), error)),
            Frame::Start { .. } => Err(Failure::Protocol("it starts where nobody said")),
            frame => Err(unexpected(frame)),
        }
    }

    /// Takes the data until `part` has `size` bytes; returns what the sender says of their digest.
    ///
    /// Hashing and writing take place between two reads: meanwhile the transport's own thread fills the
    /// window. A further thread for them was measured, and gained nothing.
    fn data(
        &self,
        stream: &Stream,
        claim: &Claim,
        part: &mut Part,
        size: u64,
    ) -> Result<Digest, Failure> {
        let name = claim.name().as_str();
        let bar = self.terminal.bar(name, size, part.length());
        let mut buffer = vec![0; DATA_MAX];
        loop {
            match Frame::read(&mut &*stream).map_err(|error| Failure::frame(name, error))? {
                Frame::Data { length } => {
                    let bytes = &mut buffer[..length];
                    let left = usize::try_from(size - part.length()).unwrap_or(usize::MAX);
                    if length > left {
                        return Err(Failure::Protocol("it sent more than it offered"));
                    }
                    let read = (&mut &*stream).read_exact(bytes);
                    read.map_err(|error| Failure::stream(name, &error))?;
                    let path = claim.part_path();
                    part.append(bytes)
                        .map_err(|error| Failure::writing(path, error))?;
                    bar.set_position(part.length());
                }
                Frame::End { digest } if part.length() == size => {
                    bar.finish_and_clear();
                    return Ok(digest);
                }
                Frame::End { .. } => return Err(Failure::Protocol("it ended a file too early")),
                frame => return Err(unexpected(frame)),
            }
        }
    }
}

fn accept(listener: &Listener, events: &Sender<Event>, once: bool) {
    loop {
        let (event, last) = match listener.accept() {
            Ok((stream, peer)) => (Event::Accepted(stream, peer), once),
            // The sender went away before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => (Event::Failed(error), true),
        };
        if events.send(event).is_err() || last {
            return;
        }
    }
}

fn unexpected(frame: Frame) -> Failure {
    match frame {
        Frame::Failed { problem, text } => Failure::AtPeer { problem, text },
        _ => Failure::Protocol("it sent a frame out of turn"),
    }
}

/// Tells the sender why, and reads on until it has stopped: closing a stream with unread data would
/// reset it, and the sender might lose the words.
fn say_farewell(stream: &Stream, failure: &Failure) -> io::Result<()> {
    let problem = match failure {
        Failure::Interrupted => Problem::Other,
        failure => failure.problem(),
    };
    stream.set_write_timeout(Some(FAREWELL))?;
    stream.set_read_timeout(Some(FAREWELL))?;
    Frame::Failed {
        problem,
        text: failure.to_string(),
    }
    .write(&mut &*stream)?;
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream.take(FAREWELL_BYTES), &mut io::sink())?;
    Ok(())
}
