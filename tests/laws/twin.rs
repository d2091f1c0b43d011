//! Reference implementations of NewReno and CUBIC, written from RFC 5681, RFC 6582, RFC 9002 and RFC 9438 alone, in
//! floating-point segments as the RFCs have them: slow, short, and independent of the crate's own.
//!
//! Slow start counts bytes (RFC 3465, as RFC 9002 s7.3.1 does), since an acknowledgement may be for many segments.
//! Both are `Controller`s, so that a reference flow may share a bottleneck with one of ours, and both can be fed
//! by [`Beside`] with what one of ours is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aqueduct::congestion::{
    AckSample, Algorithm, Cause, Congested, Congestion, Controller, LostPacket, Sent, Setup,
};
use aqueduct::time::Time;

/// What both have in common: windows in segments.
#[derive(Clone, Copy, Debug)]
struct Windows {
    mss: f64,
    cwnd: f64,
    ssthresh: f64,
}

impl Windows {
    fn new(mtu: u16) -> Self {
        let mss = f64::from(mtu);
        // RFC 6928 s2.
        let bytes = (10.0 * mss).min((2.0 * mss).max(14_600.0));
        Windows {
            mss,
            cwnd: bytes / mss,
            ssthresh: f64::INFINITY,
        }
    }

    fn segments(&self, bytes: u64) -> f64 {
        bytes as f64 / self.mss
    }

    fn bytes(&self, segments: f64) -> u64 {
        (segments * self.mss) as u64
    }

    /// RFC 5681 s3.1: the window grows by what was acknowledged; returns what is left beyond `ssthresh`.
    fn slow_start(&mut self, acked: f64) -> f64 {
        if self.cwnd >= self.ssthresh {
            return acked;
        }
        let growth = acked.min(self.ssthresh - self.cwnd);
        self.cwnd += growth;
        acked - growth
    }

    /// Another segment size; the bytes stay.
    fn resize(&mut self, mtu: u16) {
        let ratio = self.mss / f64::from(mtu);
        self.mss = f64::from(mtu);
        self.cwnd = (self.cwnd * ratio).max(2.0);
        self.ssthresh *= ratio;
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        let gain = if self.cwnd < self.ssthresh { 2.0 } else { 1.25 };
        (gain * self.cwnd * self.mss / srtt.as_secs_f64().max(1e-6)) as u64
    }
}

/// RFC 5681 s3.1, RFC 6582.
#[derive(Clone, Debug)]
pub(crate) struct Reno {
    windows: Windows,
    before: Option<Windows>,
}

impl Reno {
    pub(crate) fn new(setup: Setup) -> Self {
        Reno {
            windows: Windows::new(setup.mtu),
            before: None,
        }
    }
}

impl Controller for Reno {
    fn on_ack(&mut self, sample: &AckSample) {
        let acked = self.windows.segments(sample.growth);
        let rest = self.windows.slow_start(acked);
        // RFC 5681 s3.1 (3): one segment for each window.
        self.windows.cwnd += rest / self.windows.cwnd;
    }

    fn on_congestion(&mut self, event: &Congested) {
        self.before = Some(self.windows);
        match event.cause {
            // RFC 9002 s7.3.2 halves the window; RFC 5681 (4) the flight, which fills it here.
            Cause::Loss | Cause::Mark => {
                self.windows.ssthresh = (self.windows.cwnd / 2.0).max(2.0);
                self.windows.cwnd = self.windows.ssthresh;
            }
            // RFC 9002 s7.6.2.
            Cause::Persistent => self.windows.cwnd = 2.0,
        }
    }

    fn on_undo(&mut self, _now: Time) {
        if let Some(before) = self.before.take() {
            self.windows = before;
        }
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.windows.resize(mtu);
    }

    fn cwnd(&self) -> u64 {
        self.windows.bytes(self.windows.cwnd)
    }

    fn ssthresh(&self) -> u64 {
        self.windows.bytes(self.windows.ssthresh)
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        self.windows.pacing_rate(srtt)
    }
}

const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// RFC 8511 s3: less is given up for a mark than for a loss.
const BETA_MARK: f64 = 0.85;

/// RFC 9438.
#[derive(Clone, Debug)]
pub(crate) struct Cubic {
    windows: Windows,
    /// The window before the last reduction.
    cwnd_prior: f64,
    w_max: f64,
    stage: Option<Stage>,
    before: Option<Box<Cubic>>,
}

/// One stage of congestion avoidance.
#[derive(Clone, Copy, Debug)]
struct Stage {
    began: Time,
    k: f64,
    w_max: f64,
    w_est: f64,
}

impl Cubic {
    pub(crate) fn new(setup: Setup) -> Self {
        Cubic {
            windows: Windows::new(setup.mtu),
            cwnd_prior: 0.0,
            w_max: 0.0,
            stage: None,
            before: None,
        }
    }

    /// Slow start ends here without a loss, as HyStart++ wants it: `K` is 0 (RFC 9438 s4.10).
    pub(crate) fn leave_slow_start(&mut self) {
        self.windows.ssthresh = self.windows.cwnd;
        self.w_max = self.windows.cwnd;
    }

    /// RFC 9438 s4.2: the stage begins with the first acknowledgement in it.
    fn stage(&mut self, now: Time) -> Stage {
        let cwnd = self.windows.cwnd;
        let w_max = self.w_max.max(cwnd);
        *self.stage.get_or_insert(Stage {
            began: now,
            k: ((w_max - cwnd) / C).cbrt(),
            w_max,
            w_est: cwnd,
        })
    }

    fn avoid(&mut self, now: Time, srtt: Duration, acked: f64) {
        let mut stage = self.stage(now);
        let cwnd = self.windows.cwnd;
        let w_cubic = |t: f64| C * (t - stage.k).powi(3) + stage.w_max;
        let t = (now - stage.began).as_secs_f64();
        // RFC 9438 s4.3.
        let alpha = if stage.w_est >= self.cwnd_prior {
            1.0
        } else {
            3.0 * (1.0 - BETA) / (1.0 + BETA)
        };
        stage.w_est += alpha * acked / cwnd;
        if w_cubic(t) < stage.w_est {
            self.windows.cwnd = stage.w_est.max(cwnd);
        } else {
            // RFC 9438 s4.2, s4.4, s4.5.
            let target = w_cubic(t + srtt.as_secs_f64()).clamp(cwnd, 1.5 * cwnd);
            self.windows.cwnd += (target - cwnd) / cwnd * acked;
        }
        self.stage = Some(stage);
    }
}

impl Controller for Cubic {
    fn on_ack(&mut self, sample: &AckSample) {
        let acked = self.windows.segments(sample.growth);
        let rest = self.windows.slow_start(acked);
        if rest > 0.0 {
            self.avoid(sample.now, sample.srtt, rest);
        }
    }

    fn on_congestion(&mut self, event: &Congested) {
        self.before = None;
        self.before = Some(Box::new(self.clone()));
        let cwnd = self.windows.cwnd;
        let beta = match event.cause {
            Cause::Mark => BETA_MARK,
            Cause::Loss | Cause::Persistent => BETA,
        };
        // RFC 9438 s4.7: fast convergence.
        self.w_max = if cwnd < self.w_max {
            cwnd * (1.0 + beta) / 2.0
        } else {
            cwnd
        };
        // RFC 9438 s4.6, of the window, as it permits where the flight fills it: here it always does.
        self.cwnd_prior = cwnd;
        self.windows.ssthresh = (cwnd * beta).max(2.0);
        self.windows.cwnd = self.windows.ssthresh;
        self.stage = None;
        if event.cause == Cause::Persistent {
            // RFC 9438 s4.8: K is 0 in the stage that follows slow start.
            self.windows.cwnd = 2.0;
            self.w_max = 0.0;
        }
    }

    fn on_undo(&mut self, _now: Time) {
        // RFC 9438 s4.9.
        if let Some(before) = self.before.take() {
            *self = *before;
        }
    }

    fn on_sent(&mut self, sent: &Sent) {
        // RFC 9438 s5.8: time without anything to send is no time.
        if let (Some(stage), Some(idle)) = (&mut self.stage, sent.idle) {
            stage.began += idle;
        }
    }

    fn on_mtu(&mut self, mtu: u16) {
        let ratio = self.windows.mss / f64::from(mtu);
        self.windows.resize(mtu);
        self.w_max *= ratio;
        self.cwnd_prior *= ratio;
        self.stage = None;
    }

    fn cwnd(&self) -> u64 {
        self.windows.bytes(self.windows.cwnd)
    }

    fn ssthresh(&self) -> u64 {
        self.windows.bytes(self.windows.ssthresh)
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        self.windows.pacing_rate(srtt)
    }
}

/// A reference flow, for `Config::with_congestion`.
pub(crate) fn reference_cubic() -> Congestion {
    Congestion::custom(|setup| Box::new(Cubic::new(setup)))
}

/// A reference flow, for `Config::with_congestion`.
pub(crate) fn reference_reno() -> Congestion {
    Congestion::custom(|setup| Box::new(Reno::new(setup)))
}

/// Windows of ours and of the twin after the same acknowledgement, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) at: Time,
    pub(crate) mss: f64,
    pub(crate) ours: f64,
    pub(crate) twin: f64,
    /// Reductions so far.
    pub(crate) reductions: u32,
}

/// What [`Beside`] saw, once in each round trip.
pub(crate) type Log = Arc<Mutex<Vec<Pair>>>;

/// One of ours, which decides, and its twin, which is told the same.
#[derive(Debug)]
struct Beside {
    ours: Algorithm,
    twin: Twin,
    mtu: u16,
    reductions: u32,
    next: Time,
    log: Log,
}

#[derive(Clone, Debug)]
enum Twin {
    Reno(Reno),
    Cubic(Cubic),
}

impl Twin {
    fn controller(&mut self) -> &mut dyn Controller {
        match self {
            Twin::Reno(reno) => reno,
            Twin::Cubic(cubic) => cubic,
        }
    }
}

/// A controller that runs one of ours with the twin beside it, and where it writes both windows.
pub(crate) fn beside(choice: Congestion) -> (Congestion, Log) {
    let log = Log::default();
    let kept = Arc::clone(&log);
    let congestion = Congestion::custom(move |setup| {
        let twin = match choice {
            Congestion::Cubic => Twin::Cubic(Cubic::new(setup)),
            _ => Twin::Reno(Reno::new(setup)),
        };
        Box::new(Beside {
            ours: Algorithm::new(&choice, setup),
            twin,
            mtu: setup.mtu,
            reductions: 0,
            next: Time::ZERO,
            log: Arc::clone(&kept),
        })
    });
    (congestion, log)
}

impl Controller for Beside {
    fn on_ack(&mut self, sample: &AckSample) {
        self.ours.on_ack(sample);
        self.twin.controller().on_ack(sample);
        let has_left = self.ours.ssthresh() != u64::MAX;
        if let Twin::Cubic(cubic) = &mut self.twin {
            // HyStart++ is not part of RFC 9438: where it ends slow start, the twin follows.
            // The slower growth before that end is no part of it either.
            if self.ours.state() == "conservative slow start" {
                cubic.windows.cwnd = cubic.windows.segments(self.ours.cwnd());
            }
            if has_left && cubic.windows.ssthresh.is_infinite() {
                cubic.windows.cwnd = cubic.windows.segments(self.ours.cwnd());
                cubic.leave_slow_start();
            }
        }
        if sample.now >= self.next {
            self.next = sample.now + sample.srtt;
            let pair = Pair {
                at: sample.now,
                mss: f64::from(self.mtu),
                ours: self.ours.cwnd() as f64,
                twin: self.twin.controller().cwnd() as f64,
                reductions: self.reductions,
            };
            self.log.lock().expect("no panic holds it").push(pair);
        }
    }

    fn on_congestion(&mut self, event: &Congested) {
        self.reductions += 1;
        self.ours.on_congestion(event);
        self.twin.controller().on_congestion(event);
    }

    fn on_undo(&mut self, now: Time) {
        self.ours.on_undo(now);
        self.twin.controller().on_undo(now);
    }

    fn on_sent(&mut self, sent: &Sent) {
        self.ours.on_sent(sent);
        self.twin.controller().on_sent(sent);
    }

    fn on_lost(&mut self, lost: &LostPacket) {
        self.ours.on_lost(lost);
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
        self.ours.on_mtu(mtu);
        self.twin.controller().on_mtu(mtu);
    }

    fn cwnd(&self) -> u64 {
        self.ours.cwnd()
    }

    fn ssthresh(&self) -> u64 {
        self.ours.ssthresh()
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        self.ours.pacing_rate(srtt)
    }

    fn uses_prr(&self) -> bool {
        self.ours.uses_prr()
    }
}

/// Feeds a controller one round trip of acknowledgements, each for one segment, evenly spread.
fn round(controller: &mut dyn Controller, begin: Time, rtt: Duration, mss: u64) {
    let segments = controller.cwnd() / mss;
    for segment in 0..segments {
        let share = segment as f64 / segments as f64;
        controller.on_ack(&AckSample {
            now: begin + rtt.mul_f64(share),
            newly_acked: mss,
            growth: mss,
            srtt: rtt,
            min_rtt: rtt,
            ..AckSample::default()
        });
    }
}

fn lose(controller: &mut dyn Controller, now: Time) {
    controller.on_congestion(&Congested {
        now,
        cause: Cause::Loss,
        inflight: controller.cwnd(),
    });
}

/// RFC 9438 s4.2: W(t) = C (t - K)^3 + W_max, a round trip ahead by design.
#[test]
fn the_reference_follows_the_curve_of_its_rfc() {
    let (mss, rtt) = (1_000, Duration::from_millis(100));
    let mut cubic = Cubic::new(Setup::new(1_000));
    while cubic.cwnd() < 1_000 * mss {
        round(&mut cubic, Time::ZERO, rtt, mss);
    }
    let w_max = cubic.cwnd() as f64 / mss as f64;
    lose(&mut cubic, Time::ZERO);
    assert!((cubic.cwnd() as f64 / (w_max * mss as f64) - 0.7).abs() < 1e-3);
    let k = (w_max * 0.3 / 0.4).cbrt();
    let begin = Time::from_millis(0);
    for number in 0..150 {
        round(&mut cubic, begin + rtt * number, rtt, mss);
        let now = f64::from(number + 1) * rtt.as_secs_f64();
        let [low, high] = [now, now + rtt.as_secs_f64()].map(|t| 0.4 * (t - k).powi(3) + w_max);
        let window = cubic.cwnd() as f64 / mss as f64;
        assert!(
            (low - 1.0..=high + 1.0).contains(&window),
            "{window} after {now} s, the curve says {low} to {high}"
        );
    }
}

/// RFC 5681 s3.1: one segment a round trip, and half of it all at a loss.
#[test]
fn the_reference_of_new_reno_grows_by_a_segment_a_round_trip() {
    let (mss, rtt) = (1_000, Duration::from_millis(100));
    let mut reno = Reno::new(Setup::new(1_000));
    assert_eq!(reno.cwnd(), 10 * mss);
    for doubled in [20, 40, 80] {
        round(&mut reno, Time::ZERO, rtt, mss);
        assert_eq!(reno.cwnd(), doubled * mss);
    }
    lose(&mut reno, Time::ZERO);
    for more in 0..50 {
        let window = reno.cwnd() as f64 / mss as f64;
        assert!(
            (window - 40.0 - f64::from(more)).abs() < 1.0,
            "{window} after {more} rounds"
        );
        round(&mut reno, Time::ZERO, rtt, mss);
    }
}
