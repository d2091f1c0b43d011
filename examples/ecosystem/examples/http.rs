//! An axum server and a hyper client: `cargo run --example http`.

use aqueduct::tokio::Listener;
use aqueduct_ecosystem::{Error, http};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = tokio::spawn(http::serve(listener));
    http::call(addr).await?;
    server.abort();

    let listener = Listener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let (served, called) = tokio::join!(
        http::serve_half_closed(&listener),
        http::call_half_closed(addr)
    );
    served.and(called)?;
    println!("HTTP over aqueduct: axum served a hyper client, and one that had finished writing");
    Ok(())
}
