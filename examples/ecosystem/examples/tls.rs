//! TLS with a certificate made on the spot: `cargo run --example tls`.

use aqueduct::tokio::Listener;
use aqueduct_ecosystem::{Error, tls};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = tls::Server::new()?;
    let certificate = server.certificate.clone();
    let (served, called) = tokio::join!(server.serve(&listener), tls::call(addr, certificate));
    served.and(called)?;
    println!("TLS over aqueduct: rustls carried half a megabyte there and back");
    Ok(())
}
