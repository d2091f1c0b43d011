//! Pools for threads: peers that come late, go, and come again.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aqueduct::discovery::Resolve;
use aqueduct::msg::{
    CallCx, CallOptions, Class, Hello, Pool, PoolConfig, RpcError, RpcServer, ServerConfig,
};
use aqueduct::{Config, Listener};
use bytes::Bytes;

use crate::alone;
use crate::support::wait::{each_ip, eventually};

const A: Class = Class::NORMAL;

/// Where the server is now, as a registry says.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<Vec<SocketAddr>>>);

impl Resolve for Registry {
    fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        Ok(self.0.lock().expect("no panic").clone())
    }
}

/// A server that says which one it is, until it is dropped.
fn serve(addr: SocketAddr, name: &'static str) -> (SocketAddr, Arc<RpcServer>) {
    let answer = move |_: &CallCx, _: Bytes| Ok(Bytes::from_static(name.as_bytes()));
    let server = RpcServer::new(Hello::default(), ServerConfig::default(), answer);
    let server = Arc::new(server);
    let listener = Listener::bind(addr).expect("a free port");
    let addr = listener.local_addr().expect("bound");
    let theirs = Arc::downgrade(&server);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(server) = theirs.upgrade() else {
                return;
            };
            server
                .serve_stream(stream.expect("a connection"))
                .expect("threads");
        }
    });
    (addr, server)
}

fn hasty() -> PoolConfig {
    PoolConfig {
        pause_min: Duration::from_millis(2),
        pause_max: Duration::from_millis(10),
        wait: Duration::from_secs(30),
        ..PoolConfig::default()
    }
}

fn call(pool: &Pool) -> Result<Bytes, RpcError> {
    pool.call(A, 1, Bytes::new(), &CallOptions::default())
}

#[test]
fn calls_wait_for_a_peer_that_comes_late_and_find_it_where_it_has_moved() {
    let _alone = alone();
    each_ip(|addr| {
        let registry = Registry::default();
        let pool = Pool::to(
            registry.clone(),
            Config::default(),
            Hello::default(),
            hasty(),
        );
        let pool = Arc::new(pool);
        let (say, answers) = mpsc::channel();
        for _ in 0..8 {
            let (pool, say) = (pool.clone(), say.clone());
            thread::spawn(move || say.send(call(&pool)));
        }
        eventually("they all wait, or try", || {
            let state = pool.state(A);
            state.last_error.is_some() && state.waiting + state.connecting >= 7
        });
        let (first, server) = serve(addr, "first");
        *registry.0.lock().expect("no panic") = vec![first];
        for _ in 0..8 {
            let answer = answers.recv().expect("the thread says");
            assert_eq!(answer.expect("an answer"), "first");
        }
        assert_eq!(pool.connections(), 1);
        let (second, _server) = serve(addr, "second");
        *registry.0.lock().expect("no panic") = vec![second];
        drop(server);
        eventually("its connection is closed", || pool.state(A).open == 0);
        assert_eq!(call(&pool).expect("an answer"), "second");
    });
}

#[test]
fn who_waits_does_so_for_a_time_and_a_wrong_peer_for_none() {
    let _alone = alone();
    each_ip(|addr| {
        let config = PoolConfig {
            wait: Duration::from_millis(50),
            ..hasty()
        };
        let (stream, hello) = (Config::default(), Hello::default());
        let pool = Pool::to(Registry::default(), stream.clone(), hello.clone(), config);
        let error = call(&pool).expect_err("nobody is there");
        assert!(matches!(error, RpcError::NotSent(_)), "{error}");

        let (there, _server) = serve(addr, "there");
        let expect_node = "c".into();
        let wanted = Hello {
            expect_node,
            ..hello.clone()
        };
        let pool = Pool::to(there, stream.clone(), wanted, hasty());
        let error = call(&pool).expect_err("another one");
        assert!(matches!(error, RpcError::WrongPeer(_)), "{error}");

        // Idle for too long: closed when somebody looks.
        let idle_timeout = Some(Duration::from_millis(20));
        let config = PoolConfig {
            idle_timeout,
            ..hasty()
        };
        let pool = Pool::to(there, stream, hello, config);
        assert_eq!(call(&pool).expect("an answer"), "there");
        eventually("it is swept", || {
            pool.sweep().is_none() && pool.connections() == 0
        });
    });
}
