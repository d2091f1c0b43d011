//! gRPC: a tonic server and client, one call with one answer, and one with many.
//!
//! What `protoc` would generate is written out here, with a codec for plain text, so that nothing else is needed.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use aqueduct::tokio::{Connector, Incoming, Listener};
use bytes::{Buf, BufMut};
use futures_util::{Stream, StreamExt, stream};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, ServerStreamingService, UnaryService};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tower_service::Service;

use crate::Error;

/// Answers of the streaming call.
const STEPS: u32 = 500;

/// Messages as plain text.
#[derive(Clone, Copy, Debug, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Text;
    type Decoder = Text;

    fn encoder(&mut self) -> Text {
        Text
    }

    fn decoder(&mut self) -> Text {
        Text
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining()).to_vec();
        let text = String::from_utf8(bytes).map_err(|_| Status::data_loss("not text"))?;
        Ok(Some(text))
    }
}

/// The server's methods.
#[derive(Clone, Copy, Debug)]
struct Waterworks;

impl NamedService for Waterworks {
    const NAME: &'static str = "example.Waterworks";
}

impl Service<http::Request<Body>> for Waterworks {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match request.uri().path() {
                "/example.Waterworks/Greet" => grpc.unary(Greet, request).await,
                "/example.Waterworks/Flow" => grpc.server_streaming(Flow, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Greet;

impl UnaryService<String> for Greet {
    type Response = String;
    type Future = Ready<Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let from = request.remote_addr().map(|addr| addr.ip().to_string());
        let from = from.unwrap_or_default();
        ready(Ok(Response::new(format!(
            "{} at {from}",
            request.into_inner()
        ))))
    }
}

struct Flow;

impl ServerStreamingService<String> for Flow {
    type Response = String;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let name = request.into_inner();
        let steps = stream::iter(0..STEPS).map(move |step| Ok(format!("{name} {step}")));
        let steps: Self::ResponseStream = Box::pin(steps);
        ready(Ok(Response::new(steps)))
    }
}

/// A tonic server over aqueduct.
pub async fn serve(listener: Listener) -> Result<(), Error> {
    Server::builder()
        .add_service(Waterworks)
        .serve_with_incoming(Incoming::new(listener))
        .await?;
    Ok(())
}

/// A tonic client over aqueduct: one call with one answer, one with many.
pub async fn call(addr: SocketAddr) -> Result<(), Error> {
    let endpoint = Endpoint::from_shared(format!("http://{addr}"))?;
    let channel = endpoint
        .connect_with_connector(Connector::default())
        .await?;
    let mut grpc = tonic::client::Grpc::new(channel);

    is_ready(&mut grpc).await?;
    let path = PathAndQuery::from_static("/example.Waterworks/Greet");
    let answer = grpc
        .unary(Request::new("river".to_owned()), path, Text)
        .await?;
    assert_eq!(answer.into_inner(), format!("river at {}", addr.ip()));

    is_ready(&mut grpc).await?;
    let path = PathAndQuery::from_static("/example.Waterworks/Flow");
    let answers = grpc
        .server_streaming(Request::new("step".to_owned()), path, Text)
        .await?;
    let mut answers = answers.into_inner();
    for step in 0..STEPS {
        assert_eq!(answers.message().await?, Some(format!("step {step}")));
    }
    assert_eq!(answers.message().await?, None);
    Ok(())
}

async fn is_ready<T: GrpcService<Body>>(grpc: &mut tonic::client::Grpc<T>) -> Result<(), Error> {
    grpc.ready().await.map_err(Into::into)?;
    Ok(())
}
