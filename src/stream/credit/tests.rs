use super::{RecvCredit, SendCredit};
use crate::wire::{Offset, Window};

#[test]
fn a_peer_that_shrinks_its_window_moves_nothing_back() {
    let mut credit = SendCredit::new(Window::new(100));
    assert!(!credit.update(Offset::new(10), Window::new(20)));
    assert_eq!(credit.limit(), Offset::new(100));
}

#[test]
fn a_closed_window_is_reopened_at_once() {
    let credit = RecvCredit::new(1_000);
    assert!(credit.wants_update(Offset::new(1_000), Offset::new(500), 1_400));
    assert!(!credit.wants_update(Offset::new(1_000), Offset::new(499), 1_400));
}
