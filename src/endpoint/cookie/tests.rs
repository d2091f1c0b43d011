use super::*;

fn said() -> Said {
    Said {
        cid: ConnectionId::new(0xc11e).expect("not 0"),
        first: PacketNumber::new(0x3fff_ffff),
        window: Window::new(u32::MAX),
        max_datagram: 65_507,
        max_ack_delay: Some(Duration::from_micros(u64::from(u32::MAX))),
        idle_timeout: Some(Duration::from_millis(u64::from(u32::MAX))),
        dgram_max: Some(u16::MAX),
        features: Some(u32::MAX),
        incarnation: Some(u64::MAX),
    }
}

fn cookies(seed: u8) -> Cookies {
    Cookies::new(&mut Random::new(&[seed; 32]))
}

fn from() -> SocketAddr {
    "192.0.2.7:40000".parse().expect("an address")
}

fn millis(at: u64) -> Time {
    Time::from_millis(at)
}

#[test]
fn a_cookie_gives_back_what_the_syn_said() {
    let cookies = cookies(1);
    let bare = Said {
        max_ack_delay: None,
        idle_timeout: None,
        dgram_max: None,
        features: None,
        incarnation: None,
        ..said()
    };
    let some = Said {
        dgram_max: Some(0),
        incarnation: None,
        ..said()
    };
    for said in [said(), bare, some] {
        let minted = cookies.mint(millis(90_000), from(), &said, Window::new(77));
        let proof = cookies.verify(millis(90_250), from(), minted.cid, &minted.cookie);
        let expected = Proof {
            said,
            promised: Window::new(77),
            first: minted.first,
            age: Duration::from_millis(250),
        };
        assert_eq!(proof, Ok(expected));
    }
}

#[test]
fn every_bit_of_a_cookie_counts() {
    let cookies = cookies(1);
    let minted = cookies.mint(millis(90_000), from(), &said(), Window::new(77));
    for bit in 0..COOKIE_BYTES * 8 {
        let mut cookie = minted.cookie;
        cookie[bit / 8] ^= 1 << (bit % 8);
        let verdict = cookies.verify(millis(90_000), from(), minted.cid, &cookie);
        assert!(verdict.is_err(), "bit {bit}");
    }
    for len in 0..COOKIE_BYTES {
        let verdict = cookies.verify(millis(90_000), from(), minted.cid, &minted.cookie[..len]);
        assert_eq!(verdict, Err(BadCookie::Forged), "{len} bytes");
    }
}

#[test]
fn a_cookie_lives_for_thirty_seconds_across_a_change_of_keys() {
    let cookies = cookies(1);
    for minted_at in [
        0, 29_999, 30_000, 31_000, 59_999, 60_000, 100_000, 15_360_000,
    ] {
        let minted = cookies.mint(millis(minted_at), from(), &said(), Window::new(77));
        for (age, is_good) in [
            (0, true),
            (30_000, true),
            (30_001, false),
            (60_000, false),
            (125_000, false),
        ] {
            let now = millis(minted_at + age);
            let verdict = cookies.verify(now, from(), minted.cid, &minted.cookie);
            assert_eq!(
                verdict.is_ok(),
                is_good,
                "minted at {minted_at}, {age} ms old"
            );
        }
    }
}

#[test]
fn keys_differ_by_epoch_and_by_endpoint() {
    let one = cookies(1);
    let now = millis(1_000);
    let minted = one.mint(now, from(), &said(), Window::new(77));
    let verdict = cookies(2).verify(now, from(), minted.cid, &minted.cookie);
    assert_eq!(verdict, Err(BadCookie::Forged));
    // 256 epochs later the key has the same name, but is another one.
    let later = millis(256 * 60_000 + 1_000);
    let verdict = one.verify(later, from(), minted.cid, &minted.cookie);
    assert_eq!(verdict, Err(BadCookie::Forged));
    // An id is the same throughout an epoch, and another one in the next.
    let ids =
        [1_000, 59_999, 60_000].map(|at| one.mint(millis(at), from(), &said(), Window::new(7)).cid);
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
}

#[test]
fn ids_depend_on_address_port_and_client() {
    let cookies = cookies(1);
    let mint = |from: &str, cid: u64| {
        let said = Said {
            cid: ConnectionId::new(cid).expect("not 0"),
            ..said()
        };
        let minted = cookies.mint(
            millis(0),
            from.parse().expect("an address"),
            &said,
            Window::new(7),
        );
        (minted.cid, minted.first)
    };
    let all = [
        mint("192.0.2.7:1", 1),
        mint("192.0.2.7:2", 1),
        mint("192.0.2.8:1", 1),
        mint("[2001:db8::1]:1", 1),
        mint("192.0.2.7:1", 2),
    ];
    for (at, one) in all.iter().enumerate() {
        for other in &all[..at] {
            assert_ne!(one.0, other.0);
            assert_ne!(one.1, other.1);
        }
    }
    // One host is one host, whichever socket it reached.
    assert_eq!(mint("192.0.2.7:1", 1), mint("[::ffff:192.0.2.7]:1", 1));
}

/// A-06 for the ids that a server hands out.
#[test]
fn a_million_minted_ids_do_not_repeat() {
    let cookies = cookies(3);
    let mut ids: Vec<u64> = (1..=1_000_000)
        .map(|cid| {
            let cid = ConnectionId::new(cid).expect("not 0");
            cookies.identity(0, from(), cid).0.get()
        })
        .collect();
    for bit in 0..64 {
        let ones = ids.iter().filter(|id| **id >> bit & 1 == 1).count();
        assert!(ones.abs_diff(500_000) < 2_500, "bit {bit}: {ones}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_000_000);
}

#[test]
fn comparing_looks_at_every_byte_and_the_length() {
    assert!(is_equal(b"abc", b"abc"));
    assert!(!is_equal(b"abc", b"abd"));
    assert!(!is_equal(b"xbc", b"abc"));
    assert!(!is_equal(b"abc", b"ab"));
}

#[test]
fn the_layout_fills_the_cookie() {
    let mut bytes = [0; BODY_BYTES];
    let mut writer = Writer(&mut bytes);
    let body = Body {
        minted: millis(1),
        promised: Window::new(2),
        said: said(),
    };
    body.encode(9, &mut writer);
    assert!(writer.0.is_empty());
}
