//! How long is it worth to look again and again, before a thread sleeps?
//!
//! A wait that ends while the thread looks is a *hit*: it spared a wake-up. Twice the mean of how long short waits
//! take is the budget of the next one; where most waits are hits, it is the longest, as then the few that take longer
//! (the peer was interrupted, say) should not cost two wake-ups more. Where less than a quarter of the waits are hits the thread sleeps at once,
//! and tries again after a pause, which doubles while that does not pay either.
//!
//! Invariant: one wait looks for at most [`BUDGET_MAX`], then it sleeps.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crate::config::BusyPoll;

/// The longest that a wait looks before it sleeps: about what waking a thread costs where it costs most.
const BUDGET_MAX: Duration = Duration::from_micros(50);
/// Waits whose outcome is remembered; the bits of [`Spin::hits`].
const MEMORY: u32 = u16::BITS;
/// Hits among them with which it pays to look.
const HITS_MIN: u32 = MEMORY / 4;
/// Hits among them with which waits look for the longest time: misses cost little then, as they are few.
const HITS_MANY: u32 = MEMORY / 2;
/// Waits of a trial: after a pause so many look for the longest time, and one hit in four ends the pause.
const TRIAL: u32 = 4;
/// Waits of the first pause. A trial costs at most four budgets: 3 µs for each of these waits.
const PAUSE_MIN: u32 = 64;
/// Waits of the longest pause: what a trial costs is then a thousandth of what the waits cost.
const PAUSE_MAX: u32 = 4_096;

/// What the waits of a shard have brought.
#[derive(Clone, Debug)]
pub(crate) struct Spin {
    /// The mean of waits that ended within [`BUDGET_MAX`], each an eighth of it.
    mean: Duration,
    /// Whether each of the latest waits that looked was a hit, the latest in the lowest bit.
    hits: u16,
    /// Waits that still have to pass before it is tried again.
    pause: u32,
    /// How long the next pause is, waits.
    next_pause: u32,
    /// Waits that are left of a trial.
    trial: u32,
}

impl Spin {
    /// Nothing is known: the first waits look for the longest time.
    pub(crate) fn new() -> Self {
        Spin {
            mean: BUDGET_MAX / 2,
            hits: u16::MAX,
            pause: 0,
            next_pause: PAUSE_MIN,
            trial: 0,
        }
    }

    /// How long the wait that begins may look; zero: it sleeps at once.
    pub(crate) fn budget(&self, mode: BusyPoll) -> Duration {
        match mode {
            BusyPoll::Off => Duration::ZERO,
            BusyPoll::Always => BUDGET_MAX,
            BusyPoll::Adaptive if self.pause > 0 => Duration::ZERO,
            BusyPoll::Adaptive if self.trial > 0 || self.hits.count_ones() >= HITS_MANY => {
                BUDGET_MAX
            }
            BusyPoll::Adaptive => BUDGET_MAX.min(2 * self.mean),
        }
    }

    /// A wait took so long; `budget` is what it was given, and it slept if that was not enough.
    pub(crate) fn on_wait(&mut self, budget: Duration, waited: Duration, slept: bool) {
        if waited <= BUDGET_MAX {
            self.mean = (7 * self.mean + waited) / 8;
        }
        if self.pause > 0 {
            self.pause -= 1;
            self.trial = if self.pause == 0 { TRIAL } else { 0 };
            return;
        }
        if budget.is_zero() {
            return;
        }
        self.hits = (self.hits << 1) | u16::from(!slept);
        if self.trial > 0 {
            self.trial -= 1;
            self.judge_trial();
        } else if self.hits.count_ones() < HITS_MIN {
            self.rest();
        }
    }

    /// At the end of a trial: goes on as at the beginning, or pauses for twice as long.
    fn judge_trial(&mut self) {
        let recent = self.hits & ((1 << TRIAL) - 1);
        if recent.count_ones() * MEMORY >= HITS_MIN * TRIAL {
            (self.trial, self.next_pause) = (0, PAUSE_MIN);
            self.hits = u16::MAX;
        } else if self.trial == 0 {
            self.rest();
        }
    }

    fn rest(&mut self) {
        self.pause = self.next_pause;
        self.next_pause = (2 * self.next_pause).min(PAUSE_MAX);
    }
}

/// What holds for a wait that is configured so, in this process: the environment overrides it, and where there is
/// one processor alone nobody could answer while it looks.
pub(crate) fn mode(configured: BusyPoll) -> BusyPoll {
    /// What the environment says, and whether there are two processors at least.
    static PROCESS: OnceLock<(Option<BusyPoll>, bool)> = OnceLock::new();
    let (forced, has_many) = *PROCESS.get_or_init(|| {
        let forced = std::env::var("AQUEDUCT_BUSY_POLL").ok();
        let processors = thread::available_parallelism().map_or(1, usize::from);
        (forced.as_deref().and_then(named), processors >= 2)
    });
    match forced.unwrap_or(configured) {
        BusyPoll::Adaptive if !has_many => BusyPoll::Off,
        mode => mode,
    }
}

fn named(name: &str) -> Option<BusyPoll> {
    match name {
        "off" => Some(BusyPoll::Off),
        "adaptive" => Some(BusyPoll::Adaptive),
        "always" => Some(BusyPoll::Always),
        _ => {
            tracing::warn!(name, "AQUEDUCT_BUSY_POLL is off, adaptive or always");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTIVE: BusyPoll = BusyPoll::Adaptive;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// A wait for something that comes after `after`; what it spent looking.
    fn wait(spin: &mut Spin, after: Duration) -> Duration {
        let budget = spin.budget(ADAPTIVE);
        let slept = after > budget;
        // Whoever slept is told late.
        let waited = if slept { after + micros(40) } else { after };
        spin.on_wait(budget, waited, slept);
        budget.min(after)
    }

    #[test]
    fn the_budget_is_twice_the_mean_of_short_waits_where_a_third_of_the_waits_are_short() {
        let mut spin = Spin::new();
        assert_eq!(spin.budget(ADAPTIVE), BUDGET_MAX);
        for round in 0..300 {
            // A long wait says nothing about the short ones.
            wait(&mut spin, micros(if round % 3 == 0 { 6 } else { 900 }));
        }
        let settled = spin.budget(ADAPTIVE);
        assert!(settled > micros(11) && settled < micros(13), "{settled:?}");
    }

    #[test]
    fn the_budget_is_the_longest_where_most_waits_are_short() {
        let mut spin = Spin::new();
        for round in 0..300 {
            wait(&mut spin, micros(if round % 4 == 0 { 900 } else { 6 }));
            assert_eq!(spin.budget(ADAPTIVE), BUDGET_MAX);
        }
    }

    #[test]
    fn one_wait_in_five_does_not_pay_and_one_in_three_does() {
        let mut spins = [Spin::new(), Spin::new()];
        let mut looked = [0, 0];
        for round in 0..10_000 {
            for (index, every) in [5, 3].into_iter().enumerate() {
                let after = if round % every == 0 { 5 } else { 1_000 };
                looked[index] += u32::from(!wait(&mut spins[index], micros(after)).is_zero());
            }
        }
        assert!(looked[0] < 2_500, "it looked {} times of 10000", looked[0]);
        assert_eq!(looked[1], 10_000);
    }

    #[test]
    fn waits_that_never_end_soon_cost_next_to_nothing() {
        let mut spin = Spin::new();
        let spent: Duration = (0..100_000).map(|_| wait(&mut spin, micros(200))).sum();
        // 20 s of waiting.
        assert!(spent < Duration::from_millis(20), "{spent:?}");
    }

    #[test]
    fn it_is_found_out_that_it_pays_again() {
        let mut spin = Spin::new();
        for _ in 0..100_000 {
            wait(&mut spin, micros(200));
        }
        let until = (0..).position(|_| wait(&mut spin, micros(5)) > micros(4) && spin.pause == 0);
        assert!(until.is_some_and(|waits| waits <= 4_200), "{until:?}");
        assert!((0..1_000).all(|_| !wait(&mut spin, micros(5)).is_zero()));
    }

    #[test]
    fn the_other_modes_do_not_ask() {
        let mut spin = Spin::new();
        for _ in 0..100 {
            wait(&mut spin, micros(200));
        }
        assert_eq!(spin.budget(BusyPoll::Off), Duration::ZERO);
        assert_eq!(spin.budget(ADAPTIVE), Duration::ZERO);
        assert_eq!(spin.budget(BusyPoll::Always), BUDGET_MAX);
    }

    #[test]
    fn the_environment_knows_three_words() {
        let modes = [BusyPoll::Off, BusyPoll::Adaptive, BusyPoll::Always];
        assert_eq!(["off", "adaptive", "always"].map(named), modes.map(Some));
        assert_eq!(named("on"), None);
    }
}
