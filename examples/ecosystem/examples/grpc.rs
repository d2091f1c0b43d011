//! A tonic server and client: `cargo run --example grpc`.

use aqueduct::tokio::Listener;
use aqueduct_ecosystem::{Error, grpc};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = tokio::spawn(grpc::serve(listener));
    grpc::call(addr).await?;
    server.abort();
    println!("gRPC over aqueduct: tonic answered one call once and another with a stream");
    Ok(())
}
