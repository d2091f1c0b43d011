//! The face of the crate: blocking streams and listeners that look like those of `std::net`.

mod close;
mod connect;
mod datagrams;
mod endpoint;
mod error;
mod listener;
#[cfg(all(feature = "mio", target_os = "linux"))]
pub mod mio;
mod options;
mod race;
mod stream;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use close::{CloseError, Closed, Delivered, drain, set_exit_drain};
pub use endpoint::{Endpoint, EndpointBuilder, Report};
pub use error::StreamError;
pub use listener::{Incoming, Listener};
pub use stream::Stream;

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::panic::{RefUnwindSafe, UnwindSafe};

    use super::*;

    fn is_as_free_as_a_tcp_stream<T>()
    where
        T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Debug + 'static,
    {
    }

    #[test]
    fn every_public_type_may_go_wherever_a_tcp_stream_goes() {
        is_as_free_as_a_tcp_stream::<Stream>();
        is_as_free_as_a_tcp_stream::<Listener>();
        is_as_free_as_a_tcp_stream::<Incoming<'static>>();
        is_as_free_as_a_tcp_stream::<Endpoint>();
        is_as_free_as_a_tcp_stream::<EndpointBuilder>();
        is_as_free_as_a_tcp_stream::<StreamError>();
        is_as_free_as_a_tcp_stream::<CloseError>();
    }
}
