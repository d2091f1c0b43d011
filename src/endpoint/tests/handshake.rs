//! SYN, SYNACK and the third packet.

use super::*;

#[test]
fn a_syn_draws_a_cookie_and_the_third_packet_opens_with_what_both_said() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let mut syn = Syn::new(0xc11e);
    syn.options = Options {
        max_ack_delay: Some(Duration::from_micros(12_345)),
        idle_timeout: Some(Duration::from_millis(30_000)),
        dgram_max: Some(1_100),
        features: Some(5),
        incarnation: Some(99),
        grease: true,
        ..Options::default()
    };
    let answer = host.syn_ack(secs(10), from, &syn.bytes());
    assert_eq!(answer.dcid, id(0xc11e));
    assert_eq!((answer.opening.clock, answer.opening.service), (77, 0));
    assert_eq!(answer.opening.window.get(), Config::new().receive_window);
    assert_eq!(answer.incarnation, Some(host.endpoint.incarnation()));
    assert!((1..1 << 30).contains(&answer.pn));
    assert!(host.endpoint.is_empty(), "a SYN leaves nothing behind");

    let later = secs(10) + Duration::from_millis(35);
    let to_ip = Some(address("198.51.100.1:1").ip());
    let meta = Meta {
        to_ip,
        ..meta(from)
    };
    let arrival = host.receive_meta(later, &meta, &third(&answer)).arrival();
    assert_eq!(arrival.remote(), from);
    let (handle, open, _) = host.endpoint.admit(arrival);
    assert_eq!((open.remote, open.local_ip), (from, to_ip));
    assert_eq!(
        (open.local_cid, open.peer_cid),
        (answer.opening.cid, id(0xc11e))
    );
    assert_eq!(open.local_first.get(), u64::from(answer.pn));
    assert_eq!(open.peer_first.get(), 1_000);
    assert_eq!(open.window.get(), 100_000);
    assert_eq!(open.promised_window, answer.opening.window);
    assert_eq!(open.max_datagram, 1_472);
    assert_eq!(open.rtt, Some(Duration::from_millis(35)));
    assert_eq!(open.max_ack_delay, syn.options.max_ack_delay);
    assert_eq!(open.idle_timeout, syn.options.idle_timeout);
    assert_eq!(open.dgram_max, Some(1_100));
    assert_eq!((open.features, open.incarnation), (Some(5), Some(99)));

    // From now on everything for the id is the connection's, a repeated third packet too.
    for packet in [third(&answer), data(open.local_cid, 1_001, b"more")] {
        match host.receive(later, from, &packet) {
            Outcome::Connection(to, Kind::Data) => assert_eq!(to, handle),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(host.endpoint.len(), 1);
}

#[test]
fn options_that_a_syn_had_not_stay_absent() {
    let mut host = Host::new(Listening::Yes);
    let (_, open) = host.open(secs(0), address(CLIENT), 4);
    assert_eq!((open.max_ack_delay, open.idle_timeout), (None, None));
    assert_eq!(
        (open.dgram_max, open.features, open.incarnation),
        (None, None, None)
    );
}

#[test]
fn the_promise_of_a_syn_ack_outlives_a_change_of_the_configuration() {
    let mut host = Host::new(Listening::Yes);
    let wide = Config::new()
        .with_receive_window(1 << 20)
        .with_idle_timeout(Some(Duration::from_secs(9)));
    host.endpoint.set_listening(Listening::Yes, &wide);
    let answer = host.syn_ack(secs(0), address(CLIENT), &Syn::new(4).bytes());
    assert_eq!(answer.opening.window.get(), 1 << 20);
    assert_eq!(answer.idle_timeout, Some(Duration::from_secs(9)));
    host.listening(Listening::Yes);
    let arrival = host
        .receive(secs(1), address(CLIENT), &third(&answer))
        .arrival();
    assert_eq!(
        host.endpoint.admit(arrival).1.promised_window.get(),
        1 << 20
    );
}

/// H03.
#[test]
fn a_repeated_syn_gets_the_same_answer_and_makes_one_connection() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let syn = Syn::new(8).bytes();
    let first = host.receive(secs(5), from, &syn).reply();
    assert_eq!(
        host.receive(secs(5), from, &syn).reply(),
        first,
        "byte for byte"
    );
    // Later in the same epoch the cookie is fresher, all else is the same.
    let later = host.syn_ack(secs(8), from, &syn);
    let first = SynAck::read(&first);
    assert_ne!(later.cookie, first.cookie);
    assert_eq!(
        SynAck {
            cookie: first.cookie.clone(),
            ..later.clone()
        },
        first
    );

    let arrival = host.receive(secs(8), from, &third(&first)).arrival();
    let (handle, ..) = host.endpoint.admit(arrival);
    let second = host.receive(secs(8), from, &third(&later));
    assert!(matches!(second, Outcome::Connection(to, _) if to == handle));
    assert_eq!(host.endpoint.len(), 1);
}

/// H08: RFC 5961 s4.
#[test]
fn a_syn_never_touches_a_live_connection() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let (handle, open) = host.open(secs(5), from, 8);
    // Again, exactly: answered as any SYN.
    let again = host.syn_ack(secs(6), from, &Syn::new(8).bytes());
    assert_eq!(again.opening.cid, open.local_cid);
    // From a client that rebooted: another connection, beside the old one.
    let (other, _) = host.open(secs(7), from, 9);
    assert_ne!(other, handle);
    let old = host.receive(secs(7), from, &data(open.local_cid, 1_001, b"x"));
    assert!(matches!(old, Outcome::Connection(to, _) if to == handle));
    assert_eq!(host.endpoint.len(), 2);
}

/// H09.
#[test]
fn without_a_listener_syns_and_third_packets_are_refused() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let answer = host.syn_ack(secs(1), from, &Syn::new(8).bytes());
    host.listening(Listening::No);

    let refused = host.receive(secs(1), from, &Syn::new(8).bytes()).reply();
    let packet = wire::decode(&refused).expect("a packet");
    assert!(matches!(
        packet.body,
        Body::Rst {
            code: crate::error::ResetCode::REFUSED,
            ..
        }
    ));
    assert_eq!(
        (packet.dcid, packet.pn.get()),
        (Some(id(8)), 1_000),
        "the SYN's"
    );

    let refused = host.receive(secs(1), from, &third(&answer)).reply();
    let packet = wire::decode(&refused).expect("a packet");
    assert!(matches!(
        packet.body,
        Body::Rst {
            code: crate::error::ResetCode::REFUSED,
            ..
        }
    ));
    // Our next number, which a client believes that holds a SYNACK.
    assert_eq!((packet.dcid, packet.pn.get()), (Some(id(8)), answer.pn));

    let mut cookie = answer.cookie.clone();
    cookie[20] ^= 1;
    let forged = with_cookie(answer.opening.cid, &cookie);
    let reason = host.receive(secs(1), from, &forged).drop_reason();
    assert_eq!(reason, DropReason::CookieForged);
    assert!(host.endpoint.is_empty());
}

#[test]
fn a_full_backlog_is_silent() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let answer = host.syn_ack(secs(1), from, &Syn::new(8).bytes());
    host.listening(Listening::Full);
    let mut foreign = Syn::new(8).bytes();
    set_version(&mut foreign, 7);
    for packet in [Syn::new(8).bytes(), third(&answer), foreign] {
        let reason = host.receive(secs(1), from, &packet).drop_reason();
        assert_eq!(reason, DropReason::BacklogFull);
    }
    assert_eq!(host.endpoint.dropped(DropReason::BacklogFull), 3);
    host.listening(Listening::Yes);
    host.receive(secs(2), from, &third(&answer)).arrival();
}

fn set_version(datagram: &mut [u8], version: u8) {
    datagram[0] = (version << 4) | (datagram[0] & 0x0f);
    let checksum = integrity::checksum(datagram).to_be_bytes();
    datagram[4..8].copy_from_slice(&checksum);
}

/// H15.
#[test]
fn what_a_syn_may_and_may_not_say() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    // Unknown options are skipped, and a payload is ignored.
    let mut syn = Syn::new(8);
    syn.options.grease = true;
    host.syn_ack(secs(0), from, &syn.bytes());

    // Unless they are critical.
    let mut critical = Syn::new(8).bytes();
    critical[48] = 0x88;
    critical[20] = 13;
    let checksum = integrity::checksum(&critical).to_be_bytes();
    critical[4..8].copy_from_slice(&checksum);
    let reply = host.receive(secs(0), from, &critical).reply();
    let packet = wire::decode(&reply).expect("a packet");
    assert!(matches!(
        packet.body,
        Body::Rst {
            code: crate::error::ResetCode::UNSUPPORTED,
            ..
        }
    ));
    assert_eq!((packet.dcid, packet.pn.get()), (Some(id(8)), 1_000));

    for (max_datagram, second) in [(1, 1), (1_199, 1), (1_200, 2)] {
        let mut syn = Syn::new(8);
        syn.opening.max_datagram = max_datagram;
        let reply = host.receive(secs(second), from, &syn.bytes()).reply();
        let packet = wire::decode(&reply).expect("a packet");
        let is_refused = matches!(
            packet.body,
            Body::Rst {
                code: crate::error::ResetCode::UNSUPPORTED,
                ..
            }
        );
        assert_eq!(is_refused, max_datagram < 1_200);
    }

    // Too short to be answered.
    let mut short = Syn::new(8).bytes();
    short.truncate(255);
    let checksum = integrity::checksum(&short).to_be_bytes();
    short[4..8].copy_from_slice(&checksum);
    assert_eq!(
        host.receive(secs(3), from, &short).drop_reason(),
        DropReason::Malformed
    );
}

#[test]
fn a_syn_of_another_version_draws_the_versions() {
    let mut host = Host::new(Listening::No);
    let from = address(CLIENT);
    for version in [0, 2, 15] {
        let mut syn = Syn::new(8).bytes();
        set_version(&mut syn, version);
        let mut reply = host.receive(secs(0), from, &syn).reply();
        assert!(reply.len() <= syn.len());
        assert_eq!(reply[0] >> 4, version, "the SYN's version");
        set_version(&mut reply, 1);
        let packet = wire::decode(&reply).expect("a packet");
        assert!(matches!(packet.body, Body::Versions([1])));
        assert_eq!((packet.dcid, packet.pn.get()), (Some(id(8)), 1_000));

        syn[40] ^= 1;
        assert_eq!(
            host.receive(secs(0), from, &syn).drop_reason(),
            DropReason::Checksum
        );
        // Nothing but a SYN is answered.
        let mut other = data(id(5), 1, &[0; 300]);
        set_version(&mut other, version);
        assert_eq!(
            host.receive(secs(0), from, &other).drop_reason(),
            DropReason::Malformed
        );
    }
}

/// H16.
#[test]
fn a_cookie_is_good_for_its_client_and_its_time_only() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let answer = host.syn_ack(secs(100), from, &Syn::new(8).bytes());
    let packet = third(&answer);
    for other in ["192.0.2.7:40001", "192.0.2.8:40000", "[2001:db8::1]:40000"] {
        let reason = host
            .receive(secs(100), address(other), &packet)
            .drop_reason();
        assert_eq!(reason, DropReason::CookieForged, "{other}");
    }
    let other_id = with_cookie(id(answer.opening.cid.get() ^ 1), &answer.cookie);
    let reason = host.receive(secs(100), from, &other_id).drop_reason();
    assert_eq!(reason, DropReason::CookieForged);

    for (second, reason) in [
        (131, DropReason::CookieExpired),
        (179, DropReason::CookieExpired),
        // The key is gone, too.
        (240, DropReason::CookieExpired),
        // A clock that stood still or went back proves nothing.
        (3, DropReason::CookieExpired),
    ] {
        assert_eq!(
            host.receive(secs(second), from, &packet).drop_reason(),
            reason
        );
    }
    assert!(host.endpoint.is_empty());
    // The last moment, with the key of the epoch before.
    host.receive(secs(130), from, &packet).arrival();
}

/// H06, and everything else that a connection itself judges.
#[test]
fn packets_for_a_live_id_reach_their_connection_and_spoiled_ones_do_not() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let (handle, open) = host.open(secs(0), from, 8);
    let stranger = address("203.0.113.9:9");
    for packet in answers(open.local_cid)
        .iter()
        .chain(&numbered(open.local_cid))
    {
        let kind = wire::glance(packet).expect("a packet").kind;
        if kind == Kind::Unknown {
            continue;
        }
        // From any address: the connection decides about paths.
        for from in [from, stranger] {
            let outcome = host.receive(secs(0), from, packet);
            assert!(matches!(outcome, Outcome::Connection(to, k) if to == handle && k == kind));
        }
        let mut spoiled = packet.clone();
        *spoiled.last_mut().expect("not empty") ^= 1;
        let reason = host.receive(secs(0), from, &spoiled).drop_reason();
        assert_eq!(reason, DropReason::Checksum);
    }
}

#[test]
fn an_unknown_is_found_by_the_peers_id() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let (handle, open) = host.open(secs(0), from, 8);
    let unknown = |dcid| build(Kind::Unknown, Some(dcid), 5, |_| {});
    let found = host.receive(secs(0), from, &unknown(id(8)));
    assert!(matches!(found, Outcome::Connection(to, Kind::Unknown) if to == handle));
    let reason = host
        .receive(secs(0), from, &unknown(open.local_cid))
        .drop_reason();
    assert_eq!(reason, DropReason::NoConnection);
    host.endpoint.remove(secs(0), handle, Farewell::Spent);
    let reason = host.receive(secs(0), from, &unknown(id(8))).drop_reason();
    assert_eq!(reason, DropReason::NoConnection);
}

#[test]
fn a_connect_draws_random_ids_and_refuses_bad_addresses() {
    let mut host = Host::new(Listening::No);
    for (to, error) in [
        (
            "192.0.2.1:0",
            ConnectError::BadAddress(address("192.0.2.1:0")),
        ),
        (
            "0.0.0.0:80",
            ConnectError::BadAddress(address("0.0.0.0:80")),
        ),
        ("[::]:80", ConnectError::BadAddress(address("[::]:80"))),
        (
            "224.0.0.1:80",
            ConnectError::BadAddress(address("224.0.0.1:80")),
        ),
        (
            "[ff02::1]:80",
            ConnectError::BadAddress(address("[ff02::1]:80")),
        ),
        (
            "255.255.255.255:80",
            ConnectError::BadAddress(address("255.255.255.255:80")),
        ),
        (
            "192.0.2.1:53",
            ConnectError::ReflectorPort(address("192.0.2.1:53")),
        ),
    ] {
        assert_eq!(host.endpoint.open(address(to), 0).unwrap_err(), error);
    }
    assert!(host.endpoint.is_empty());
    let config = Arc::new(Config::new().with_max_datagram(9));
    let error = host
        .endpoint
        .connect(secs(0), address(CLIENT), config)
        .unwrap_err();
    assert!(matches!(error, ConnectError::BadConfig(_)));

    let (one, first, seed) = host.endpoint.open(address(CLIENT), 0).expect("opens");
    let (two, second, other_seed) = host.endpoint.open(address(CLIENT), 0).expect("opens");
    assert_ne!(one, two);
    assert_ne!(first.local_cid, second.local_cid);
    assert_ne!(first.local_first, second.local_first);
    assert_ne!(seed, other_seed);
    assert_eq!((first.service, first.remote), (0, address(CLIENT)));

    let allowed = EndpointConfig::new().with_allow_reflector_ports(true);
    let mut host = Host::with(Listening::No, allowed);
    host.endpoint
        .open(address("192.0.2.1:53"), 0)
        .expect("allowed");
}

#[test]
fn answers_to_an_opening_connection_are_found_by_the_syns_id() {
    let mut host = Host::new(Listening::No);
    let from = address(CLIENT);
    let (handle, open, _) = host.endpoint.open(from, 0).expect("opens");
    let [rst, _, versions, _, syn_ack] = &answers(open.local_cid)[..] else {
        panic!("five kinds");
    };
    for packet in [rst, versions, syn_ack] {
        let outcome = host.receive(secs(0), from, packet);
        assert!(matches!(outcome, Outcome::Connection(to, _) if to == handle));
    }
    // H14: gone means gone, and nothing is answered.
    host.endpoint.remove(secs(0), handle, Farewell::Spent);
    for packet in [rst, versions, syn_ack] {
        let reason = host.receive(secs(0), from, packet).drop_reason();
        assert_eq!(reason, DropReason::NoConnection);
    }
    assert!(host.endpoint.is_empty());
    assert_eq!(host.endpoint.poll_timeout(), None);
}

#[test]
fn a_rendezvous_token_leads_to_its_connection() {
    let from = address(CLIENT);
    for listening in [Listening::No, Listening::Yes, Listening::Full] {
        let mut host = Host::new(listening);
        let config = || Arc::new(Config::new());
        let zero = host.endpoint.connect_rendezvous(secs(0), from, 0, config());
        assert_eq!(zero.unwrap_err(), ConnectError::BadToken);
        let (handle, ..) = host.endpoint.open(from, 0x70cc).expect("opens");
        let twice = host
            .endpoint
            .connect_rendezvous(secs(0), from, 0x70cc, config());
        assert_eq!(twice.unwrap_err(), ConnectError::BadToken);

        let mut syn = Syn::new(8);
        syn.opening.service = 0x70cc;
        let outcome = host.receive(secs(0), from, &syn.bytes());
        assert!(matches!(outcome, Outcome::Connection(to, Kind::Syn) if to == handle));
        // It stays the connection's token once it is open.
        host.endpoint.on_opened(handle, id(8));
        let outcome = host.receive(secs(0), from, &syn.bytes());
        assert!(matches!(outcome, Outcome::Connection(to, Kind::Syn) if to == handle));

        syn.opening.service = 0x70cd;
        let reason = host.receive(secs(0), from, &syn.bytes()).drop_reason();
        assert_eq!(reason, DropReason::UnknownToken);
        host.endpoint.remove(secs(0), handle, Farewell::Spent);
        syn.opening.service = 0x70cc;
        let reason = host.receive(secs(0), from, &syn.bytes()).drop_reason();
        assert_eq!(reason, DropReason::UnknownToken);
        host.endpoint
            .open(from, 0x70cc)
            .expect("the token is free again");
    }
}

#[test]
fn a_rendezvous_with_a_peer_that_takes_small_datagrams_only_is_refused() {
    let mut host = Host::new(Listening::No);
    host.endpoint.open(address(CLIENT), 3).expect("opens");
    let mut syn = Syn::new(8);
    (syn.opening.service, syn.opening.max_datagram) = (3, 1_199);
    let reply = host.receive(secs(0), address(CLIENT), &syn.bytes()).reply();
    let packet = wire::decode(&reply).expect("a packet");
    assert!(matches!(
        packet.body,
        Body::Rst {
            code: crate::error::ResetCode::UNSUPPORTED,
            ..
        }
    ));
}

#[test]
fn a_quoted_packet_is_found_by_the_id_in_it() {
    let mut host = Host::new(Listening::Yes);
    let to = address(CLIENT);
    let (opening, open, _) = host.endpoint.open(to, 0).expect("opens");
    let mut syn = Syn::new(1);
    syn.opening.cid = open.local_cid;
    let quote = syn.bytes();
    let found = host.endpoint.find_quoted(to, &quote[..32]);
    assert_eq!(
        found,
        Some(Quoted {
            handle: opening,
            number: None
        })
    );
    assert_eq!(
        host.endpoint.find_quoted(address("192.0.2.9:1"), &quote),
        None
    );
    assert_eq!(host.endpoint.find_quoted(to, &quote[..31]), None);
    assert_eq!(host.endpoint.find_quoted(to, &Syn::new(1).bytes()), None);

    let (live, _) = host.open(secs(0), to, 8);
    let number = Some(TruncatedNumber::new(9));
    for packet in numbered(id(8)) {
        let found = host.endpoint.find_quoted(to, &packet[..20]);
        assert_eq!(
            found,
            Some(Quoted {
                handle: live,
                number
            })
        );
        assert_eq!(host.endpoint.find_quoted(to, &packet[..19]), None);
    }
    for packet in answers(id(8)).iter().chain(&numbered(id(80))) {
        assert_eq!(host.endpoint.find_quoted(to, packet), None);
    }
    assert_eq!(host.endpoint.find_quoted(to, &[]), None);
    host.endpoint.remove(secs(0), live, Farewell::Spent);
    assert_eq!(host.endpoint.find_quoted(to, &data(id(8), 9, b"")), None);
}

#[test]
fn the_same_seed_gives_the_same_answers() {
    let run = || {
        let mut host = Host::new(Listening::Yes);
        let mut trace = host
            .receive(secs(1), address(CLIENT), &Syn::new(8).bytes())
            .reply();
        let (_, open, seed) = host.endpoint.open(address(CLIENT), 0).expect("opens");
        trace.extend(open.local_cid.get().to_be_bytes());
        trace.extend(seed.to_be_bytes());
        trace
    };
    assert_eq!(run(), run());
}
