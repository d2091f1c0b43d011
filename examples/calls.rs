//! A server and a client: calls with values, a deadline, an effect that happens once, and a small call beside a long one.
//!
//! `cargo run --release --features rpc --example calls`

use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aqueduct::msg::{
    BodyReader, CallCx, CallOptions, Class, ClientConfig, Codec, DedupTable, Hello, Json, Pool,
    Reply, RpcServer, Seen, Sequencer, ServerConfig, Service, Status, code,
};
use aqueduct::{Endpoint, Listener, drain};

const ADD: u16 = 1;
const DEPOSIT: u16 = 2;
const COUNT: u16 = 3;
const DREAM: u16 = 4;

/// A bank with one account, which also counts bytes and dreams.
struct Bank {
    state: Mutex<(u64, DedupTable)>,
}

impl Service for Bank {
    fn call(&self, cx: &CallCx, mut body: BodyReader) -> Result<Reply, Status> {
        match cx.method {
            ADD => {
                let (a, b): (i64, i64) = Json.decode(&whole(body)?)?;
                Ok(Reply::Whole(Json.encode(&a.saturating_add(b))?))
            }
            DEPOSIT => self.deposit(cx, body),
            COUNT => {
                let counted = std::io::copy(&mut body, &mut std::io::sink());
                let counted = counted.map_err(|error| Status::new(500, error.to_string()))?;
                Ok(Reply::Whole(Json.encode(&counted)?))
            }
            DREAM => {
                while !cx.is_cancelled() {
                    thread::yield_now();
                }
                Err(Status::new(500, "woken up"))
            }
            method => Err(Status::refused(
                code::UNKNOWN_METHOD,
                format!("no method {method}"),
            )),
        }
    }
}

impl Bank {
    /// Whoever repeats a deposit gets the answer of the first, and no second one.
    fn deposit(&self, cx: &CallCx, body: BodyReader) -> Result<Reply, Status> {
        let Some(key) = cx.ext.idem else {
            return Err(Status::refused(400, "a deposit needs a key"));
        };
        let amount: u64 = Json.decode(&whole(body)?)?;
        let mut state = self
            .state
            .lock()
            .map_err(|_| Status::new(500, "a handler panicked"))?;
        let (balance, table) = &mut *state;
        match table.begin(&key) {
            Seen::New => {
                *balance += amount;
                let answer = Json.encode(balance)?;
                table.finish(&key, answer.to_vec());
                Ok(Reply::Whole(answer))
            }
            Seen::Done(answer) => Ok(Reply::Whole(answer)),
            Seen::Expired => Err(Status::refused(code::SESSION_EXPIRED, "who are you?")),
            other => Err(Status::refused(code::IN_PROGRESS, format!("{other:?}"))),
        }
    }
}

fn whole(body: BodyReader) -> Result<bytes::Bytes, Status> {
    body.read_whole(1 << 20)
        .map_err(|error| Status::refused(code::TOO_LARGE, error.to_string()))
}

/// Serves on a port of this machine.
fn start_server() -> Result<SocketAddr, Box<dyn Error>> {
    let mut table = DedupTable::default();
    table.open(7);
    let bank = Bank {
        state: Mutex::new((0, table)),
    };
    let hello = Hello {
        node: "bank".into(),
        incarnation: 1,
        ..Hello::default()
    };
    let server = RpcServer::with_service(hello, ServerConfig::default(), bank);
    let listener = Listener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || server.serve(&listener));
    Ok(address)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = start_server()?;
    let endpoint = Endpoint::bind("127.0.0.1:0")?;
    let hello = Hello {
        node: "teller".into(),
        expect_node: "bank".into(),
        ..Hello::default()
    };
    let connect = move |_| endpoint.connect(address);
    let pool = Arc::new(Pool::new(connect, hello, ClientConfig::default(), 1));
    let client = pool.client(Class::NORMAL)?;
    println!("connected to {:?} at {address}", client.peer().node);

    let sum: i64 = client.call_value(&Json, ADD, &(40, 2))?;
    println!("40 + 2 = {sum}");

    let mut calls = Sequencer::new(7);
    let options = CallOptions {
        idem: Some(calls.next_key()),
        ..CallOptions::default()
    };
    for attempt in 1..=3 {
        let balance = client.call_with(DEPOSIT, Json.encode(&100)?, &options)?;
        println!(
            "deposit of 100, attempt {attempt}: the balance is {}",
            String::from_utf8_lossy(&balance)
        );
    }

    let options = CallOptions {
        timeout: Some(Duration::from_millis(50)),
        ..CallOptions::default()
    };
    match client.call_with(DREAM, bytes::Bytes::new(), &options) {
        Err(error) => println!(
            "a dream: {error} (may it have been executed? {})",
            error.maybe_executed()
        ),
        Ok(_) => return Err("nobody wakes up from that".into()),
    }
    beside_a_long_one(&pool)?;
    drop((client, pool));
    drain(Duration::from_secs(2));
    Ok(())
}

/// Sixty-four mebibytes in one class, small calls in another at the same time.
fn beside_a_long_one(pool: &Arc<Pool>) -> Result<(), Box<dyn Error>> {
    let bulk = pool.client(Class::BULK)?;
    let (mut request, mut answer) = bulk.call_streaming(COUNT, &CallOptions::default())?;
    let writer = thread::spawn(move || -> std::io::Result<()> {
        for _ in 0..1_024 {
            request.write_all(&[7; 65_536])?;
        }
        request.finish();
        Ok(())
    });
    let control = pool.client(Class::CONTROL)?;
    let mut small = 0;
    while !writer.is_finished() || small == 0 {
        let sum: i64 = control.call_value(&Json, ADD, &(small, 1))?;
        small = sum;
    }
    writer.join().map_err(|_| "the writer panicked")??;
    let mut counted = String::new();
    answer.read_to_string(&mut counted)?;
    println!(
        "{counted} bytes in one call, {} small calls meanwhile",
        small
    );
    Ok(())
}
