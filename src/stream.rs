//! The byte stream of one connection: what is to be sent, what has arrived, and how much may.
//!
//! [`SendBuffer`] and [`Assembler`] hold the bytes, [`SendCredit`] and [`RecvCredit`] the right edges up
//! to which bytes may be sent. None of them knows packets, time or loss detection: they are told which
//! ranges were acknowledged or lost. The end of the stream (FIN) is not theirs either.

mod assembler;
mod credit;
mod linked;
mod send_buffer;
mod store;
mod tiles;

pub use assembler::{Assembler, AssemblerError, Inserted};
pub use credit::{RecvCredit, SendCredit};
pub use send_buffer::SendBuffer;
