//! The protocol over simulated networks: whole connections, every fault, bytes compared one by one.
//!
//! A failing test prints its seed; `AQUEDUCT_SEED=<seed> cargo test --test sim <name>` runs that one again.
//! `AQUEDUCT_SCENARIOS=<count>` lengthens the random part.

#[cfg(feature = "rpc")]
mod calls;
mod clocks;
mod close;
mod close_races;
mod details;
#[cfg(feature = "rpc")]
mod detect;
mod determinism;
mod ecn;
mod handshake;
mod icmp;
mod idle;
mod limits;
mod loss;
mod masks;
mod orders;
mod partition;
mod path_mtu;
mod random;
mod rebind;
mod reorder;
mod restart;
mod states;
mod trace;
mod transfer;
mod windows;
mod zero_window;

use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::sim::{App, ConnectionKey, HostId, Link, Sim, apps};

/// A client and a server with one path between them.
struct Pair {
    sim: Sim,
    client: HostId,
    server: HostId,
}

impl Pair {
    fn new(seed: u64, link: Link) -> Self {
        let mut sim = Sim::new(seed);
        let (client, server) = (sim.add_host("client"), sim.add_host("server"));
        sim.link(client, server, link);
        Pair {
            sim,
            client,
            server,
        }
    }

    fn listen<A: App + 'static>(&mut self, make: impl FnMut() -> A + 'static) {
        self.sim.listen(self.server, Config::default(), make);
    }

    fn connect(&mut self, app: impl App + 'static) -> ConnectionKey {
        self.sim
            .connect(self.client, self.server, Config::default(), app)
    }

    /// Runs until both ends of this connection are over.
    fn run_to_close(&mut self, key: ConnectionKey, limit: Duration) {
        let is_over = |sim: &Sim, key| sim.is_closed(key) && sim.has_left(key);
        let done = self.sim.run_until(limit, |sim| {
            is_over(sim, key) && sim.peer(key).is_none_or(|peer| is_over(sim, peer))
        });
        if !done {
            let reports: Vec<_> = self
                .sim
                .connections()
                .map(|key| self.sim.report(key))
                .collect();
            self.sim
                .fail(&format!("not closed within {limit:?}: {reports:#?}"));
        }
    }

    /// The server's end of the connection.
    fn peer(&self, key: ConnectionKey) -> ConnectionKey {
        self.sim.peer(key).expect("the server accepted it")
    }

    /// A transfer of `bytes` up, checked byte by byte; the time from connecting to the reader's end of stream.
    fn upload(&mut self, bytes: u64, limit: Duration) -> Duration {
        self.upload_by(Congestion::default(), bytes, limit)
    }

    /// The same with an algorithm of one's own choice.
    fn upload_by(&mut self, congestion: Congestion, bytes: u64, limit: Duration) -> Duration {
        let begin = self.sim.now();
        // The reader's FIN may be lost many times in a row: neither side gives up.
        let patient = Config::default().with_user_timeout(None);
        let sink = || apps::Transfer::sink().expecting(5);
        self.sim.listen(self.server, patient, sink);
        let config = Config::default()
            .with_congestion(congestion)
            .with_connect_timeout(limit)
            .with_user_timeout(None);
        let app = apps::Transfer::send(bytes).label(5);
        let key = self.sim.connect(self.client, self.server, config, app);
        self.run_to_close(key, limit);
        let report = self.sim.report(self.peer(key));
        assert_eq!(report.read, bytes);
        assert_eq!(report.failure, None);
        assert_eq!(self.sim.report(key).failure, None);
        report.end_at.expect("the end of the stream") - begin
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
