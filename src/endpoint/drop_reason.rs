//! Why datagrams went nowhere, and how many.

/// Why a datagram went nowhere; the endpoint counts each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Not a packet of this protocol.
    Malformed,
    /// Its checksum is wrong.
    Checksum,
    /// Of a type that is never answered, for a connection that nobody knows.
    NoConnection,
    /// A SYN with a rendezvous token that nobody here waits for.
    UnknownToken,
    /// A stranger while the backlog is full; he tries again.
    BacklogFull,
    /// A cookie that was not made here, or for somebody else, or was altered.
    CookieForged,
    /// A cookie that is too old.
    CookieExpired,
    /// A third packet for a connection that closed lately.
    Spent,
    /// A third packet while so many connections closed lately that no more can be remembered.
    SpentFull,
    /// A packet for a connection in TIME_WAIT that needs no answer, or had one just now.
    TimeWait,
    /// From or to an address that is never answered: broadcast, multicast, a port that reflects.
    Unanswerable,
    /// Enough strangers were answered in this second.
    RateLimited,
    /// A stranger while the connections hold all memory that they may; he tries again.
    OutOfMemory,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [DropReason; 13] = [
        DropReason::Malformed,
        DropReason::Checksum,
        DropReason::NoConnection,
        DropReason::UnknownToken,
        DropReason::BacklogFull,
        DropReason::CookieForged,
        DropReason::CookieExpired,
        DropReason::Spent,
        DropReason::SpentFull,
        DropReason::TimeWait,
        DropReason::Unanswerable,
        DropReason::RateLimited,
        DropReason::OutOfMemory,
    ];
}

/// How many datagrams were dropped for each reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Drops {
    counts: [u64; DropReason::ALL.len()],
}

impl Drops {
    pub(super) fn count(&mut self, reason: DropReason) {
        let counters = DropReason::ALL.iter().zip(&mut self.counts);
        if let Some((_, count)) = counters.into_iter().find(|(other, _)| **other == reason) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn get(&self, reason: DropReason) -> u64 {
        let mut counters = DropReason::ALL.iter().zip(self.counts);
        counters
            .find(|(other, _)| **other == reason)
            .map_or(0, |(_, count)| count)
    }
}
