//! Logical clocks: which event came first, where no clock on the wall can say.
//!
//! ```text
//!   process A   a1 ----------- a2 (send) --------------------- a3
//!                                \
//!   process B          b1 -------- b2 (receive) --- b3
//!
//!   a1 happened before b3: there is a way from one to the other.  a3 and b1 are concurrent: there is none.
//! ```
//!
//! * [`Lamport`] is one number. What happened before has the smaller stamp; the reverse does not hold. With the
//!   process's name as tie-break ([`Stamp`]) all events stand in one order that everybody agrees on.
//! * [`VectorClock`] is a number for each process. One is smaller than another **if and only if** its event happened before,
//!   and `partial_cmp` answers `None` for concurrent events: nobody knew of the other.
//!
//! Both trust those whose stamps they merge: a process that lies about its stamp moves everybody's forward. What is
//! absurd is refused ([`STAMP_MAX`], [`ENTRIES_MAX`]) and changes nothing.

mod lamport;
mod vector;

pub use lamport::{Lamport, STAMP_MAX, Stamp, StampError};
pub use vector::{ClockError, ENTRIES_MAX, VectorClock};

#[cfg(test)]
mod tests;
