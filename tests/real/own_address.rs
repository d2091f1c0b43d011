//! A host whose own network goes away and comes back, or comes back as another, under a transfer.
//!
//! This needs what `path_mtu` needs, and says SKIPPED where that is missing.

use crate::alone;
use crate::path_mtu::{Link, download, transfer};

/// The address of the client goes, and another comes: every send fails in between, and then no longer.
#[test]
fn an_upload_goes_on_from_another_address_of_this_host() {
    let _alone = alone();
    let Some(link) = Link::new(1_500) else { return };
    assert_upload_survives(&link, "10.77.0.2:700", |link| {
        link.change(0, "addr del 10.77.0.1/24 dev v");
        link.change(0, "addr add 10.77.0.3/24 dev v");
    });
    let (sizes, _) = transfer(&link, "[fd77::2]:700", |link| {
        link.change(0, "addr del fd77::1/64 dev v");
        link.change(0, "addr add fd77::3/64 dev v nodad");
    });
    println!("{sizes:?}");
}

/// An upload under which `change` happens: it arrives whole, in datagrams of the size that the link takes.
fn assert_upload_survives(link: &Link, to: &str, change: impl FnOnce(&Link)) {
    let (sizes, _) = transfer(link, to, change);
    assert_eq!(sizes[0], 1_472);
}

/// Who only reads learns that its address has gone when data stops in its midst: the question about it cannot leave.
#[test]
fn a_download_goes_on_to_another_address_of_this_host() {
    let _alone = alone();
    for (from, old, new) in [
        ("10.77.0.2:700", "10.77.0.1/24", "10.77.0.3/24"),
        ("[fd77::2]:700", "fd77::1/64", "fd77::3/64"),
    ] {
        let Some(link) = Link::new(1_500) else { return };
        let nodad = if old.contains("::") { "nodad" } else { "" };
        let is_slow = download(&link, from, |link| {
            link.change(0, &format!("addr del {old} dev v"));
            link.change(0, &format!("addr add {new} dev v {nodad}"));
        });
        if !is_slow {
            return;
        }
    }
}

/// The interface goes down, and with it every route; it comes back as it was.
#[test]
fn an_upload_survives_an_interface_that_goes_and_comes() {
    let _alone = alone();
    for host in [0, 1] {
        let Some(link) = Link::new(1_500) else { return };
        assert_upload_survives(&link, "10.77.0.2:700", |link| {
            link.change(host, "link set v down");
            link.change(host, "link set v up");
        });
    }
}

/// The peer's address goes and comes back: it cannot move, but it need not end.
#[test]
fn an_upload_survives_an_address_of_the_peer_that_goes_and_comes() {
    let _alone = alone();
    let Some(link) = Link::new(1_500) else { return };
    assert_upload_survives(&link, "10.77.0.2:700", |link| {
        link.change(1, "addr del 10.77.0.2/24 dev v");
        link.change(1, "addr add 10.77.0.2/24 dev v");
    });
}
