//! The distribution of round-trip times.

use std::time::Duration;

/// All round trips of a run.
#[derive(Default)]
pub(crate) struct RoundTrips(Vec<Duration>);

impl RoundTrips {
    /// Takes one more.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The last lines of a run, as ping prints them.
    pub(crate) fn summary(&self, server: &str) -> String {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            return format!("--- {server} ---\nnothing came back\n");
        };
        let [p50, p99] = [50, 99].map(|percent| percentile(&sorted, percent));
        format!(
            "--- {server} ---\n{} round trips, all intact\nmin/p50/p99/max = {} / {} / {} / {}\n",
            sorted.len(),
            milliseconds(*min),
            milliseconds(p50),
            milliseconds(p99),
            milliseconds(*max)
        )
    }
}

/// The smallest of `sorted` that at least `percent` % of them do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank.saturating_sub(1)]
}

/// `time` in milliseconds, to the microsecond: `0.117 ms`.
pub(crate) fn milliseconds(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_members_of_the_sample() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_micros(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_micros(198));
        assert_eq!(percentile(&sorted[..1], 50), Duration::from_micros(1));
    }

    #[test]
    fn the_summary_of_nothing_says_so() {
        assert!(
            RoundTrips::default()
                .summary("a:1")
                .contains("nothing came back")
        );
    }

    #[test]
    fn the_summary_has_the_order_that_it_names() {
        let mut round_trips = RoundTrips::default();
        for micros in [3_000, 1_000, 2_000] {
            round_trips.add(Duration::from_micros(micros));
        }
        let expected = "min/p50/p99/max = 1.000 ms / 2.000 ms / 3.000 ms / 3.000 ms\n";
        assert!(round_trips.summary("a:1").ends_with(expected));
    }
}
