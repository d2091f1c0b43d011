use proptest::prelude::*;

use super::{RecvCredit, SendCredit};
use crate::wire::{Offset, Window};

#[test]
fn a_peer_that_shrinks_its_window_moves_nothing_back() {
    let mut credit = SendCredit::new(Window::new(100));
    assert!(!credit.update(Offset::new(10), Window::new(20)));
    assert!(
        !credit.update(Offset::new(90), Window::new(10)),
        "the same edge"
    );
    assert!(!credit.update(Offset::new(50), Window::new(0)));
    assert_eq!(credit.limit(), Offset::new(100));
    assert!(credit.update(Offset::new(91), Window::new(10)));
    assert_eq!(credit.limit(), Offset::new(101));
    assert_eq!(credit.largest_window(), 100);
}

#[test]
fn an_edge_at_the_end_of_all_numbers_does_not_wrap() {
    let mut credit = SendCredit::new(Window::new(u32::MAX));
    assert!(credit.update(Offset::MAX, Window::new(u32::MAX)));
    assert_eq!(credit.limit(), Offset::MAX);
    assert!(!credit.update(Offset::ZERO, Window::new(0)));
}

#[test]
fn the_sender_does_not_fill_a_silly_window() {
    let credit = SendCredit::new(Window::new(10_000));
    let is_worth =
        |room: u64, unsent| credit.is_worth_sending(Offset::new(10_000 - room), unsent, 1_400);
    assert!(is_worth(1_400, 1 << 20), "a whole packet");
    assert!(!is_worth(1_399, 1 << 20), "less than a packet of much");
    assert!(is_worth(3, 3), "little, but all that waits: no Nagle");
    assert!(!is_worth(2, 3));
    assert!(!is_worth(1_400, 0), "nothing waits");
    assert!(!is_worth(0, 1), "the window is closed");
}

#[test]
fn half_of_a_small_window_is_worth_a_packet() {
    let mut credit = SendCredit::new(Window::new(1_000));
    assert!(credit.is_worth_sending(Offset::new(500), 5_000, 1_400));
    assert!(!credit.is_worth_sending(Offset::new(501), 5_000, 1_400));
    credit.update(Offset::ZERO, Window::new(1));
    assert!(
        credit.is_worth_sending(Offset::new(500), 5_000, 1_400),
        "the largest window counts"
    );
}

#[test]
fn a_window_of_one_byte_still_moves() {
    let sender = SendCredit::new(Window::new(1));
    assert!(sender.is_worth_sending(Offset::ZERO, 10, 1_400));
    let mut receiver = RecvCredit::new(1);
    assert!(receiver.wants_update(Offset::new(1), Offset::new(1), 1_400));
    assert_eq!(receiver.advertise(Offset::new(1), 1_400), Offset::new(2));
}

#[test]
fn the_edge_begins_where_the_handshake_promised() {
    let mut credit = RecvCredit::new(1_000);
    assert_eq!(credit.edge(), Offset::new(1_000));
    assert_eq!(credit.window(), 1_000);
    assert!(!credit.wants_update(Offset::ZERO, Offset::ZERO, 1_400));
    assert_eq!(credit.advertise(Offset::ZERO, 1_400), Offset::new(1_000));
}

#[test]
fn the_receiver_offers_no_crumbs() {
    let mut credit = RecvCredit::new(10_000);
    assert_eq!(
        credit.advertise(Offset::new(1_399), 1_400),
        Offset::new(10_000)
    );
    assert_eq!(
        credit.advertise(Offset::new(1_400), 1_400),
        Offset::new(11_400)
    );
    assert_eq!(
        credit.advertise(Offset::new(1_401), 1_400),
        Offset::new(11_400)
    );
    assert_eq!(
        credit.advertise(Offset::new(0), 1_400),
        Offset::new(11_400),
        "never back"
    );
}

#[test]
fn a_closed_window_is_reopened_at_once() {
    let credit = RecvCredit::new(1_000);
    assert!(credit.wants_update(Offset::new(1_000), Offset::new(500), 1_400));
    assert!(!credit.wants_update(Offset::new(1_000), Offset::new(499), 1_400));
}

#[test]
fn a_wide_open_window_needs_no_update() {
    let credit = RecvCredit::new(10_000);
    let read = Offset::new(7_500);
    assert!(!credit.wants_update(read, read, 1_400), "a quarter is left");
    assert!(credit.wants_update(Offset::new(7_501), read, 1_400));
}

/// A sender that fills every window and a reader that takes its time.
struct Transfer {
    send: SendCredit,
    recv: RecvCredit,
    mss: u64,
    total: u64,
    snd_nxt: Offset,
    read: Offset,
    updates: u64,
}

impl Transfer {
    /// Sends while that is worth a packet. Each is acknowledged before the reader looks at it: the worst
    /// moment for the window.
    fn send(&mut self) {
        while self
            .send
            .is_worth_sending(self.snd_nxt, self.unsent(), self.mss)
        {
            let room = self.send.limit().since(self.snd_nxt);
            let len = self.unsent().min(self.mss).min(room);
            assert!(len > 0, "a packet without data");
            assert!(
                len == self.unsent() || len >= self.mss.min(self.send.largest_window() / 2),
                "a silly packet of {len} bytes",
            );
            self.snd_nxt = self.snd_nxt.plus(len);
            self.tell();
        }
    }

    fn unsent(&self) -> u64 {
        self.total - self.snd_nxt.get()
    }

    fn read(&mut self, most: u64) {
        self.read = self.read.plus(most).min(self.snd_nxt);
        if self.recv.wants_update(self.snd_nxt, self.read, self.mss) {
            self.updates += 1;
            assert!(self.tell(), "an update that says nothing new");
        }
    }

    /// An ACK block crosses; true if it moved the edge.
    fn tell(&mut self) -> bool {
        let before = self.recv.edge();
        let edge = self.recv.advertise(self.read, self.mss);
        assert!(edge >= before, "the edge moved back");
        let step = self.mss.min(self.recv.window() / 2);
        assert!(edge == before || edge.since(before) >= step, "a crumb");
        assert!(
            edge.since(self.read) <= self.recv.window(),
            "more than the window"
        );
        let window = Window::saturating(edge.since(self.snd_nxt));
        self.send.update(self.snd_nxt, window)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// RFC 9293 s3.8.6.2: no silly segments, no crumbs, and above all no standstill.
    #[test]
    fn a_transfer_ends_whatever_the_window_and_the_reader(
        window in prop_oneof![1..20_u32, 1..200_000_u32],
        mss in prop_oneof![Just(1_u64), Just(1_452), 1..70_000_u64],
        total in 0..300_000_u64,
        reads in proptest::collection::vec(1..40_000_u64, 1..8),
    ) {
        let mut transfer = Transfer {
            send: SendCredit::new(Window::new(window)),
            recv: RecvCredit::new(window),
            mss,
            total,
            snd_nxt: Offset::ZERO,
            read: Offset::ZERO,
            updates: 0,
        };
        let mut reads = reads.iter().cycle();
        while transfer.read < Offset::new(total) {
            let before = (transfer.snd_nxt, transfer.read);
            transfer.send();
            transfer.read(*reads.next().expect("a cycle has no end"));
            prop_assert_ne!((transfer.snd_nxt, transfer.read), before, "a standstill");
        }
        let step = mss.min(u64::from(window) / 2).max(1);
        prop_assert!(transfer.updates <= total / step + 1, "{} updates", transfer.updates);
    }
}
