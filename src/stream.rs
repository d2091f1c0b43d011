//! The byte stream of one connection: what is to be sent, what has arrived, and how much may.

mod assembler;
mod credit;
mod send_buffer;

pub use assembler::{Assembler, AssemblerError, Inserted};
pub use credit::{RecvCredit, SendCredit};
pub use send_buffer::SendBuffer;
