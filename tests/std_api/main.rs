//! What a program sees of a stream, case by case, over the kernel's TCP and over aqueduct.
//!
//! The files of `cases/` are compiled twice. In `kernel` the names `TcpStream` and `TcpListener` are those of
//! `std::net`, in `ours` those of aqueduct: the change of one import is all that differs. So every case checks
//! the oracle as well. Where a rule of ours differs by design the case asks `KERNEL` and states both answers
//! (docs/SEMANTICS.md). `row_07` in a name is row 7 of the table there.
#![cfg(feature = "runtime")]
#![expect(
    clippy::duplicate_mod,
    reason = "the cases are compiled once for each of the two"
)]

mod kernel;
mod ours;
#[path = "../support/mod.rs"]
mod support;
