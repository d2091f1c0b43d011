//! One flow over a path of fixed delay and unlimited rate that drops what it is told to.

use std::collections::VecDeque;

use super::*;

struct Path {
    rtt: Duration,
    now: Time,
    script: Script,
    /// Packets that will be acknowledged, and when.
    on_the_way: VecDeque<(Time, u64)>,
    /// What the receiver has.
    received: Vec<RangeInclusive<u64>>,
    /// At most so many bytes in flight, whatever the window says.
    credit: u64,
    bytes_acked: u64,
}

impl Path {
    fn new(rtt: Duration) -> Self {
        let mut script = Script::new();
        script.recovery.on_handshake_rtt(rtt);
        Path {
            rtt,
            now: Time::ZERO,
            script,
            on_the_way: VecDeque::new(),
            received: Vec::new(),
            credit: u64::MAX,
            bytes_acked: 0,
        }
    }

    /// Sends and receives up to `until`; `drops` says which packets do not arrive.
    fn run(&mut self, until: Time, drops: impl Fn(u64) -> bool) {
        loop {
            let wake = self.send(&drops);
            let ack = self.on_the_way.front().map(|&(at, _)| at);
            let timer = self.script.deadline().map(|(at, _)| at);
            let next = [wake, ack, timer].into_iter().flatten().min();
            match next.filter(|&at| at <= until) {
                Some(at) => self.now = at,
                None => break,
            }
            if ack == Some(self.now) {
                self.receive();
            } else if timer == Some(self.now) {
                self.script.timeout(self.now);
                for _ in 0..self.script.out.probes {
                    self.transmit(&drops);
                }
            }
        }
        self.now = until;
    }

    /// Sends what may leave; when the pacer wants to be asked again.
    fn send(&mut self, drops: &impl Fn(u64) -> bool) -> Option<Time> {
        loop {
            let flight = self.script.recovery.snapshot().bytes_in_flight;
            if flight + u64::from(MTU) > self.credit {
                return None;
            }
            match self.script.recovery.admission(self.now, MTU, DATA) {
                Admission::Send => {}
                Admission::At(at) => return Some(at),
                Admission::AwaitAck => return None,
            }
            self.transmit(drops);
        }
    }

    fn transmit(&mut self, drops: &impl Fn(u64) -> bool) {
        let n = self.script.recovery.next_number().get();
        self.script.send(self.now, 1);
        if !drops(n) {
            self.on_the_way.push_back((self.now + self.rtt, n));
        }
    }

    /// One packet has arrived, and its acknowledgement is back.
    fn receive(&mut self) {
        let Some((_, n)) = self.on_the_way.pop_front() else {
            return;
        };
        match self.received.last_mut() {
            Some(last) if *last.end() + 1 == n => *last = *last.start()..=n,
            _ => self.received.push(n..=n),
        }
        let newest: Vec<_> = self.received.iter().rev().take(32).cloned().collect();
        self.script.ack(self.now, &newest);
        self.bytes_acked += 1_200 * u64::try_from(self.script.out.acked.len()).unwrap();
    }
}

#[test]
fn slow_start_doubles_exactly() {
    // Below the pacing limit every round is one burst: IW * (2^n - 1) bytes after n round trips.
    let rtt = Duration::from_micros(200);
    let mut path = Path::new(rtt);
    for round in 1..=12 {
        path.run(Time::ZERO + rtt * round, |_| false);
        assert_eq!(
            path.bytes_acked,
            12_000 * ((1 << round) - 1),
            "after {round} round trips"
        );
        assert_eq!(path.script.cwnd(), 12_000 << round);
    }
}

#[test]
fn paced_slow_start_grows_by_every_byte_acknowledged() {
    let mut path = Path::new(ms(100));
    for round in 1..=10 {
        path.run(at(100 * round), |_| false);
        assert_eq!(path.script.cwnd(), 12_000 + path.bytes_acked);
    }
    // Pacing puts a round's packets off by up to half a round trip, so the last doubling is under way.
    assert!(path.script.cwnd() >= 12_000 << 9);
    assert!(path.script.cwnd() <= 12_000 << 10);
}

/// The mean window of a saw-tooth between W/2 and W, in packets, with one loss in `period` packets:
/// W^2 * 3/8 packets in W/2 round trips, which is the law of Mathis, 1.2247 / sqrt(p). With `recovery`,
/// W/2 packets more in the round trip that follows each loss, in which the window does not grow yet.
fn saw_tooth(period: f64, recovery: bool) -> f64 {
    let flat = if recovery { 0.5 } else { 0.0 };
    let top = (-flat + (flat * flat + 1.5 * period).sqrt()) / 0.75;
    period / (top / 2.0 + 2.0 * flat)
}

/// The mean number of packets in flight over twenty saw-teeth, after some have passed.
fn mean_window(period: u32, rtt: Duration) -> f64 {
    let drops = |n: u64| n % u64::from(period) == u64::from(period) - 1;
    let cycle = rtt.mul_f64(f64::from(period) / saw_tooth(f64::from(period), true));
    let mut path = Path::new(rtt);
    path.run(Time::ZERO + cycle * 5, drops);
    let before = path.script.recovery.snapshot().packets_sent;
    path.run(path.now + cycle * 20, drops);
    let sent = path.script.recovery.snapshot().packets_sent - before;
    f64::from(u32::try_from(sent).unwrap()) * rtt.as_secs_f64() / (cycle * 20).as_secs_f64()
}

#[test]
fn the_window_follows_the_law_of_mathis() {
    assert!((saw_tooth(1e4, false) / 122.47 - 1.0).abs() < 1e-3);
    for period in [100, 1_000, 10_000] {
        for rtt in [Duration::from_micros(200), ms(10), ms(200)] {
            // Where the window is small, the round trip of recovery shows, and that half of an odd
            // number of datagrams is not a whole number of them.
            let small = period == 100;
            let law = saw_tooth(f64::from(period), small);
            let percent_max = if small { 12.0 } else { 10.0 };
            let window = mean_window(period, rtt);
            let percent = (window / law - 1.0) * 100.0;
            println!("1 in {period}, {rtt:?}: {window:.1} packets, law {law:.1}, {percent:+.1} %");
            assert!(
                percent.abs() < percent_max,
                "{window:.1} instead of {law:.1} for 1 in {period}, {rtt:?}"
            );
        }
    }
}

#[test]
fn a_window_that_the_receiver_limits_does_not_grow_without_end() {
    for rtt in [Duration::from_micros(50), ms(20)] {
        let mut path = Path::new(rtt);
        path.credit = 128 * 1_024;
        path.run(Time::ZERO + rtt * 1_000, |_| false);
        assert!(
            path.script.cwnd() <= 2 * 128 * 1_024,
            "{} bytes",
            path.script.cwnd()
        );
        assert!(path.bytes_acked >= 900 * 120_000);
    }
}

#[test]
fn sixteen_holes_in_one_window_are_found_within_a_round_trip() {
    let mut path = Path::new(ms(50));
    path.run(at(250), |_| false);
    let next = path.script.recovery.next_number().get();
    path.run(at(352), |n| n >= next && n < next + 64 && n % 4 == 0);
    assert_eq!(path.script.recovery.snapshot().packets_lost, 16);
    assert_eq!(path.script.recovery.snapshot().pto_count, 0);
}

#[test]
fn after_a_black_hole_the_flow_goes_on_from_two_datagrams() {
    let mut path = Path::new(ms(50));
    path.run(at(300), |_| false);
    let alive = path.script.recovery.next_number().get();
    path.run(at(5_000), |n| n >= alive);
    let during = path.script.recovery.snapshot();
    assert!(during.pto_count >= 4);
    assert_eq!(
        during.packets_lost, 0,
        "nothing is lost before something later arrives"
    );
    // A probe gets through: everything before it is lost, over a long time.
    path.script.send(path.now, 1);
    let probe = path.script.recovery.next_number().prev().get();
    path.script.send(path.now, 1);
    path.script.ack(path.now + ms(50), &[probe..=probe + 1]);
    assert_eq!(path.script.recovery.snapshot().pto_count, 0);
    assert_eq!(path.script.recovery.snapshot().packets_in_flight, 0);
    assert_eq!(path.script.cwnd(), 2_400);
}
