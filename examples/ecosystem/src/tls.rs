//! TLS: the way to an encrypted stream over aqueduct today.

use std::net::SocketAddr;
use std::sync::Arc;

use aqueduct::tokio::{Listener, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{Error, pattern};

/// Bytes of the message.
const LEN: usize = 500_000;

/// A server that answers one client with what it has sent. The certificate is made on the spot.
pub struct Server {
    acceptor: TlsAcceptor,
    /// What a client must trust.
    pub certificate: CertificateDer<'static>,
}

impl Server {
    /// A server with a new certificate for the name `localhost`.
    pub fn new() -> Result<Self, Error> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())?;
        Ok(Server {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        })
    }

    /// Answers one client.
    pub async fn serve(&self, listener: &Listener) -> Result<(), Error> {
        let (stream, _) = listener.accept().await?;
        let mut stream = self.acceptor.accept(stream).await?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await?;
        stream.write_all(&got).await?;
        stream.shutdown().await?;
        Ok(())
    }
}

/// A client that trusts this one certificate.
pub async fn call(addr: SocketAddr, certificate: CertificateDer<'static>) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = Stream::connect(addr).await?;
    let mut stream = connector
        .connect(ServerName::try_from("localhost")?, stream)
        .await?;
    let sent = pattern(LEN);
    stream.write_all(&sent).await?;
    // The writing side ends, here by TLS's own alert and a FIN; the answer still comes.
    stream.shutdown().await?;
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await?;
    assert_eq!(got, sent);
    Ok(())
}
