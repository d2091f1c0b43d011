//! hyper's clients connect over aqueduct.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::Stream;
use crate::config::Config;

/// Opens a stream to the host of a URI: the connector of `hyper_util`'s client, and of tonic's `Endpoint`.
///
/// The port is that of the URI, otherwise 80, or 443 for `https`. It does not encrypt: wrap it for that.
///
/// ```no_run
/// use aqueduct::tokio::Connector;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
///
/// let client: Client<_, String> =
///     Client::builder(TokioExecutor::new()).build(Connector::default());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Connector {
    config: Arc<Config>,
}

impl Connector {
    /// A connector for streams with a configuration of their own.
    pub fn new(config: Config) -> Self {
        Connector {
            config: Arc::new(config),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let config = self.config.clone();
        Box::pin(async move {
            let stream = Stream::connect_shared(destination(&uri)?, config).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// The host and the port of a URI.
fn destination(uri: &Uri) -> io::Result<(&str, u16)> {
    let host = uri.host().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the URI names no host to connect to",
        )
    })?;
    // An IPv6 address stands in brackets there.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_https = uri.scheme_str() == Some("https");
    Ok((
        host,
        uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
    ))
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_says_where_to_connect() {
        let of = |uri: &str| {
            let uri: Uri = uri.parse().unwrap();
            destination(&uri).map(|(host, port)| (host.to_owned(), port))
        };
        assert_eq!(of("http://here:81/x").unwrap(), ("here".into(), 81));
        assert_eq!(of("http://[::1]/").unwrap(), ("::1".into(), 80));
        assert_eq!(of("https://there").unwrap(), ("there".into(), 443));
        assert_eq!(of("/path").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
