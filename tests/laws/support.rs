//! The laboratory: long flows over a bottleneck that they share, and what is measured of them.
//!
//! ```text
//!   sender 0 --+                                +-- receiver 0    each flow has its own hosts,
//!              +-- one queue, one rate (queue) --+                round trip and loss; the way
//!   sender 1 --+                                +-- receiver 1    back is never full
//! ```
#![allow(dead_code, reason = "each law uses its part")]

use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::connection::{Info, ReadError, WriteError};
use aqueduct::sim::{
    App, Bottleneck, BottleneckId, ConnectionKey, HostId, Io, Link, Loss, QueueMeter, Sim,
};
use aqueduct::time::Time;

/// Buffers and windows that limit no flow of any law.
const BUFFER: u32 = 256 << 20;
/// The step in which series are sampled where nothing else is said.
const MILLISECOND: Duration = Duration::from_millis(1);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Bits a second.
pub(crate) const fn mbit(megabits: u64) -> u64 {
    megabits * 1_000_000
}

/// Bytes that a path of this rate and round trip holds.
pub(crate) fn bdp(rate_bits: u64, rtt: Duration) -> u64 {
    u64::try_from(u128::from(rate_bits) * rtt.as_nanos() / 8_000_000_000).expect("a small product")
}

/// Jain's index of fairness: 1 if all have the same, 1/n if one has all.
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// The bottleneck of a standard path: a drop-tail queue of `bdps` times rate times round trip.
pub(crate) fn drop_tail(rate_bits: u64, rtt: Duration, bdps: f64) -> Bottleneck {
    let queue = (bdp(rate_bits, rtt) as f64 * bdps).max(3_000.0) as u64;
    Bottleneck::new().rate_bits(rate_bits).queue_bytes(queue)
}

/// A configuration in which nothing but congestion control bounds a flow.
pub(crate) fn config(congestion: Congestion) -> Config {
    Config::default()
        .with_congestion(congestion)
        .with_send_buffer(BUFFER as usize)
        .with_receive_window(BUFFER)
        .with_user_timeout(None)
}

/// Writes for ever, as much as it can, and reads what comes.
///
/// The connection's own send buffer is kept at `BACKLOG` bytes: enough that it is never empty, little
/// enough that a run stays cheap.
#[derive(Debug, Default)]
pub(crate) struct Endless;

/// Bytes that wait to be sent, beyond those in flight.
const BACKLOG: u64 = 512 << 10;

impl App for Endless {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        static BYTES: [u8; 64 << 10] = [0x5a; 64 << 10];
        loop {
            let info = io.info();
            if info.bytes_written.saturating_sub(info.bytes_sent) > BACKLOG / 2 {
                break;
            }
            match io.write(&BYTES) {
                Ok(_) => {}
                Err(WriteError::Blocked) => break,
                Err(_) => return,
            }
        }
        // A writer is told of room only after it was refused: it looks again by itself, four times as often as
        // the backlog needs at the present rate.
        let rate = io.info().pacing_rate.max(1);
        let lasts = Duration::from_micros((BACKLOG / 8).saturating_mul(1_000_000) / rate);
        io.wake_after(lasts.clamp(MILLISECOND, ms(50)));
    }
}

/// Reads for ever.
#[derive(Debug)]
pub(crate) struct Sink {
    buffer: Vec<u8>,
}

impl Sink {
    pub(crate) fn new() -> Self {
        Sink {
            buffer: vec![0; 256 << 10],
        }
    }
}

impl App for Sink {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        loop {
            match io.read(&mut self.buffer) {
                Ok(0) => return io.close(),
                Ok(_) => {}
                Err(ReadError::Blocked) => return,
                Err(_) => return io.close(),
            }
        }
    }
}

/// What a flow is to be.
#[derive(Clone, Debug)]
pub(crate) struct FlowPlan {
    /// The algorithm of the sender.
    pub(crate) congestion: Congestion,
    /// The round trip without queues.
    pub(crate) rtt: Duration,
    /// Loss before the bottleneck.
    pub(crate) loss: Loss,
    /// Loss on the way back.
    pub(crate) loss_back: Loss,
    /// Whether the flow goes through the bottleneck.
    pub(crate) is_shared: bool,
}

impl FlowPlan {
    pub(crate) fn new(congestion: Congestion, rtt: Duration) -> Self {
        FlowPlan {
            congestion,
            rtt,
            loss: Loss::None,
            loss_back: Loss::None,
            is_shared: true,
        }
    }

    pub(crate) fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    pub(crate) fn loss_back(mut self, loss: Loss) -> Self {
        self.loss_back = loss;
        self
    }
}

/// One flow at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) key: ConnectionKey,
    pub(crate) sender: HostId,
    pub(crate) receiver: HostId,
    pub(crate) started: Time,
}

/// One look at a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) at: Time,
    pub(crate) cwnd: u64,
    pub(crate) ssthresh: u64,
    pub(crate) inflight: u64,
    pub(crate) srtt: Duration,
    pub(crate) pacing_rate: u64,
    /// Bytes acknowledged since the beginning.
    pub(crate) acked: u64,
    pub(crate) packets_lost: u64,
    /// Bytes in the bottleneck's queue, of all flows.
    pub(crate) queued: u64,
}

/// Bytes that every flow's reader had read at an instant.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    at: Time,
    read: Vec<u64>,
}

/// Flows over one bottleneck.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) queue: BottleneckId,
    pub(crate) flows: Vec<Flow>,
}

impl Lab {
    /// A bottleneck without flows; the seed is `AQUEDUCT_SEED` where that is set.
    pub(crate) fn new(seed: u64, bottleneck: Bottleneck) -> Self {
        let mut sim = Sim::new(aqueduct::sim::seed(seed));
        sim.trace_mut().keep(0);
        let queue = sim.add_bottleneck(bottleneck);
        Lab {
            sim,
            queue,
            flows: Vec::new(),
        }
    }

    /// Starts a flow now that writes for ever; its number.
    pub(crate) fn start(&mut self, plan: FlowPlan) -> usize {
        let config = config(plan.congestion.clone());
        self.start_with(plan, config, Endless)
    }

    /// Starts a flow now with an application and a configuration of one's own; its number.
    pub(crate) fn start_with(
        &mut self,
        plan: FlowPlan,
        config: Config,
        app: impl App + 'static,
    ) -> usize {
        let number = self.flows.len();
        let sender = self.sim.add_host(&format!("sender {number}"));
        let receiver = self.sim.add_host(&format!("receiver {number}"));
        let way = Link::new().delay(plan.rtt / 2);
        let mut there = way.clone().loss(plan.loss);
        if plan.is_shared {
            there = there.through(self.queue);
        }
        self.sim.link_one_way(sender, receiver, there);
        let back = way.loss(plan.loss_back);
        self.sim.link_one_way(receiver, sender, back);
        let listening = self::config(Congestion::default());
        self.sim.listen(receiver, listening, Sink::new);
        let started = self.sim.now();
        let key = self.sim.connect(sender, receiver, config, app);
        self.flows.push(Flow {
            key,
            sender,
            receiver,
            started,
        });
        number
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.sim.run_for(time);
    }

    /// What a flow says of itself.
    pub(crate) fn info(&self, flow: usize) -> Info {
        self.sim
            .info(self.flows[flow].key)
            .expect("the flow is there")
    }

    /// The instant from which goodput counts; the meter of the queue begins anew, too.
    pub(crate) fn mark(&mut self) -> Mark {
        self.sim.reset_queue_meter(self.queue);
        Mark {
            at: self.sim.now(),
            read: (0..self.flows.len()).map(|flow| self.read(flow)).collect(),
        }
    }

    /// Bytes that a flow's reader has read.
    pub(crate) fn read(&self, flow: usize) -> u64 {
        self.sim
            .peer(self.flows[flow].key)
            .map_or(0, |peer| self.sim.report(peer).read)
    }

    /// Bits a second that a flow's reader has read since the mark.
    pub(crate) fn goodput(&self, flow: usize, since: &Mark) -> f64 {
        let read = self.read(flow) - since.read.get(flow).copied().unwrap_or(0);
        read as f64 * 8.0 / (self.sim.now() - since.at).as_secs_f64()
    }

    /// The goodput of every flow since the mark.
    pub(crate) fn goodputs(&self, since: &Mark) -> Vec<f64> {
        (0..self.flows.len())
            .map(|flow| self.goodput(flow, since))
            .collect()
    }

    /// How the bottleneck was used since the last mark.
    pub(crate) fn meter(&self) -> QueueMeter {
        self.sim.queue_meter(self.queue)
    }

    pub(crate) fn look(&self, flow: usize) -> Look {
        let info = self.info(flow);
        Look {
            at: self.sim.now(),
            cwnd: info.cwnd,
            ssthresh: info.ssthresh,
            inflight: info.bytes_in_flight,
            srtt: info.srtt.unwrap_or_default(),
            pacing_rate: info.pacing_rate,
            acked: info.bytes_acked,
            packets_lost: info.packets_lost,
            queued: self.sim.queued_bytes(self.queue),
        }
    }

    /// Looks at a flow every `step` for `time`.
    pub(crate) fn series(&mut self, flow: usize, step: Duration, time: Duration) -> Vec<Look> {
        let end = self.sim.now() + time;
        let mut looks = Vec::new();
        while self.sim.now() < end {
            self.sim.run_for(step);
            looks.push(self.look(flow));
        }
        looks
    }

    /// Looks at a flow once in each of its round trips for `time`.
    pub(crate) fn series_by_rtt(&mut self, flow: usize, time: Duration) -> Vec<Look> {
        let end = self.sim.now() + time;
        let mut looks = Vec::new();
        while self.sim.now() < end {
            let rtt = self.info(flow).srtt.unwrap_or(MILLISECOND);
            self.sim.run_for(rtt.max(Duration::from_micros(10)));
            looks.push(self.look(flow));
        }
        looks
    }

    /// The longest time without a byte for a flow's reader, from now on for `time`, exact to a quarter of a
    /// millisecond; and when it ended.
    pub(crate) fn longest_gap(&mut self, flow: usize, time: Duration) -> (Duration, Time) {
        let end = self.sim.now() + time;
        let (mut read, mut since) = (self.read(flow), self.sim.now());
        let mut longest = (Duration::ZERO, since);
        while self.sim.now() < end {
            self.sim.run_for(Duration::from_micros(250));
            let now = self.sim.now();
            let is_new = self.read(flow) > read;
            if now - since > longest.0 {
                longest = (now - since, now);
            }
            if is_new {
                (read, since) = (self.read(flow), now);
            }
        }
        longest
    }

    /// The probe timeout of a flow without back-off (RFC 9002 s6.2.1), from what the connection says of itself.
    pub(crate) fn probe_timeout(&self, flow: usize) -> Duration {
        let info = self.info(flow);
        let delay = Config::default().max_ack_delay();
        info.srtt.unwrap_or_default() + (4 * info.rttvar).max(MILLISECOND) + delay
    }

    /// The mean of the window over the looks of a series, bytes.
    pub(crate) fn mean_cwnd(looks: &[Look]) -> f64 {
        looks.iter().map(|look| look.cwnd as f64).sum::<f64>() / looks.len() as f64
    }
}
