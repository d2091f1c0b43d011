//! A pipe for one flow: a bottleneck with a queue, a delay, losses by chance, and a sender that measures
//! what recovery measures. Small enough to be seen through, so that a test's figure is the controller's.

use std::collections::VecDeque;
use std::time::Duration;

use crate::congestion::bbr::arithmetic::Random;
use crate::congestion::bbr::{Bbr, State};
use crate::congestion::{
    AckSample, Cause, Congested, Controller, LostPacket, RateSample, Sent, Setup,
};
use crate::time::Time;
use crate::wire::PacketNumber;

/// Packets above a lost one that must have arrived.
const REORDERING: u64 = 3;

/// The path; may be changed while a flow runs.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// Bytes a second.
    pub(super) rate: u64,
    /// Round trip of the empty path.
    pub(super) rtt: Duration,
    /// Bytes that the queue holds.
    pub(super) queue: u64,
    /// Packets of a million that are lost by chance.
    pub(super) loss_ppm: u64,
    /// Acknowledgements arrive only at multiples of this.
    pub(super) aggregation: Duration,
    /// Bytes that pass a policer at once, and then only at `rate`; what is above is dropped, not queued.
    pub(super) policer_burst: Option<u64>,
}

impl Path {
    pub(super) fn new(rate: u64, rtt: Duration, queue: u64) -> Self {
        Path {
            rate,
            rtt,
            queue,
            loss_ppm: 0,
            aggregation: Duration::ZERO,
            policer_burst: None,
        }
    }

    /// Bytes that fill it.
    pub(super) fn bdp(&self) -> u64 {
        time_to_bytes(self.rate, self.rtt)
    }
}

/// What the application has to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum App {
    Bulk,
    /// Bytes a second.
    Rate(u64),
    Silent,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    number: u64,
    sent_at: Time,
    delivered: u64,
    delivered_time: Time,
    first_sent_time: Time,
    tx_in_flight: u64,
    lost: u64,
    app_limited: bool,
    /// When its acknowledgement arrives; `None` if it is dropped.
    acked_at: Option<Time>,
}

/// A flow over a path, and what was seen of it.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) bbr: Bbr,
    pub(super) path: Path,
    pub(super) app: App,
    pub(super) now: Time,
    mtu: u64,
    chance: Random,
    packets: VecDeque<Packet>,
    next_number: u64,
    pub(super) inflight: u64,
    pub(super) delivered: u64,
    delivered_time: Time,
    first_sent_time: Time,
    app_limited_until: u64,
    pub(super) lost: u64,
    limited_through: Option<u64>,
    reduced_from: u64,
    srtt: Option<Duration>,
    min_rtt: Duration,
    next_send: Time,
    app_credit_at: Time,
    free_at: Time,
    tokens: i128,
    tokens_at: Time,
    /// State and when it was entered.
    pub(super) states: Vec<(Time, State)>,
    /// Round trips measured since the last reading.
    pub(super) rtts: Vec<Duration>,
}

fn time_to_bytes(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_nanos() / 1_000_000_000).unwrap()
}

fn bytes_to_time(rate: u64, bytes: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap())
}

impl Flow {
    pub(super) fn new(path: Path) -> Self {
        Flow::with(path, Setup::new(1_200))
    }

    pub(super) fn with(path: Path, setup: Setup) -> Self {
        let start = Time::from_millis(1_000);
        let bbr = Bbr::new(setup);
        Flow {
            states: vec![(start, bbr.state)],
            bbr,
            path,
            app: App::Bulk,
            now: start,
            mtu: u64::from(setup.mtu),
            chance: Random::new(setup.seed ^ 0x5eed),
            packets: VecDeque::new(),
            next_number: 0,
            inflight: 0,
            delivered: 0,
            delivered_time: start,
            first_sent_time: start,
            app_limited_until: 0,
            lost: 0,
            limited_through: None,
            reduced_from: 0,
            srtt: None,
            min_rtt: Duration::MAX,
            next_send: start,
            app_credit_at: start,
            free_at: start,
            tokens: i128::MAX,
            tokens_at: start,
            rtts: Vec::new(),
        }
    }

    /// Lets time pass; returns the bytes delivered in it.
    pub(super) fn run(&mut self, time: Duration) -> u64 {
        let (end, before) = (self.now + time, self.delivered);
        self.run_while(end, |_| true);
        self.delivered - before
    }

    /// Runs until a state is entered or kept; panics if that takes longer than `most`.
    pub(super) fn run_until(&mut self, state: State, most: Duration) {
        let end = self.now + most;
        self.run_while(end, |flow| flow.bbr.state != state);
        assert_eq!(self.bbr.state, state, "{:?}", self.states);
    }

    /// Runs until `end`, or until `go_on` says no after an event.
    pub(super) fn run_while(&mut self, end: Time, go_on: impl Fn(&Flow) -> bool) {
        while go_on(self) {
            self.send_what_may_leave();
            let Some(next) = self.next_event().filter(|&at| at <= end) else {
                self.now = end;
                break;
            };
            self.now = self.now.max(next);
            self.take_acks();
        }
    }

    fn next_event(&self) -> Option<Time> {
        let ack = self.packets.iter().find_map(|packet| packet.acked_at);
        let timer = self
            .packets
            .back()
            .map(|last| last.sent_at + self.timeout());
        let send = self.may_send_at().filter(|_| self.has_room());
        [ack.or(timer), send].into_iter().flatten().min()
    }

    fn timeout(&self) -> Duration {
        self.srtt.unwrap_or(Duration::from_millis(333)) * 3 + Duration::from_millis(1)
    }

    fn has_room(&self) -> bool {
        self.inflight + self.mtu <= self.bbr.cwnd() || self.inflight == 0
    }

    fn may_send_at(&self) -> Option<Time> {
        match self.app {
            App::Bulk => Some(self.next_send),
            App::Rate(_) => Some(self.next_send.max(self.app_credit_at)),
            App::Silent => None,
        }
    }

    fn send_what_may_leave(&mut self) {
        let mut burst = 0;
        let quantum = self.bbr.send_quantum().unwrap_or(10 * self.mtu);
        while self.has_room() && self.may_send_at().is_some_and(|at| at <= self.now) {
            if let App::Rate(rate) = self.app {
                let began = self.app_credit_at.max(self.now - Duration::from_millis(20));
                self.app_credit_at = began + bytes_to_time(rate, self.mtu);
            }
            let is_last = self.app != App::Bulk && self.app_credit_at > self.now;
            self.send(is_last);
            burst += self.mtu;
            if burst + self.mtu > quantum || is_last {
                let rate = self.bbr.pacing_rate(self.srtt.unwrap_or(Duration::ZERO));
                self.next_send = self.next_send.max(self.now) + bytes_to_time(rate, burst);
                burst = 0;
            }
        }
        if burst > 0 {
            let rate = self.bbr.pacing_rate(self.srtt.unwrap_or(Duration::ZERO));
            self.next_send = self.next_send.max(self.now) + bytes_to_time(rate, burst);
        }
        let starved = self.app == App::Silent || self.app_credit_at > self.now;
        if self.app != App::Bulk && starved && self.has_room() {
            self.app_limited_until = (self.delivered + self.inflight).max(1);
        }
    }

    fn send(&mut self, is_last: bool) {
        if self.inflight == 0 {
            (self.first_sent_time, self.delivered_time) = (self.now, self.now);
        }
        self.bbr.on_sent(&Sent {
            now: self.now,
            size: self.mtu,
            inflight: self.inflight,
            app_limited: is_last && self.has_room(),
            idle: None,
        });
        self.inflight += self.mtu;
        let acked_at = self.through_the_path();
        self.packets.push_back(Packet {
            number: self.next_number,
            sent_at: self.now,
            delivered: self.delivered,
            delivered_time: self.delivered_time,
            first_sent_time: self.first_sent_time,
            tx_in_flight: self.inflight,
            lost: self.lost,
            app_limited: self.app_limited_until > 0,
            acked_at,
        });
        if !self.has_room() {
            self.limited_through = Some(self.next_number);
        }
        self.next_number += 1;
        self.note_state();
    }

    /// When the acknowledgement of a packet sent now arrives.
    fn through_the_path(&mut self) -> Option<Time> {
        let is_unlucky = self.chance.up_to(999_999) < self.path.loss_ppm;
        if let Some(burst) = self.path.policer_burst {
            let earned = time_to_bytes(self.path.rate, self.now - self.tokens_at);
            self.tokens_at = self.now;
            self.tokens = self.tokens.saturating_add(earned.into()).min(burst.into());
            if self.tokens < self.mtu.into() {
                return None;
            }
            self.tokens -= i128::from(self.mtu);
            return Some(self.now + self.path.rtt).filter(|_| !is_unlucky);
        }
        if self.queue_bytes() + self.mtu > self.path.queue + self.mtu || is_unlucky {
            return None;
        }
        self.free_at = self.free_at.max(self.now) + bytes_to_time(self.path.rate, self.mtu);
        let mut at = self.free_at + self.path.rtt;
        let tick = u64::try_from(self.path.aggregation.as_nanos()).unwrap();
        if tick > 0 {
            at = Time::from_nanos(at.as_nanos().div_ceil(tick) * tick);
        }
        Some(at)
    }

    /// Bytes that wait at the bottleneck.
    pub(super) fn queue_bytes(&self) -> u64 {
        time_to_bytes(self.path.rate, self.free_at - self.now)
    }

    fn take_acks(&mut self) {
        let before = self.inflight;
        let newest = self.settle_acked();
        let newly_acked = before - self.inflight;
        let timed_out = newest.is_none()
            && self.packets.iter().all(|packet| packet.acked_at.is_none())
            && (self.packets.back()).is_some_and(|last| last.sent_at + self.timeout() <= self.now);
        let lost_before = self.lost;
        if let Some(newest) = newest {
            self.lose_below(newest.number.saturating_sub(REORDERING - 1), before);
        } else if timed_out {
            self.lose_below(u64::MAX, before);
        }
        if let Some(newest) = newest {
            self.tell_acked(newest, newly_acked, before, self.lost - lost_before);
        }
        self.note_state();
    }

    /// Takes out what is acknowledged by now; returns the newest of it.
    fn settle_acked(&mut self) -> Option<Packet> {
        let mut newest = None;
        let now = self.now;
        let mut index = 0;
        while index < self.packets.len() {
            let packet = self.packets[index];
            match packet.acked_at {
                Some(at) if at <= now => {
                    self.packets.remove(index);
                    self.inflight -= self.mtu;
                    self.delivered += self.mtu;
                    self.delivered_time = now;
                    newest = Some(packet);
                }
                Some(_) => break,
                None => index += 1,
            }
        }
        newest
    }

    fn lose_below(&mut self, limit: u64, inflight: u64) {
        let mut congested = false;
        while let Some(packet) = self.packets.front().copied() {
            if packet.number >= limit || packet.acked_at.is_some() {
                break;
            }
            self.packets.pop_front();
            self.inflight -= self.mtu;
            self.lost += self.mtu;
            congested |= packet.number >= self.reduced_from;
            self.bbr.on_lost(&LostPacket {
                now: self.now,
                number: PacketNumber::new(packet.number),
                size: self.mtu,
                sent_at: packet.sent_at,
                prior_delivered: packet.delivered,
                tx_in_flight: packet.tx_in_flight,
                lost: self.lost - packet.lost,
                app_limited: packet.app_limited,
            });
        }
        if congested {
            self.reduced_from = self.next_number;
            self.bbr.on_congestion(&Congested {
                now: self.now,
                cause: Cause::Loss,
                inflight,
            });
        }
    }

    fn tell_acked(&mut self, newest: Packet, newly_acked: u64, before: u64, newly_lost: u64) {
        let rtt = self.now - newest.sent_at;
        self.rtts.push(rtt);
        self.min_rtt = self.min_rtt.min(rtt);
        self.srtt = Some(self.srtt.map_or(rtt, |srtt| (srtt * 7 + rtt) / 8));
        if self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        let send_elapsed = newest.sent_at - newest.first_sent_time;
        let ack_elapsed = self.now - newest.delivered_time;
        let interval = send_elapsed.max(ack_elapsed);
        self.first_sent_time = newest.sent_at;
        let delivered = self.delivered - newest.delivered;
        let nanos = interval.as_nanos().max(1);
        let rate = u64::try_from(u128::from(delivered) * 1_000_000_000 / nanos).unwrap();
        self.bbr.on_ack(&AckSample {
            now: self.now,
            newly_acked,
            growth: newly_acked,
            newly_lost,
            inflight_before: before,
            inflight: self.inflight,
            delivered: self.delivered,
            lost: self.lost,
            rtt: Some(rtt),
            srtt: self.srtt.unwrap(),
            min_rtt: self.min_rtt,
            rate: Some(RateSample {
                prior_delivered: newest.delivered,
                delivered,
                interval,
                rate: (interval >= self.min_rtt).then_some(rate),
                tx_in_flight: newest.tx_in_flight,
                lost: self.lost - newest.lost,
                app_limited: newest.app_limited,
            }),
            cwnd_limited: self.limited_through >= Some(newest.number),
            ..AckSample::default()
        });
    }

    fn note_state(&mut self) {
        let state = self.bbr.state;
        if self.states.last().is_none_or(|&(_, last)| last != state) {
            self.states.push((self.now, state));
        }
    }

    /// How often the flow entered `state` so far.
    pub(super) fn entered(&self, state: State) -> usize {
        self.states
            .iter()
            .filter(|(_, entered)| *entered == state)
            .count()
    }
}
