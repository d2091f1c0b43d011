//! What every stream can do, whether its calls block a thread or are awaited.
//!
//! The scenarios are written once, as asynchronous functions. A peer whose calls block has futures that
//! are ready at once, and its tasks are threads; quinn, s2n-quic and KCP have tokio's. So each is
//! measured in the way that it was made for.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

/// The most that one read asks for.
pub(crate) const READ_MAX: usize = 256 << 10;
/// Stack of a thread that serves one connection: there may be a thousand of them.
const STACK: usize = 256 << 10;

/// A transport of streams.
pub(crate) trait Peer: Send + Sync + 'static {
    type Listener: Send + Sync + 'static;
    type Stream: Stream;

    /// Listens at an address; port 0 lets the system choose.
    fn listen(&self, at: SocketAddr) -> io::Result<(Self::Listener, SocketAddr)>;
    /// Waits for the next client.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Connects to a server.
    fn connect(&self, server: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Who runs its tasks.
    fn tasks(&self) -> &Tasks;
}

/// One connection; dropping it closes it.
pub(crate) trait Stream: Send + 'static {
    /// Reads at most `max` bytes, 0 only at the end; they stand in the buffer until the next call.
    fn read<'b>(
        &mut self,
        into: &'b mut Buffer,
        max: usize,
    ) -> impl Future<Output = io::Result<&'b [u8]>> + Send;
    /// Writes all of `data`.
    fn write(&mut self, data: Bytes) -> impl Future<Output = io::Result<()>> + Send;
}

/// Where a read puts its bytes: copies them into `space`, or hands out `bytes`.
pub(crate) struct Buffer {
    pub(crate) space: Box<[u8]>,
    pub(crate) bytes: Bytes,
}

impl Buffer {
    /// Room for reads of at most `max` bytes.
    pub(crate) fn new(max: usize) -> Buffer {
        Buffer {
            space: vec![0; max].into(),
            bytes: Bytes::new(),
        }
    }
}

/// Fills `target`, by as many reads as that takes.
///
/// # Errors
///
/// The stream's error, or that it ended.
pub(crate) async fn read_exact(
    stream: &mut impl Stream,
    buffer: &mut Buffer,
    target: &mut [u8],
) -> io::Result<()> {
    let mut filled = 0;
    while filled < target.len() {
        let most = (target.len() - filled).min(buffer.space.len());
        let part = stream.read(buffer, most).await?;
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        target[filled..filled + part.len()].copy_from_slice(part);
        filled += part.len();
    }
    Ok(())
}

/// Reads so many numbers.
///
/// # Errors
///
/// As [`read_exact`].
pub(crate) async fn read_numbers<const N: usize>(
    stream: &mut impl Stream,
    buffer: &mut Buffer,
) -> io::Result<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let mut bytes = [0; 8];
        read_exact(stream, buffer, &mut bytes).await?;
        *number = u64::from_be_bytes(bytes);
    }
    Ok(numbers)
}

/// Writes numbers.
///
/// # Errors
///
/// The stream's error.
pub(crate) async fn write_numbers(stream: &mut impl Stream, numbers: &[u64]) -> io::Result<()> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|one| one.to_be_bytes()).collect();
    stream.write(bytes.into()).await
}

/// Waits until the other side has closed: who drops a stream at once may cut off what it wrote.
///
/// # Errors
///
/// The stream's error.
pub(crate) async fn wait_for_close(
    stream: &mut impl Stream,
    buffer: &mut Buffer,
) -> io::Result<()> {
    while !stream.read(buffer, 1).await?.is_empty() {}
    Ok(())
}

/// Who runs the tasks of a peer.
pub(crate) enum Tasks {
    /// A thread for each.
    Threads,
    /// tokio.
    Tokio(Runtime),
}

/// A task that runs.
pub(crate) enum Task<T> {
    Thread(thread::JoinHandle<T>),
    Tokio(tokio::task::JoinHandle<T>),
}

impl Tasks {
    /// tokio with a thread for each processor.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(crate) fn tokio() -> io::Result<Tasks> {
        Ok(Tasks::Tokio(
            Builder::new_multi_thread().enable_all().build()?,
        ))
    }

    /// tokio on the thread that calls.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(crate) fn tokio_on_one_thread() -> io::Result<Tasks> {
        Ok(Tasks::Tokio(
            Builder::new_current_thread().enable_all().build()?,
        ))
    }

    /// Calls `act` where tokio's sockets can be made.
    pub(crate) fn inside<T>(&self, act: impl FnOnce() -> T) -> T {
        match self {
            Tasks::Threads => act(),
            Tasks::Tokio(runtime) => {
                let _inside = runtime.enter();
                act()
            }
        }
    }

    /// Starts a task.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<Task<T>> {
        Ok(match self {
            Tasks::Threads => {
                let thread = thread::Builder::new().stack_size(STACK);
                Task::Thread(thread.spawn(|| finish(work))?)
            }
            Tasks::Tokio(runtime) => Task::Tokio(runtime.spawn(work)),
        })
    }

    /// Waits for a task.
    ///
    /// # Panics
    ///
    /// If the task did.
    pub(crate) fn join<T>(&self, task: Task<T>) -> T {
        match (self, task) {
            (_, Task::Thread(thread)) => thread.join().expect("the task does not panic"),
            (Tasks::Tokio(runtime), Task::Tokio(task)) => {
                runtime.block_on(task).expect("the task does not panic")
            }
            (Tasks::Threads, Task::Tokio(_)) => unreachable!("threads start no task of tokio's"),
        }
    }

    /// Does the work: on this thread if its calls block, as a task of tokio's otherwise.
    ///
    /// # Errors
    ///
    /// The work's.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Tasks::Threads => finish(work),
            Tasks::Tokio(_) => self.join(self.start(work)?),
        }
    }
}

/// The outcome of a future that blocks instead of waiting.
fn finish<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("calls that block leave nothing pending"),
    }
}
