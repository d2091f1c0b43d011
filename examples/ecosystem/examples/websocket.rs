//! A WebSocket echo: `cargo run --example websocket`.

use aqueduct::tokio::Listener;
use aqueduct_ecosystem::{Error, websocket};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let (served, called) = tokio::join!(websocket::serve(&listener), websocket::call(addr));
    served.and(called)?;
    println!("WebSocket over aqueduct: every message came back");
    Ok(())
}
