//! Scenarios drawn at random: paths, faults, applications, congestion control, clocks. Whatever happens, no byte
//! is lost, doubled, moved or changed, and once the faults are over every connection comes to its end.

use std::time::Duration;

use aqueduct::config::{Config, Keepalive};
use aqueduct::congestion::{AckSample, Congested, Congestion, Controller};
use aqueduct::error::{CloseReason, ResetCode};
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{
    Bottleneck, BottleneckId, ConnectionKey, EcnFault, HostId, Link, Loss, Reorder, Rng, Sim, seeds,
};

use crate::{ms, secs};

/// Scenarios of a run; `AQUEDUCT_SCENARIOS` asks for more.
const SCENARIOS: u64 = 5_000;
/// Scenarios run beside each other on so many processors at most.
const THREADS_MAX: u64 = 16;
/// How long faults last; after it the path is clean.
const FAULTY: Duration = Duration::from_secs(20);
/// How long a connection may take to open: longer than all faults.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3_000);

/// Something that happens once, in mid flow.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Partition(Duration),
    CutUp(Duration),
    CutDown(Duration),
    Rebind,
    PauseClient(Duration),
    PauseServer(Duration),
    RefuseSends(Duration),
    /// The path takes smaller datagrams from now on, or larger ones again.
    Mtu(usize),
    /// The path has another rate from now on, so many tenths of the one before.
    Rate(u64),
    /// The way is longer from now on.
    Delay(Duration),
    RestartServer,
}

/// One scenario: all of it follows from the seed.
#[derive(Clone, Debug)]
struct Scenario {
    seed: u64,
    up: Link,
    down: Link,
    connections: u64,
    client: Transfer,
    server: Transfer,
    endings: (Ending, Ending),
    windows: (u32, u32),
    disturbances: Vec<(Duration, Disturbance)>,
    conditions: Conditions,
}

/// What is drawn beside the path and the applications.
#[derive(Clone, Debug)]
struct Conditions {
    /// Of the client and of the server.
    congestion: [Congestion; 2],
    /// What the way up leads through, if anything.
    bottleneck: Option<Bottleneck>,
    /// The way down leads through the same, as in a network of one radio channel.
    is_half_duplex: bool,
    /// Steps of both clocks, lateness of all timers.
    clock_step: Duration,
    timer_lateness: Duration,
}

impl Scenario {
    fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "scenario");
        let clean = clean_link(&mut rng);
        let rate = clean.serialization(1_000_000);
        // What passes in about ten seconds, at most 400 kB.
        let share = secs(10).as_secs_f64() / rate.as_secs_f64().max(0.001);
        let largest = [400_000, 100_000, 20_000, 3_000]
            .into_iter()
            .find(|bytes| *bytes as f64 <= share * 1e6)
            .unwrap_or(3_000);
        let connections = rng.pick(&[1, 1, 1, 2, 4]);
        let bytes = (
            rng.below(largest) / connections,
            rng.below(largest) / connections,
        );
        let endings = endings(&mut rng);
        let (client, server) = (app(&mut rng, bytes.0), app(&mut rng, bytes.1));
        let windows = (window(&mut rng), window(&mut rng));
        let disturbances = (0..rng.pick(&[0, 0, 1, 1, 2, 4]))
            .map(|_| (rng.duration(secs(5)), disturbance(&mut rng)))
            .collect();
        let conditions = conditions(&mut Rng::new(seed, "conditions"), &clean);
        Scenario {
            seed,
            up: faulty(&mut rng, clean.clone()),
            down: faulty(&mut rng, clean),
            connections,
            client: client.label(1).expecting(2).ending(endings.0),
            server: server.label(2).expecting(1).ending(endings.1),
            endings,
            windows,
            disturbances,
            conditions,
        }
    }

    fn is_orderly(&self) -> bool {
        let is_cut = |ending| matches!(ending, Ending::Abort(_) | Ending::Linger(_) | Ending::Drop);
        let restarts = self
            .disturbances
            .iter()
            .any(|(_, it)| matches!(it, Disturbance::RestartServer));
        !restarts && !is_cut(self.endings.0) && !is_cut(self.endings.1)
    }
}

fn conditions(rng: &mut Rng, clean: &Link) -> Conditions {
    let algorithms = [
        Congestion::NewReno,
        Congestion::Cubic,
        Congestion::Bbr,
        Congestion::Auto,
        Congestion::custom(|_| Box::new(FixedWindow(40_000))),
    ];
    let bottleneck = rng.chance(0.4).then(|| bottleneck(rng, clean));
    Conditions {
        congestion: [rng.pick(&algorithms), rng.pick(&algorithms)],
        bottleneck,
        is_half_duplex: rng.chance(0.3),
        clock_step: sometimes(rng, 0.1, &[ms(1), ms(4), ms(16)]),
        timer_lateness: sometimes(rng, 0.2, &[ms(1), ms(5), ms(30)]),
    }
}

/// With this probability one of these times.
fn sometimes(rng: &mut Rng, probability: f64, times: &[Duration]) -> Duration {
    if rng.chance(probability) {
        rng.pick(times)
    } else {
        Duration::ZERO
    }
}

/// A bottleneck as fast as the link that leads to it, or slower.
fn bottleneck(rng: &mut Rng, clean: &Link) -> Bottleneck {
    let megabyte = clean.serialization(1_000_000).as_secs_f64();
    let rate = if megabyte > 0.0 {
        (8e6 / megabyte) as u64
    } else {
        50_000_000
    };
    let rate = rate / rng.pick(&[1, 1, 2, 5]);
    let mut bottleneck = Bottleneck::new().rate_bits(rate);
    let queue = 1_500 * rng.pick(&[2, 10, 50, 200]);
    bottleneck = bottleneck.queue_bytes(queue);
    if rng.chance(0.5) {
        bottleneck = bottleneck.mark_above(queue / rng.pick(&[2, 4, 20]));
    }
    if rng.chance(0.3) {
        bottleneck = bottleneck.policer(rate / 2, rng.pick(&[3_000, 15_000, 100_000]));
    }
    if rng.chance(0.3) {
        bottleneck = bottleneck.bursts_every(rng.pick(&[ms(1), ms(5), ms(20)]));
    }
    bottleneck
}

/// A controller of a user who knows better: a window of so many bytes, whatever happens.
#[derive(Debug)]
struct FixedWindow(u64);

impl Controller for FixedWindow {
    fn on_ack(&mut self, _: &AckSample) {}
    fn on_congestion(&mut self, _: &Congested) {}
    fn on_mtu(&mut self, _: u16) {}

    fn cwnd(&self) -> u64 {
        self.0
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        let micros = u64::try_from(srtt.as_micros()).unwrap_or(u64::MAX).max(1);
        self.0 * 2_000_000 / micros
    }
}

fn clean_link(rng: &mut Rng) -> Link {
    let delays = [
        Duration::from_micros(1),
        Duration::from_micros(50),
        ms(1),
        ms(10),
        ms(50),
        ms(300),
        ms(1_500),
    ];
    let delay = up_to_one_of(rng, &delays);
    let link = Link::new().delay(delay);
    match rng.pick(&[
        10_000_u64,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
        10_000_000_000,
        0,
    ]) {
        0 => link,
        rate => link
            .rate_bits(rate)
            .queue_bytes(1_500 * rng.pick(&[2, 10, 50, 200, 1_000])),
    }
}

fn faulty(rng: &mut Rng, mut link: Link) -> Link {
    link = match rng.below(6) {
        0 => link,
        1 | 2 => link.loss(Loss::random(rng.pick(&[0.001, 0.01, 0.03, 0.1, 0.3, 0.5]))),
        3 | 4 => {
            let (mean, length) = (
                rng.pick(&[0.01, 0.05, 0.2]),
                rng.pick(&[2.0, 10.0, 50.0, 200.0]),
            );
            link.loss(Loss::bursts(mean, length))
        }
        _ => link.loss(Loss::EveryNth(rng.between(2, 50))),
    };
    if rng.chance(0.3) {
        link = link.duplicate(rng.unit() * 0.2, 5);
    }
    if rng.chance(0.3) {
        link = link.corrupt(rng.unit() * 0.1);
    }
    if rng.chance(0.2) {
        link = link.replay(rng.unit() * 0.1);
    }
    if rng.chance(0.2) {
        link = link.mtu(rng.pick(&[1_200, 1_300, 1_452, 1_472]));
    }
    if rng.chance(0.2) {
        link = link.mark(rng.pick(&[0.001, 0.05, 1.0]));
    }
    if rng.chance(0.2) {
        let faults = [
            EcnFault::Bleach,
            EcnFault::Ect1,
            EcnFault::Ce,
            EcnFault::Drop,
        ];
        link = link.ecn(rng.pick(&faults));
    }
    match rng.below(6) {
        0 => link.reorder(
            rng.unit() * 0.5,
            Reorder::Distance(rng.pick(&[1, 2, 3, 10, 60])),
        ),
        1 => link.reorder(rng.unit() * 0.5, Reorder::Delay(rng.duration(secs(1)))),
        2 => link.jitter(rng.duration(secs(1))),
        3 => link.reordering_jitter(up_to_one_of(rng, &[ms(1), ms(20), secs(1)])),
        _ => link,
    }
}

/// A time whose scale is drawn first.
fn up_to_one_of(rng: &mut Rng, scales: &[Duration]) -> Duration {
    let max = rng.pick(scales);
    rng.duration(max)
}

fn app(rng: &mut Rng, bytes: u64) -> Transfer {
    let mut app = Transfer::send(bytes);
    if rng.chance(0.3) {
        // Small pieces of a large stream would only cost time.
        app = app.writes_of(if bytes < 3_000 {
            1
        } else {
            rng.pick(&[100, 1_000, 5_000])
        });
    }
    if rng.chance(0.2) && bytes < 100_000 {
        app = app
            .writes_of(rng.pick(&[500, 2_000]))
            .writes_every(rng.duration(ms(20)));
    }
    if rng.chance(0.2) {
        app = app
            .reads_of(rng.pick(&[300, 3_000]))
            .reads_every(rng.duration(ms(5)));
    }
    if rng.chance(0.2) {
        app = app.reads_after(rng.duration(secs(8)));
    }
    app
}

fn endings(rng: &mut Rng) -> (Ending, Ending) {
    let abort = Ending::Abort(ResetCode::from_application(777));
    match rng.below(16) {
        0..6 => (Ending::Shutdown, Ending::Shutdown),
        6..9 => (Ending::Shutdown, Ending::AfterPeer),
        9..12 => (Ending::AfterPeer, Ending::Shutdown),
        12 => (Ending::Drop, Ending::AfterPeer),
        13 => (Ending::AfterPeer, Ending::Drop),
        14 if rng.chance(0.5) => (abort, Ending::Shutdown),
        14 => (Ending::Linger(rng.duration(secs(2))), Ending::Shutdown),
        _ => (Ending::Shutdown, rng.pick(&[abort, Ending::Linger(ms(0))])),
    }
}

fn window(rng: &mut Rng) -> u32 {
    rng.pick(&[4_096, 10_000, 65_536, 262_144, 262_144, 1 << 20])
}

fn disturbance(rng: &mut Rng) -> Disturbance {
    let time = up_to_one_of(rng, &[ms(100), secs(2), secs(12)]);
    match rng.below(20) {
        0..2 => Disturbance::Partition(time),
        2..4 => Disturbance::CutUp(time),
        4..6 => Disturbance::CutDown(time),
        6..9 => Disturbance::Rebind,
        9..11 => Disturbance::PauseClient(time),
        11..13 => Disturbance::PauseServer(time),
        13..15 => Disturbance::RefuseSends(time),
        15 => Disturbance::Rate(rng.pick(&[1, 5, 20, 100])),
        16 => Disturbance::Delay(time / 10),
        17 | 18 => Disturbance::Mtu(rng.pick(&[1_200, 1_232, 1_400, 1_472, 9_000])),
        _ => Disturbance::RestartServer,
    }
}

fn disturb(sim: &mut Sim, client: HostId, server: HostId, what: Disturbance) {
    match what {
        Disturbance::Partition(time) => {
            sim.partition(client, server);
            sim.after(time, move |sim| sim.heal(client, server));
        }
        Disturbance::CutUp(time) => {
            sim.partition_one_way(client, server);
            sim.after(time, move |sim| sim.heal(client, server));
        }
        Disturbance::CutDown(time) => {
            sim.partition_one_way(server, client);
            sim.after(time, move |sim| sim.heal(client, server));
        }
        Disturbance::Rebind => sim.rebind(client),
        Disturbance::PauseClient(time) => sim.pause(client, time),
        Disturbance::PauseServer(time) => sim.pause(server, time),
        Disturbance::RefuseSends(time) => sim.refuse_sends(client, time),
        Disturbance::Mtu(bytes) => both_ways(sim, client, server, |link| link.mtu(bytes)),
        Disturbance::Rate(tenths) => both_ways(sim, client, server, |link| {
            let megabyte = link.serialization(1_000_000).as_secs_f64();
            if megabyte > 0.0 {
                link.rate_bits((8e5 / megabyte) as u64 * tenths)
            } else {
                link
            }
        }),
        Disturbance::Delay(time) => both_ways(sim, client, server, |link| link.delay(time)),
        Disturbance::RestartServer => sim.restart(server),
    }
}

fn both_ways(sim: &mut Sim, a: HostId, b: HostId, change: impl Fn(Link) -> Link) {
    sim.change_link(a, b, &change);
    sim.change_link(b, a, &change);
}

/// What a run of one scenario counts.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    packets: u64,
    faults: u64,
    bytes: u64,
    failed: u64,
    orderly: u64,
}

fn run(scenario: &Scenario) -> Tally {
    let mut sim = Sim::new(scenario.seed);
    let (client, server) = (sim.add_host("client"), sim.add_host("server"));
    let bottleneck = connect_hosts(&mut sim, client, server, scenario);
    let [at_client, at_server] = [0, 1].map(|end| config(scenario, end));
    let app = scenario.server.clone();
    sim.listen(server, at_server, move || app.clone());
    let keys: Vec<ConnectionKey> = (0..scenario.connections)
        .map(|_| sim.connect(client, server, at_client.clone(), scenario.client.clone()))
        .collect();
    for (at, what) in scenario.disturbances.clone() {
        sim.after(at, move |sim| disturb(sim, client, server, what));
    }
    sim.after(FAULTY, move |sim| {
        sim.heal(client, server);
        both_ways(sim, client, server, Link::without_faults);
        if let Some(id) = bottleneck {
            sim.change_bottleneck(id, Bottleneck::without_policer);
        }
    });
    let is_over = sim.run_until(FAULTY * 100, |sim| {
        let mut all = sim.connections();
        all.all(|key| sim.is_closed(key) && sim.has_left(key))
    });
    if !is_over {
        sim.fail(&format!("a stall\n{scenario:#?}"));
    }
    check(scenario, &sim, &keys);
    let left = |sim: &Sim| [client, server].map(|host| sim.endpoint_len(host));
    // I15: what is over is forgotten, TIME_WAIT included.
    if !sim.run_until(FAULTY * 100, |sim| left(sim) == [(0, 0); 2]) {
        sim.fail(&format!("I15: {:?} left\n{scenario:#?}", left(&sim)));
    }
    // Nothing is left to happen but deadlines that were moved; the last is that of connecting.
    if !sim.run_to_end(CONNECT_TIMEOUT * 2) {
        sim.fail(&format!("no end: {sim:?}\n{scenario:#?}"));
    }
    tally(&sim, client, server, scenario)
}

/// Links, and what they lead through; clocks.
fn connect_hosts(
    sim: &mut Sim,
    client: HostId,
    server: HostId,
    scenario: &Scenario,
) -> Option<BottleneckId> {
    let conditions = &scenario.conditions;
    for host in [client, server] {
        sim.set_clock_step(host, conditions.clock_step);
        sim.set_timer_lateness(host, conditions.timer_lateness);
    }
    let (mut up, mut down) = (scenario.up.clone(), scenario.down.clone());
    let bottleneck = conditions.bottleneck.clone();
    let bottleneck = bottleneck.map(|it| sim.add_bottleneck(it));
    if let Some(id) = bottleneck {
        up = up.through(id);
        if conditions.is_half_duplex {
            down = down.through(id);
        }
    }
    sim.link_one_way(client, server, up);
    sim.link_one_way(server, client, down);
    bottleneck
}

/// The configuration of the client (0) or of the server (1).
fn config(scenario: &Scenario, end: usize) -> Config {
    // Keep-alive lets a side that only receives find out that the other is gone.
    let keepalive = Keepalive {
        idle: secs(30),
        interval: secs(10),
        count: 30,
    };
    let windows = [scenario.windows.0, scenario.windows.1];
    Config::default()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_user_timeout(Some(secs(400)))
        .with_keepalive(Some(keepalive))
        .with_receive_window(windows[end])
        .with_congestion(scenario.conditions.congestion[end].clone())
}

/// Everything that was written was read, where both applications wanted it.
fn check(scenario: &Scenario, sim: &Sim, keys: &[ConnectionKey]) {
    for &key in keys {
        let report = sim.report(key);
        if report.failure.is_some() {
            // No error may come from nowhere: an orderly conversation over a path that heals has none, unless
            // its handshake could not be proved in time.
            let explained = !scenario.is_orderly() || report.written + report.read == 0;
            // Its handshake may take too long: 30 s from the SYNACK to the first word of the server.
            let timed_out = matches!(report.failure, Some(CloseReason::TimedOut { .. }));
            let unproved = sim.peer(key).is_none() || timed_out && report.read == 0;
            if !explained && !unproved {
                sim.fail(&format!(
                    "an error without a reason: {report:?}\n{scenario:#?}"
                ));
            }
            continue;
        }
        if scenario.is_orderly() && !sim.is_delivered(key) {
            sim.fail(&format!("bytes are missing: {report:?}\n{scenario:#?}"));
        }
        if let Some(peer) = sim.peer(key) {
            if scenario.is_orderly() && !sim.is_delivered(peer) {
                sim.fail(&format!(
                    "bytes are missing: {:?}\n{scenario:#?}",
                    sim.report(peer)
                ));
            }
        }
    }
}

fn tally(sim: &Sim, client: HostId, server: HostId, scenario: &Scenario) -> Tally {
    let links = [
        sim.link_stats(client, server),
        sim.link_stats(server, client),
    ];
    let failed = sim
        .connections()
        .filter(|key| sim.report(*key).failure.is_some())
        .count();
    Tally {
        packets: sim.trace().count(),
        faults: links.iter().map(|stats| stats.faults()).sum(),
        bytes: sim.bytes_delivered(),
        failed: failed as u64,
        orderly: u64::from(scenario.is_orderly()),
    }
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.packets += other.packets;
        self.faults += other.faults;
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.orderly += other.orderly;
    }
}

#[test]
fn random_scenarios_lose_nothing_and_stall_never() {
    let wanted = std::env::var("AQUEDUCT_SCENARIOS")
        .ok()
        .and_then(|count| count.parse().ok());
    let all: Vec<u64> = seeds(1, wanted.unwrap_or(SCENARIOS)).collect();
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let threads = threads.min(THREADS_MAX) as usize;
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let all = &all;
        let parts: Vec<_> = (0..threads)
            .map(|part| {
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    for seed in all.iter().skip(part).step_by(threads) {
                        tally.add(run(&Scenario::random(*seed)));
                    }
                    tally
                })
            })
            .collect();
        for part in parts {
            total.add(part.join().expect("every scenario of this part passes"));
        }
    });
    println!(
        "{} scenarios, {total:?}: 0 bytes lost, doubled, moved or changed, 0 stalls",
        all.len()
    );
}
