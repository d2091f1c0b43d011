//! The sending side: files, one after the other, over one stream.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use crate::digest::{Digest, Hasher};
use crate::failure::Failure;
use crate::inbox::FileName;
use crate::interrupt::Interrupt;
use crate::protocol::{self, DATA_MAX, Frame, FrameError, HEADER, PREFACE, Problem};
use crate::report::{Arrival, Stopwatch, Terminal};
use crate::transport::{self, Repairs, Stream};

/// Frames of the receiver that wait for the sending thread; it needs one at a time.
const REPLIES_MAX: usize = 4;
/// How long the end of the stream may take after everything was confirmed.
const CLOSE: Duration = Duration::from_secs(5);
/// How often, and after which pause each time, a sender asks again for a file that the receiver is
/// receiving from another one. That one may be an earlier try that was killed: it said no farewell,
/// and the receiver finds out by its keep-alive, in about 5 s.
const BUSY_RETRIES: u32 = 15;
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// A file that can be sent.
pub(crate) struct Source {
    path: PathBuf,
    name: FileName,
    size: u64,
}

impl Source {
    /// Looks at a file before anything is sent, so that a wrong name costs nothing.
    ///
    /// # Errors
    ///
    /// `Source` if it cannot be read, `SourceName` if the receiver could not take its name.
    pub(crate) fn open(path: &Path) -> Result<Source, Failure> {
        let unreadable = |source| Failure::Source {
            path: path.to_owned(),
            source,
        };
        let metadata = File::open(path)
            .and_then(|file| file.metadata())
            .map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(io::Error::other("it is not a plain file")));
        }
        let bad_name = |problem| Failure::SourceName {
            path: path.to_owned(),
            problem,
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| bad_name("its name is not UTF-8"))?;
        let name = FileName::parse(name).map_err(bad_name)?;
        Ok(Source {
            path: path.to_owned(),
            name,
            size: metadata.len(),
        })
    }

    /// Looks at all files; no two may arrive under one name.
    ///
    /// # Errors
    ///
    /// As [`Source::open`].
    pub(crate) fn open_all(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
        let sources: Vec<Source> = paths
            .iter()
            .map(|path| Source::open(path))
            .collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        match sources
            .iter()
            .find(|source| !names.insert(source.name.as_str()))
        {
            Some(twin) => Err(Failure::SourceName {
                path: twin.path.clone(),
                problem: "another file of the same name is sent too",
            }),
            None => Ok(sources),
        }
    }
}

/// The addresses of `HOST:PORT`.
///
/// # Errors
///
/// `NotResolved`, also for a text that is not `HOST:PORT`.
pub(crate) fn resolve(name: &str) -> Result<Vec<SocketAddr>, Failure> {
    let not_resolved = |source| Failure::NotResolved {
        name: name.to_owned(),
        source,
    };
    let addresses: Vec<_> = name.to_socket_addrs().map_err(not_resolved)?.collect();
    if addresses.is_empty() {
        return Err(not_resolved(io::Error::other("it has no address")));
    }
    Ok(addresses)
}

/// Sends files to one receiver.
pub(crate) struct Sender {
    pub(crate) interrupt: Interrupt,
    pub(crate) terminal: Terminal,
    pub(crate) resume: bool,
}

impl Sender {
    /// Sends `sources` to `addresses`, called `name`, and calls `arrived` for each that is there.
    /// Waits for a while if another sender is sending one of them.
    ///
    /// # Errors
    ///
    /// Whatever ended the transfer.
    pub(crate) fn send(
        &self,
        sources: &[Source],
        to: (&str, &[SocketAddr]),
        arrived: &mut dyn FnMut(&Arrival, Repairs),
    ) -> Result<(), Failure> {
        let (wake, woken) = mpsc::channel();
        // Nobody hears it once this function has returned.
        self.interrupt
            .subscribe(move || wake.send(()).unwrap_or_default());
        let mut left = sources;
        let mut retries = BUSY_RETRIES;
        loop {
            let mut done = 0;
            let result = self.send_once(left, to, &mut |arrival, repairs| {
                done += 1;
                arrived(arrival, repairs);
            });
            let Err(Failure::AtPeer {
                problem: Problem::Busy,
                text,
            }) = result
            else {
                return result;
            };
            if done > 0 {
                left = &left[done..];
                retries = BUSY_RETRIES;
            }
            let patience = BUSY_PAUSE * BUSY_RETRIES;
            if retries == 0 {
                return Err(Failure::StillBusy { text, patience });
            }
            if retries == BUSY_RETRIES {
                self.terminal
                    .problem(&format!("{text}; waiting up to {patience:?} for its end"));
            }
            retries -= 1;
            if woken.recv_timeout(BUSY_PAUSE).is_ok() {
                return Err(Failure::Interrupted);
            }
        }
    }

    /// Sends over one stream, until the first failure.
    fn send_once(
        &self,
        sources: &[Source],
        (name, addresses): (&str, &[SocketAddr]),
        arrived: &mut dyn FnMut(&Arrival, Repairs),
    ) -> Result<(), Failure> {
        let stream = transport::connect(addresses).map_err(|source| Failure::NobodyListens {
            name: name.to_owned(),
            source,
        })?;
        let broken = |error: io::Error| Failure::stream("a greeting", &error);
        let watched = self.interrupt.watch(&stream).map_err(broken)?;
        let result = thread::scope(|scope| {
            let (replies, heard) = mpsc::sync_channel(REPLIES_MAX);
            scope.spawn(|| listen(&stream, replies));
            let mut session = Session {
                sender: self,
                stream: &stream,
                replies: heard,
            };
            let result = session.files(sources, arrived);
            // Wakes the thread that listens; everything that matters was confirmed.
            let _ = stream.shutdown(Shutdown::Both);
            result
        });
        drop(watched);
        transport::close(stream, CLOSE);
        match result {
            Err(_) if self.interrupt.is_requested() => Err(Failure::Interrupted),
            result => result,
        }
    }
}

/// Reads what the receiver says, so that the sender hears of a problem while it writes.
fn listen(stream: &Stream, replies: SyncSender<Result<Frame, FrameError>>) {
    loop {
        let reply = Frame::read(&mut &*stream);
        let last = reply.is_err();
        if replies.send(reply).is_err() || last {
            return;
        }
    }
}

/// One stream to a receiver.
struct Session<'s> {
    sender: &'s Sender,
    stream: &'s Stream,
    replies: Receiver<Result<Frame, FrameError>>,
}

impl Session<'_> {
    fn files(
        &mut self,
        sources: &[Source],
        arrived: &mut dyn FnMut(&Arrival, Repairs),
    ) -> Result<(), Failure> {
        let greeted = (&mut &*self.stream).write_all(&PREFACE);
        greeted.map_err(|error| self.broken("a greeting", &error))?;
        for source in sources {
            let before = transport::repairs(self.stream);
            let arrival = self.file(source)?;
            let after = transport::repairs(self.stream);
            let repairs = Repairs {
                packets: after.packets - before.packets,
                bytes: after.bytes - before.bytes,
            };
            arrived(&arrival, repairs);
        }
        Ok(())
    }

    fn file(&mut self, source: &Source) -> Result<Arrival, Failure> {
        let name = source.name.as_str();
        let watch = Stopwatch::start();
        let result = self.try_file(source);
        if let Err(failure @ Failure::Source { .. }) = &result {
            // Nothing more can be done if the receiver is gone as well.
            let text = failure.to_string();
            let _ = Frame::Failed {
                problem: Problem::Other,
                text,
            }
            .write(&mut &*self.stream);
        }
        let (begin, digest) = result?;
        Ok(Arrival {
            name: name.to_owned(),
            size: source.size,
            moved: source.size - begin,
            digest,
            elapsed: watch.elapsed(),
        })
    }

    /// Returns where the data began, and the digest of the whole file.
    fn try_file(&mut self, source: &Source) -> Result<(u64, Digest), Failure> {
        let name = source.name.as_str();
        let unreadable = |error| Failure::Source {
            path: source.path.clone(),
            source: error,
        };
        let mut file = File::open(&source.path).map_err(unreadable)?;
        self.write(
            name,
            &Frame::Offer {
                size: source.size,
                resume: self.sender.resume,
                name: name.to_owned(),
            },
        )?;
        let Frame::Part { length, digest } = self.reply(name)? else {
            return Err(Failure::Protocol(
                "it answered an offer with something else",
            ));
        };
        let (begin, mut hasher) =
            common_beginning(&mut file, source.size, length, digest).map_err(unreadable)?;
        self.write(name, &Frame::Start { offset: begin })?;
        self.data(source, &mut file, begin, &mut hasher)?;
        let digest = hasher.digest();
        self.write(name, &Frame::End { digest })?;
        match self.reply(name)? {
            Frame::Verified { digest: theirs } if theirs == digest => Ok((begin, digest)),
            Frame::Verified { digest: arrived } => Err(Failure::DigestMismatch {
                name: name.to_owned(),
                sent: digest,
                arrived,
            }),
            _ => Err(Failure::Protocol(
                "it answered the end of a file with something else",
            )),
        }
    }

    /// Reads, hashes and sends the file from `begin` on. The transport sends in the background, so
    /// reading and hashing take place while earlier bytes are on their way.
    fn data(
        &mut self,
        source: &Source,
        file: &mut File,
        begin: u64,
        hasher: &mut Hasher,
    ) -> Result<(), Failure> {
        let name = source.name.as_str();
        let bar = self.sender.terminal.bar(name, source.size, begin);
        let unreadable = |error| Failure::Source {
            path: source.path.clone(),
            source: error,
        };
        let mut buffer = vec![0; HEADER + DATA_MAX];
        let mut left = source.size - begin;
        while left > 0 {
            if let Ok(reply) = self.replies.try_recv() {
                return Err(refusal(name, reply));
            }
            let wanted = usize::try_from(left).unwrap_or(DATA_MAX).min(DATA_MAX);
            let taken = file
                .read(&mut buffer[HEADER..HEADER + wanted])
                .map_err(unreadable)?;
            if taken == 0 {
                return Err(unreadable(io::Error::other(
                    "it became shorter while it was sent",
                )));
            }
            let (frame, _) = buffer.split_at_mut(HEADER + taken);
            frame[..HEADER].copy_from_slice(&protocol::data_header(taken));
            hasher.update(&frame[HEADER..]);
            let written = (&mut &*self.stream).write_all(frame);
            written.map_err(|error| self.broken(name, &error))?;
            left -= u64::try_from(taken).unwrap_or(left);
            bar.set_position(source.size - left);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn write(&mut self, name: &str, frame: &Frame) -> Result<(), Failure> {
        frame
            .write(&mut &*self.stream)
            .map_err(|error| self.broken(name, &error))
    }

    /// The next frame of the receiver; its `Failed` is a failure.
    fn reply(&mut self, name: &str) -> Result<Frame, Failure> {
        match self.replies.recv() {
            Ok(Ok(Frame::Failed { problem, text })) => Err(Failure::AtPeer { problem, text }),
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(error)) => Err(Failure::frame(name, error)),
            Err(_) => Err(Failure::frame(name, FrameError::Ended)),
        }
    }

    /// Why a write failed: what the receiver said before it closed, else what ended the stream.
    ///
    /// A stream reports its end once, to whoever asks first. If that was the thread that listens,
    /// the write knows only that it came too late.
    fn broken(&self, name: &str, error: &io::Error) -> Failure {
        match self.replies.recv() {
            Ok(Ok(Frame::Failed { problem, text })) => Failure::AtPeer { problem, text },
            Ok(Err(FrameError::Stream(cause))) if error.kind() == io::ErrorKind::BrokenPipe => {
                Failure::stream(name, &cause)
            }
            _ => Failure::stream(name, error),
        }
    }
}

/// What a frame means that comes while data is sent.
fn refusal(name: &str, reply: Result<Frame, FrameError>) -> Failure {
    match reply {
        Ok(Frame::Failed { problem, text }) => Failure::AtPeer { problem, text },
        Ok(_) => Failure::Protocol("it answered before the end of a file"),
        Err(error) => Failure::frame(name, error),
    }
}

/// Where the data has to begin, if the receiver has `length` bytes of this digest: after them if
/// they are the beginning of the file, else at 0. `file` stands there afterwards.
fn common_beginning(
    file: &mut File,
    size: u64,
    length: u64,
    digest: Digest,
) -> io::Result<(u64, Hasher)> {
    if length > 0 && length <= size {
        let mut hasher = Hasher::default();
        hasher.update_from(file, length)?;
        if hasher.digest() == digest {
            return Ok((length, hasher));
        }
        file.seek(SeekFrom::Start(0))?;
    }
    Ok((0, Hasher::default()))
}
