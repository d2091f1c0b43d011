//! The programs through a relay, without loss and with 5 % of it. (G2 is the example `head_of_line`.)

#[path = "../../../tests/support/mod.rs"]
mod support;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use aqueduct::tokio::Listener;
use aqueduct_ecosystem::{Error, grpc, http, tls, websocket};
use support::relay::{Impairment, Relay};
use tokio::runtime::Runtime;

/// No program takes longer: it hangs.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A listener, a relay towards it, and the client's program.
fn through_relay<F, G>(program: impl Fn(Listener, SocketAddr) -> (F, G))
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
    G: Future<Output = Result<(), Error>>,
{
    for loss in [0.0, 0.05] {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let listener = Listener::bind("127.0.0.1:0").await.expect("a socket");
            let server = listener.local_addr().expect("an address");
            let impairment = Impairment {
                loss,
                seed: 42,
                ..Impairment::default()
            };
            let relay = Relay::start(server, impairment);
            let (serve, call) = program(listener, relay.addr());
            let server = tokio::spawn(serve);
            let called = tokio::time::timeout(WATCHDOG, call).await;
            called
                .expect("the client hangs")
                .expect("the client has its answers");
            server.abort();
        });
    }
}

#[test]
fn g1_an_axum_server_serves_a_hyper_client() {
    through_relay(|listener, addr| {
        let serve = async { Ok(http::serve(listener).await?) };
        (serve, http::call(addr))
    });
}

#[test]
fn g3_a_client_that_has_shut_its_writing_side_still_gets_its_answer() {
    through_relay(|listener, addr| {
        let serve = async move { http::serve_half_closed(&listener).await };
        (serve, http::call_half_closed(addr))
    });
}

#[test]
fn g1_a_tonic_server_answers_once_and_with_a_stream() {
    through_relay(|listener, addr| (grpc::serve(listener), grpc::call(addr)));
}

#[test]
fn g1_rustls_encrypts_there_and_back() {
    through_relay(|listener, addr| {
        let server = tls::Server::new().expect("a certificate");
        let certificate = server.certificate.clone();
        let serve = async move { server.serve(&listener).await };
        (serve, tls::call(addr, certificate))
    });
}

#[test]
fn g1_every_websocket_message_comes_back() {
    through_relay(|listener, addr| {
        let serve = async move { websocket::serve(&listener).await };
        (serve, websocket::call(addr))
    });
}
