//! [`LeaseView`]: whether a lease is still held, as its holder sees it.

use std::time::Duration;

use crate::time::Time;

/// What a holder knows of its lease, by its own clock alone.
///
/// The leader counts from when it confirms a renewal, the holder from when it *sent* what was confirmed, and it counts only nine
/// tenths: so it stops before the leader does, whatever the network did in between, as long as both clocks run at the same rate to
/// 5 % each.
///
/// ```
/// use aqueduct::kv::LeaseView;
/// use aqueduct::time::Time;
/// use std::time::Duration;
///
/// let mut view = LeaseView::new(Duration::from_secs(10), Time::from_millis(0));
/// assert_eq!(view.renew_at(), Time::from_millis(3_000));
/// assert!(view.is_held(Time::from_millis(8_999)) && !view.is_held(Time::from_millis(9_000)));
/// view.on_renewed(Time::from_millis(3_040), Time::from_millis(3_000));
/// assert_eq!(view.lost_at(), Time::from_millis(12_000));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseView {
    ttl: Duration,
    /// When the last request was sent that was answered.
    sent_at: Time,
    is_over: bool,
}

impl LeaseView {
    /// The lease was granted; what asked for it was sent at `sent_at`.
    pub fn new(ttl: Duration, sent_at: Time) -> Self {
        LeaseView {
            ttl,
            sent_at,
            is_over: false,
        }
    }

    /// A renewal that was sent at `sent_at` is confirmed. One that is heard of after the lease was to be taken for lost changes
    /// nothing: whoever asked in between was told that it is lost.
    pub fn on_renewed(&mut self, now: Time, sent_at: Time) {
        self.is_over |= now >= self.lost_at();
        self.sent_at = self.sent_at.max(sent_at);
    }

    /// Somebody who must know says that it is gone.
    pub fn on_lost(&mut self) {
        self.is_over = true;
    }

    /// Whether it is held. Once it is not, it never is again.
    pub fn is_held(&self, now: Time) -> bool {
        !self.is_over && now < self.lost_at()
    }

    /// When it is to be taken for lost, unless it is renewed: nine tenths of its time after the last renewal was sent.
    pub fn lost_at(&self) -> Time {
        self.sent_at + self.ttl * 9 / 10
    }

    /// When to send the next renewal: three tenths of its time after the last one that was answered was sent. Two may be lost.
    pub fn renew_at(&self) -> Time {
        self.sent_at + self.ttl * 3 / 10
    }
}
