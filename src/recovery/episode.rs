//! One episode of congestion: from the reduction of the window until it proves to be a mistake, or the
//! next one (RFC 9002 s7.3.2, RFC 4015, RFC 9438 s4.9).
//!
//! ```text
//!   lost in earlier episodes | lost in this one | sent since the reduction
//!                            ^ first            ^ until
//! ```
//! Losses are declared from the oldest packet upwards, so an episode owns a range of numbers. Every
//! transmission has a number of its own, so a late acknowledgement proves that this very copy arrived: the
//! count of mistakes is exact, and nothing is guessed from "few losses".

use crate::congestion::Cause;
use crate::wire::PacketNumber;

/// What was declared lost since the last reduction, and how much of it was a mistake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Episode {
    /// The first packet declared lost in it.
    first: PacketNumber,
    /// The first packet sent since the reduction: losses of older ones are answered already.
    until: PacketNumber,
    /// Packets declared lost in it, of which none is known to have arrived.
    lost: u64,
    /// The reduction can be taken back: it rests on losses alone, and was not taken back before.
    can_undo: bool,
    /// A packet sent since was acknowledged.
    over: bool,
}

impl Episode {
    /// No reduction so far; `first` will be the first packet.
    pub(super) fn none(first: PacketNumber) -> Self {
        Episode {
            first,
            until: first,
            lost: 0,
            can_undo: false,
            over: true,
        }
    }

    /// The window was reduced. `first`: the first packet that is lost for it; `next`: the next to be sent.
    pub(super) fn begin(cause: Cause, first: PacketNumber, next: PacketNumber) -> Self {
        Episode {
            first,
            until: next,
            lost: 0,
            can_undo: cause != Cause::Mark,
            over: false,
        }
    }

    /// Whether the loss of this packet asks for a reduction: it was sent after the last one.
    pub(super) fn is_news(&self, number: PacketNumber) -> bool {
        number >= self.until
    }

    /// The first packet sent since the reduction.
    pub(super) fn until(&self) -> PacketNumber {
        self.until
    }

    /// So many packets of this episode were declared lost.
    pub(super) fn on_lost(&mut self, packets: u64) {
        self.lost += packets;
    }

    /// A packet declared lost has arrived. True if it was the last of its episode of which that was not
    /// known: everything that was answered was a mistake.
    pub(super) fn on_spurious(&mut self, number: PacketNumber) -> bool {
        if !self.can_undo || number < self.first || number >= self.until || self.lost == 0 {
            return false;
        }
        self.lost -= 1;
        if self.lost == 0 {
            // What is found lost from now on has not been answered.
            *self = Episode::none(self.first);
        }
        self.lost == 0
    }

    /// A mark in the same round trip: the congestion was real, whatever becomes of the losses.
    pub(super) fn confirm(&mut self) {
        self.can_undo = false;
    }

    /// A packet was acknowledged. True if the recovery is over by it, which happens once: it was sent
    /// after the reduction (RFC 9002 s7.3.2).
    pub(super) fn on_acked(&mut self, number: PacketNumber) -> bool {
        let ends = !self.over && number >= self.until;
        self.over |= ends;
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u64) -> PacketNumber {
        PacketNumber::new(n)
    }

    /// Three packets lost of ten sent, from 4 on.
    fn episode(cause: Cause) -> Episode {
        let mut episode = Episode::begin(cause, number(4), number(10));
        episode.on_lost(3);
        episode
    }

    #[test]
    fn only_what_was_sent_since_the_reduction_asks_for_another() {
        let none = Episode::none(number(1));
        assert!(none.is_news(number(1)));
        let episode = episode(Cause::Loss);
        assert!(!episode.is_news(number(9)));
        assert!(episode.is_news(number(10)));
    }

    #[test]
    fn it_is_undone_when_every_packet_lost_in_it_has_arrived() {
        let mut episode = episode(Cause::Loss);
        assert!(!episode.on_spurious(number(4)));
        assert!(!episode.on_spurious(number(6)));
        assert!(episode.on_spurious(number(5)));
        episode.on_lost(1);
        assert!(!episode.on_spurious(number(7)), "at most once");
        assert!(episode.is_news(number(7)), "a true loss is answered");
    }

    #[test]
    fn one_true_loss_among_many_mistakes_keeps_the_reduction() {
        let mut episode = Episode::begin(Cause::Loss, number(0), number(1_000));
        episode.on_lost(1_000);
        assert!((0..999).all(|n| !episode.on_spurious(number(n))));
    }

    #[test]
    fn a_late_arrival_of_an_earlier_episode_proves_nothing_of_this_one() {
        let mut episode = episode(Cause::Loss);
        for n in [0, 1, 2, 3, 10, 11] {
            assert!(!episode.on_spurious(number(n)), "{n}");
        }
        assert!(!episode.on_spurious(number(4)));
        assert!(!episode.on_spurious(number(5)));
        assert!(episode.on_spurious(number(6)));
    }

    #[test]
    fn a_congestion_mark_is_no_mistake() {
        let mut episode = episode(Cause::Mark);
        assert!((4..7).all(|n| !episode.on_spurious(number(n))));
    }

    #[test]
    fn a_mark_in_the_same_round_trip_proves_the_congestion() {
        let mut episode = episode(Cause::Loss);
        episode.confirm();
        assert!((4..7).all(|n| !episode.on_spurious(number(n))));
    }

    #[test]
    fn a_recovery_is_over_once_with_the_first_packet_sent_since() {
        let mut episode = episode(Cause::Loss);
        assert!(!episode.on_acked(number(9)));
        assert!(episode.on_acked(number(10)));
        assert!(!episode.on_acked(number(11)));
        assert!(!Episode::none(number(1)).on_acked(number(1)));
    }
}
