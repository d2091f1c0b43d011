//! Pools for tasks: peers that come late, go, and come again; what is repeated and what is not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aqueduct::Config;
use aqueduct::discovery::tokio::Resolve;
use aqueduct::msg::tokio::{CallCx, Pool, RpcServer};
use aqueduct::msg::{
    CallOptions, Class, DedupTable, Hello, IdemKey, PoolConfig, RpcError, Seen, ServerConfig,
    Status, code,
};
use aqueduct::tokio::{Listener, Stream};
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::bench::{Bench, ECHO, WAIT};
use crate::streams::in_a_runtime;

const A: Class = Class::NORMAL;

/// Where the server is now, as a registry says.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<Vec<SocketAddr>>>);

impl Registry {
    fn set(&self, addr: SocketAddr) {
        *self.0.lock().unwrap() = vec![addr];
    }
}

impl Resolve for Registry {
    async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// A server that can be ended with all its connections.
async fn serve(bench: &Bench) -> (SocketAddr, JoinHandle<()>) {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = bench.server.clone();
    let task = tokio::spawn(async move {
        let _ = server.serve(&listener).await;
    });
    (addr, task)
}

fn hasty() -> PoolConfig {
    PoolConfig {
        pause_min: Duration::from_millis(2),
        pause_max: Duration::from_millis(10),
        wait: Duration::from_secs(30),
        ..PoolConfig::default()
    }
}

#[test]
fn calls_wait_for_a_peer_that_comes_late_and_find_it_where_it_has_moved() {
    in_a_runtime(async || {
        let registry = Registry::default();
        let pool = Pool::to(
            registry.clone(),
            Config::default(),
            Hello::default(),
            hasty(),
        );
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let pool = pool.clone();
                let options = CallOptions::default();
                tokio::spawn(async move { pool.call(A, ECHO, "late".into(), &options).await })
            })
            .collect();
        // Nobody is known under the name.
        while pool.state(A).last_error.is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!((pool.state(A).waiting, pool.connections()), (20, 0));
        let bench = Bench::new();
        let (addr, task) = serve(&bench).await;
        registry.set(addr);
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap(), "late");
        }
        let state = pool.state(A);
        assert_eq!((state.open, state.waiting, state.last_error), (1, 0, None));

        // It ends, and another one begins elsewhere.
        task.abort();
        drop((task.await, bench));
        // A call before that is known might have been executed, and would not be repeated.
        while pool.state(A).open > 0 {
            tokio::task::yield_now().await;
        }
        let bench = Bench::new();
        let (addr, _task) = serve(&bench).await;
        registry.set(addr);
        let answer = pool
            .call(A, ECHO, "again".into(), &CallOptions::default())
            .await;
        assert_eq!(answer.unwrap(), "again");
    });
}

#[test]
fn who_waits_does_so_for_a_time_and_in_bounded_company() {
    in_a_runtime(async || {
        let config = PoolConfig {
            wait: Duration::from_millis(50),
            waiting: 3,
            ..hasty()
        };
        let pool = Pool::to(
            Registry::default(),
            Config::default(),
            Hello::default(),
            config,
        );
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let pool = pool.clone();
                let options = CallOptions::default();
                tokio::spawn(async move { pool.call(A, ECHO, "x".into(), &options).await })
            })
            .collect();
        let (mut crowded, mut waited) = (0, 0);
        for call in calls {
            match call.await.unwrap().unwrap_err() {
                RpcError::Overloaded => crowded += 1,
                RpcError::NotSent(_) => waited += 1,
                error => panic!("{error}"),
            }
        }
        assert_eq!((crowded, waited), (7, 3));
        assert_eq!(pool.state(A).waiting, 0);
        // A wrong peer does not become the right one by waiting.
        let bench = Bench::new();
        let (addr, _task) = serve(&bench).await;
        let expect_node = "c".into();
        let wanted = Hello {
            expect_node,
            ..Hello::default()
        };
        let pool = Pool::to(addr, Config::default(), wanted, hasty());
        let error = pool
            .call(A, ECHO, "x".into(), &CallOptions::default())
            .await;
        assert!(matches!(error, Err(RpcError::WrongPeer(_))));
    });
}

/// The pool of [`Pool::new`] says at once what has failed, to all who waited for the same attempt.
#[test]
fn without_patience_each_failure_shows_at_once() {
    in_a_runtime(async || {
        let attempts = Arc::new(AtomicUsize::new(0));
        let count = attempts.clone();
        let connect = move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Err::<Stream, _>(std::io::ErrorKind::ConnectionRefused.into()) }
        };
        let pool = Pool::new(connect, Hello::default(), Default::default(), 1);
        for _ in 0..5 {
            let error = pool.client(A).await.unwrap_err();
            assert!(matches!(error, RpcError::NotSent(_)));
        }
        assert_eq!(attempts.load(Ordering::SeqCst), 5);
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.client(A).await })
            })
            .collect();
        for caller in callers {
            assert!(caller.await.unwrap().is_err());
        }
        assert!(attempts.load(Ordering::SeqCst) < 55, "they share attempts");
    });
}

/// A connection that is cut in the midst of a call: without a key the caller learns that nobody knows, with one it is repeated, and
/// executed once.
#[test]
fn only_a_call_with_a_key_is_repeated_when_nobody_knows() {
    in_a_runtime(async || {
        let table = Arc::new(Mutex::new(DedupTable::default()));
        assert!(table.lock().unwrap().open(7));
        let effects = Arc::new(AtomicUsize::new(0));
        let registry = Registry::default();
        let mut servers = Vec::new();
        // The first server executes and is cut before it answers; the second has the same table.
        for is_cut in [true, false] {
            let (table, effects) = (table.clone(), effects.clone());
            let handler = move |cx: CallCx, _: Bytes| {
                let (table, effects) = (table.clone(), effects.clone());
                async move { execute(&cx, &table, &effects, is_cut).await }
            };
            let server = RpcServer::new(Hello::default(), ServerConfig::default(), handler);
            let listener = Listener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let task = tokio::spawn(async move {
                let _ = server.serve(&listener).await;
            });
            servers.push((addr, task));
        }
        registry.set(servers[0].0);
        let pool = Pool::to(
            registry.clone(),
            Config::default(),
            Hello::default(),
            hasty(),
        );
        let begin = |idem| {
            let (pool, options) = (
                pool.clone(),
                CallOptions {
                    idem,
                    ..CallOptions::default()
                },
            );
            tokio::spawn(async move { pool.call(A, 1, Bytes::new(), &options).await })
        };
        let key = |seq| IdemKey {
            client: 7,
            seq,
            ack_below: 1,
        };
        let (keyless, keyed) = (begin(None), begin(Some(key(1))));
        while effects.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        registry.set(servers[1].0);
        servers[0].1.abort();
        let error = keyless.await.unwrap().unwrap_err();
        assert!(error.maybe_executed(), "{error}");
        assert_eq!(keyed.await.unwrap().unwrap(), "done 1");
        assert_eq!(effects.load(Ordering::SeqCst), 2, "the repetition had none");
    });
}

async fn execute(
    cx: &CallCx,
    table: &Mutex<DedupTable>,
    effects: &AtomicUsize,
    is_cut: bool,
) -> Result<Bytes, Status> {
    let seen = cx.ext.idem.map(|key| table.lock().unwrap().begin(&key));
    match seen {
        None | Some(Seen::New) => {}
        Some(Seen::Done(answer)) => return Ok(answer),
        Some(Seen::Running) => return Err(Status::refused(code::IN_PROGRESS, "it runs")),
        Some(seen) => panic!("{seen:?}"),
    }
    effects.fetch_add(1, Ordering::SeqCst);
    let seq = cx.ext.idem.map_or(0, |key| key.seq);
    let answer = Bytes::from(format!("done {seq}"));
    if let Some(key) = cx.ext.idem {
        table.lock().unwrap().finish(&key, answer.to_vec());
    }
    if is_cut {
        cx.cancelled().await;
    }
    Ok(answer)
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    in_a_runtime(async || {
        let bench = Bench::new();
        let (addr, _task) = serve(&bench).await;
        let config = PoolConfig {
            idle_timeout: Some(Duration::from_millis(30)),
            ..hasty()
        };
        let pool = Pool::to(addr, Config::default(), Hello::default(), config);
        let (theirs, options) = (pool.clone(), CallOptions::default());
        let call = tokio::spawn(async move { theirs.call(A, WAIT, Bytes::new(), &options).await });
        bench.begun(1).await;
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert_eq!((pool.connections(), pool.state(A).calls), (1, 1));
        bench.shared.let_go.notify_one();
        assert_eq!(call.await.unwrap().unwrap(), "late");
        // Nobody asks, and it goes all the same.
        while bench.server.connections() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.connections(), 0);
        let answer = pool
            .call(A, ECHO, "back".into(), &CallOptions::default())
            .await;
        assert_eq!(answer.unwrap(), "back");
    });
}
