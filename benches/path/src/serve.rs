//! The receiving end: counts, compares, answers.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::content::Checker;
use crate::order::{Answer, Order};
use crate::stack::{Connection, Server};

const READ: usize = 256 << 10;

/// Serves until it is ended from outside.
pub(crate) fn run(at: SocketAddr) -> io::Result<()> {
    Server::bind(at)?.run(|mut connection| {
        if let Err(error) = serve(&mut *connection) {
            eprintln!("a flow ended early: {error}");
        }
    })
}

fn serve(connection: &mut dyn Connection) -> io::Result<()> {
    let (order, seed) = Order::read(connection)?;
    let answer = match order {
        Order::Timed { skip, until } => {
            let begin = Instant::now();
            let mut checker = Checker::new(seed);
            let mut before = 0;
            loop {
                let elapsed = begin.elapsed();
                if elapsed < skip {
                    before = checker.total();
                }
                if elapsed >= until || take(connection, &mut checker, READ)? == 0 {
                    break;
                }
            }
            answer(&checker, before)
        }
        Order::Sized { bytes } => {
            let mut checker = Checker::new(seed);
            while checker.total() < bytes {
                let left = usize::try_from(bytes - checker.total()).unwrap_or(READ);
                if take(connection, &mut checker, left.min(READ))? == 0 {
                    break;
                }
            }
            answer(&checker, 0)
        }
    };
    answer.write(connection)?;
    connection.finish_writing()?;
    // The client closes first; whatever it still sends is not counted.
    let mut rest = vec![0; READ];
    while connection.read(&mut rest)? > 0 {}
    Ok(())
}

fn take(connection: &mut dyn Connection, checker: &mut Checker, most: usize) -> io::Result<usize> {
    let mut buffer = vec![0; most];
    let len = connection.read(&mut buffer)?;
    checker.take(&buffer[..len]);
    Ok(len)
}

fn answer(checker: &Checker, before: u64) -> Answer {
    Answer {
        before,
        counted: checker.total() - before,
        right: checker.is_right(),
    }
}
