//! Programs as they are written for TCP, over aqueduct: each module has a server and a client, as the examples of
//! the same names run them and the tests drive them through a lossy relay.

pub mod grpc;
pub mod http;
pub mod tls;
pub mod websocket;

/// What can go wrong in an example: anything, and it says what.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The body of a larger message: bytes in which a wrong place shows.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at * 31 % 251).to_le_bytes()[0])
        .collect()
}
