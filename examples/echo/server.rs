//! The server: one thread per client.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use crate::interrupt::Interrupt;
use crate::transport::{Listener, Stream};

/// Clients served at the same time; a further one is turned away.
const CLIENTS_MAX: usize = 4_096;
/// Bytes sent back in one piece, at most.
const PIECE_MAX: usize = 64 << 10;

/// Serves clients until Ctrl-C.
///
/// # Errors
///
/// A sentence, if the address cannot be used, or clients cannot be accepted any more.
pub(crate) fn run(address: SocketAddr, interrupt: &Interrupt) -> Result<(), String> {
    let listener =
        Listener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on {bound}");
    let (end, ended) = mpsc::channel();
    let interrupted = end.clone();
    interrupt.subscribe(move || drop(interrupted.send(Ok(()))));
    let interrupt = interrupt.clone();
    thread::spawn(move || {
        let error = accept(&listener, &interrupt);
        // The main thread may have ended already.
        let _ = end.send(Err(format!("cannot accept clients: {error}")));
    });
    ended.recv().unwrap_or(Ok(()))
}

/// Gives every client a thread; returns what ended that.
fn accept(listener: &Listener, interrupt: &Interrupt) -> io::Error {
    let active = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            // The client went away before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return error,
        };
        if active.fetch_add(1, Ordering::Relaxed) >= CLIENTS_MAX {
            active.fetch_sub(1, Ordering::Relaxed);
            eprintln!("{peer}: turned away, {CLIENTS_MAX} clients are served");
            continue;
        }
        let (active, interrupt) = (Arc::clone(&active), interrupt.clone());
        thread::spawn(move || {
            println!("{peer}: connected");
            match serve(&stream, &interrupt) {
                Ok(bytes) => println!("{peer}: left after {bytes} bytes"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
            active.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Sends back what `stream` says until it ends; returns how many bytes that were.
fn serve(mut stream: &Stream, interrupt: &Interrupt) -> io::Result<u64> {
    let _watched = interrupt.watch(stream)?;
    stream.set_nodelay(true)?;
    let mut piece = vec![0; PIECE_MAX];
    let mut total = 0;
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Ok(total);
        }
        stream.write_all(&piece[..length])?;
        total += u64::try_from(length).unwrap_or(u64::MAX);
    }
}
