//! Round trips counted in packets (section 5.5.1): one ends when a packet is acknowledged that was sent
//! after its beginning. Clocks would run on while the application is silent; this does not.

/// The count of round trips.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    /// Round trips so far.
    pub(super) round_count: u64,
    /// The acknowledgement at hand is the first of a new round trip.
    pub(super) round_start: bool,
    /// A packet sent with so many bytes delivered ends the round trip.
    next_round_delivered: u64,
}

impl Rounds {
    /// An acknowledgement of a packet that was sent with `prior_delivered` bytes delivered; now it is
    /// `delivered`.
    pub(super) fn update(&mut self, prior_delivered: u64, delivered: u64) {
        self.round_start = prior_delivered >= self.next_round_delivered;
        if self.round_start {
            self.begin(delivered);
            self.round_count += 1;
        }
    }

    /// A round trip begins here, whatever the last one was.
    pub(super) fn begin(&mut self, delivered: u64) {
        self.next_round_delivered = delivered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_ends_with_a_packet_sent_after_its_beginning() {
        let mut rounds = Rounds::default();
        rounds.update(0, 1_000);
        assert!(
            rounds.round_start,
            "nothing was delivered before: this is a valid first round"
        );
        rounds.update(0, 5_000);
        rounds.update(999, 9_000);
        assert!(!rounds.round_start);
        rounds.update(1_000, 10_000);
        assert!(rounds.round_start);
        assert_eq!(rounds.round_count, 2);
    }
}
