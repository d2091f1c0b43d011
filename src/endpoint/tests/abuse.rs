//! Strangers that mean harm: forgers, floods, spoofers.

use super::leaving::capacity;
use super::*;

/// 10^5 forgeries, all of which would open a connection if they were believed.
#[test]
fn no_forged_cookie_opens_a_connection() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let mut chance = Chance(31);
    let answer = host.syn_ack(secs(100), from, &Syn::new(8).bytes());
    let mut cookie = [0; 112];
    for round in 0..100_000 {
        let forged = match round % 4 {
            // One or two bits of a good one.
            0 | 1 => {
                let forged = &mut cookie[..answer.cookie.len()];
                forged.copy_from_slice(&answer.cookie);
                for _ in 0..=round % 4 {
                    let bit = chance.below(answer.cookie.len() as u64 * 8);
                    forged[bit / 8] ^= 1 << (bit % 8);
                }
                if *forged == answer.cookie[..] {
                    continue;
                }
                forged
            }
            // Random bytes behind a good beginning.
            2 => {
                let forged = &mut cookie[..answer.cookie.len()];
                chance.fill(forged);
                forged[..2].copy_from_slice(&answer.cookie[..2]);
                forged
            }
            // Random bytes of any length.
            _ => {
                let len = chance.below(113);
                chance.fill(&mut cookie[..len]);
                &mut cookie[..len]
            }
        };
        let reason = host
            .receive(secs(100), from, &with_cookie(answer.opening.cid, forged))
            .drop_reason();
        assert!(matches!(
            reason,
            DropReason::CookieForged | DropReason::CookieExpired
        ));
    }
    assert!(host.endpoint.is_empty());
    host.receive(secs(100), from, &third(&answer)).arrival();
}

/// a million SYNs, each from another address, leave no memory, and honest clients connect.
#[test]
fn a_flood_of_syns_costs_no_memory_and_locks_nobody_out() {
    let mut host = Host::new(Listening::Yes);
    let mut syn = Syn::new(1).bytes();
    let before = capacity(&host.endpoint);
    let mut honest = 0;
    for count in 1..=1_000_000_u64 {
        let now = Time::from_micros(count * 10);
        syn[24..32].copy_from_slice(&count.to_be_bytes());
        let checksum = integrity::checksum(&syn).to_be_bytes();
        syn[4..8].copy_from_slice(&checksum);
        let ip = std::net::Ipv4Addr::from(0x0a00_0000 + u32::try_from(count % 100_000).unwrap());
        host.reply.clear();
        let from = meta(SocketAddr::from((ip, 40_000)));
        let route = host
            .endpoint
            .handle_datagram(now, &from, &syn, &mut host.reply);
        assert!(matches!(route, Route::Reply(_)));
        if count % 20_000 == 0 {
            host.open(now, address(CLIENT), count << 32);
            honest += 1;
        }
    }
    assert_eq!((honest, host.endpoint.len()), (50, 50));
    assert!(capacity(&host.endpoint) - before < 1_000);
    assert_eq!(host.endpoint.limit.capacity(), 0);
}

/// R05: UNKNOWN answers numbered packets and nothing else, and is not longer than they.
#[test]
fn unknown_answers_numbered_packets_only() {
    for listening in [Listening::No, Listening::Yes, Listening::Full] {
        let mut host = Host::new(listening);
        let from = address(CLIENT);
        for packet in numbered(id(0xabc)) {
            let reply = host.receive(secs(0), from, &packet).reply();
            assert_eq!(reply.len(), 32);
            let unknown = wire::decode(&reply).expect("a packet");
            assert!(matches!(unknown.body, Body::Unknown));
            assert_eq!((unknown.dcid, unknown.pn.get()), (Some(id(0xabc)), 9));

            let mut spoiled = packet.clone();
            spoiled[17] ^= 4;
            assert_eq!(
                host.receive(secs(0), from, &spoiled).drop_reason(),
                DropReason::Checksum
            );
        }
        for packet in answers(id(0xabc)) {
            let reason = host.receive(secs(0), from, &packet).drop_reason();
            assert_eq!(reason, DropReason::NoConnection);
        }
    }
}

#[test]
fn answers_are_limited_by_network_and_by_socket() {
    let mut host = Host::new(Listening::No);
    let packet = data(id(5), 1, b"x");
    let mut answered =
        |second: u64, from: SocketAddr| match host.receive(secs(second), from, &packet) {
            Outcome::Reply(_) => true,
            outcome => {
                assert_eq!(outcome.drop_reason(), DropReason::RateLimited);
                false
            }
        };
    // Ten a second for one /24 and one /56, whoever asks.
    let v4 = |host: u32| SocketAddr::from((std::net::Ipv4Addr::from(0xc000_0200 + host), 40_000));
    assert_eq!((0..256).filter(|host| answered(1, v4(*host))).count(), 10);
    assert_eq!((0..256).filter(|host| answered(2, v4(*host))).count(), 10);
    let v6 = |host: u128| {
        let ip = std::net::Ipv6Addr::from((0x2001_0db8_0000_0100 << 64) + (host << 56));
        SocketAddr::from((ip, 40_000))
    };
    assert_eq!((0..256).filter(|host| answered(3, v6(*host))).count(), 10);
    // A thousand a second in all, however many networks there are.
    let spread = |host: u32| SocketAddr::from((std::net::Ipv4Addr::from(host << 8), 40_000));
    let count = |second, answered: &mut dyn FnMut(u64, SocketAddr) -> bool| {
        (0x1_0000..0x2_0000)
            .filter(|host| answered(second, spread(*host)))
            .count()
    };
    assert_eq!(count(4, &mut answered), 1_000);
    assert_eq!(count(5, &mut answered), 1_000);
    let bytes = host.endpoint.limit.capacity();
    assert!(bytes <= 65_536, "{bytes}");
}

/// K19, and the same for SYNs.
#[test]
fn reflectors_and_crowds_are_never_answered() {
    let mut host = Host::new(Listening::Yes);
    let packets = [data(id(5), 1, &[0; 300]), Syn::new(8).bytes()];
    let mut refused = |from: &str, to: Option<&str>| {
        let to_ip = to.map(|ip| ip.parse().expect("an address"));
        let meta = Meta {
            to_ip,
            ..meta(address(from))
        };
        for packet in &packets {
            let reason = host.receive_meta(secs(0), &meta, packet).drop_reason();
            assert_eq!(reason, DropReason::Unanswerable, "{from} to {to:?}");
        }
    };
    for port in [
        0, 7, 17, 19, 53, 111, 123, 137, 161, 389, 500, 1900, 3702, 5353, 5355, 11211,
    ] {
        refused(&format!("192.0.2.1:{port}"), None);
        refused(&format!("[2001:db8::1]:{port}"), None);
    }
    for from in [
        "255.255.255.255:4000",
        "224.0.0.1:4000",
        "0.0.0.0:4000",
        "[ff02::1]:4000",
        "[::]:4000",
        "[::ffff:224.0.0.1]:4000",
        "[::ffff:255.255.255.255]:4000",
    ] {
        refused(from, None);
    }
    for to in [
        "255.255.255.255",
        "239.1.1.1",
        "ff02::1",
        "::ffff:239.1.1.1",
    ] {
        refused(CLIENT, Some(to));
    }
    let meta = Meta {
        to_ip: Some(address("198.51.100.1:1").ip()),
        ..meta(address(CLIENT))
    };
    for packet in &packets {
        host.receive_meta(secs(0), &meta, packet).reply();
    }
}

/// no first datagram, random or nearly right, draws more bytes than it has.
#[test]
fn nothing_is_amplified() {
    let mut chance = Chance(17);
    let mut worst = 0.0_f64;
    let mut replies = 0;
    let canonical: Vec<Vec<u8>> = answers(id(6))
        .into_iter()
        .chain(numbered(id(6)))
        .chain([
            Syn::new(8).bytes(),
            with_cookie(id(6), &[1; 71]),
            fin(id(6), 4),
        ])
        .collect();
    for listening in [Listening::No, Listening::Yes] {
        let mut host = Host::new(listening);
        for round in 0..100_000_u64 {
            let mut packet = canonical[chance.below(canonical.len() as u64)].clone();
            match round % 3 {
                0 => {
                    packet.resize(chance.below(400), 0);
                    chance.fill(&mut packet);
                }
                1 => {
                    let at = chance.below(packet.len() as u64);
                    packet[at] = chance.next() as u8;
                }
                _ => {}
            }
            // Half of them with a right checksum, or hardly any would get far.
            if round % 2 == 0 && packet.len() >= 32 {
                packet[0] = 0x10 | (packet[0] & 0x0f);
                let checksum = integrity::checksum(&packet).to_be_bytes();
                packet[4..8].copy_from_slice(&checksum);
            }
            let ip = std::net::Ipv4Addr::from(0x0a00_0000 + (chance.next() as u32 >> 8));
            let from = SocketAddr::from((ip, 40_000));
            let now = Time::from_millis(round * 10);
            if let Outcome::Reply(reply) = host.receive(now, from, &packet) {
                replies += 1;
                assert!(reply.len() <= packet.len(), "{packet:02x?}");
                worst = worst.max(reply.len() as f64 / packet.len() as f64);
            }
        }
        assert!(host.endpoint.is_empty());
    }
    assert!(replies > 10_000, "{replies} of 200,000 were answered");
    assert!(worst <= 1.0);
}

/// two endpoints, each made to believe that the other one spoke.
#[test]
fn two_endpoints_do_not_keep_each_other_busy() {
    let from = [address("192.0.2.1:4000"), address("198.51.100.1:4000")];
    for listening in [Listening::No, Listening::Yes] {
        let mut triggers = answers(id(6));
        triggers.extend(numbered(id(6)));
        triggers.push(Syn::new(8).bytes());
        triggers.push(with_cookie(id(6), &[1; 71]));
        let mut foreign = Syn::new(8).bytes();
        foreign[0] = 0x21;
        let checksum = integrity::checksum(&foreign).to_be_bytes();
        foreign[4..8].copy_from_slice(&checksum);
        triggers.push(foreign);
        // Late packets for connections that both think are in TIME_WAIT, each with the other.
        let mut hosts = [Host::new(listening), Host::new(listening)];
        let [one, two] = &mut hosts;
        let (a, open_a, _) = one.endpoint.open(from[1], 0).expect("opens");
        let (b, open_b, _) = two.endpoint.open(from[0], 0).expect("opens");
        for (host, handle, peer) in [(one, a, open_b.local_cid), (two, b, open_a.local_cid)] {
            let last = LastAck {
                peer_cid: peer,
                ..last_ack(address(CLIENT))
            };
            host.endpoint
                .remove(secs(0), handle, Farewell::TimeWait(last));
        }
        triggers.push(data(open_a.local_cid, 5, &[0; 100]));
        triggers.extend(answers(open_a.local_cid));
        for (second, trigger) in (1..).zip(triggers) {
            let (mut packet, mut to, mut count) = (trigger, 0, 0);
            while let Outcome::Reply(reply) = hosts[to].receive(secs(second), from[1 - to], &packet)
            {
                (packet, to, count) = (reply, 1 - to, count + 1);
                assert!(count <= 2, "{packet:02x?}");
            }
        }
    }
}

/// Every one-byte change and every cut of packets that matter: no panic, no state.
#[test]
fn spoiled_packets_change_nothing() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let answer = host.syn_ack(secs(1), from, &Syn::new(8).bytes());
    let mut cases = 0_u32;
    for packet in [Syn::new(8).bytes(), third(&answer), fin(id(6), 4)] {
        for at in 0..packet.len() {
            let mut spoiled = packet.clone();
            for value in (0..=255_u8).step_by(3) {
                spoiled[at] = value;
                if spoiled == packet {
                    continue;
                }
                let outcome = host.receive(secs(1), from, &spoiled);
                assert!(matches!(outcome, Outcome::Drop(_)), "byte {at} as {value}");
                cases += 1;
            }
            let outcome = host.receive(secs(1), from, &packet[..at]);
            assert!(matches!(outcome, Outcome::Drop(_)), "cut at {at}");
        }
    }
    assert!(cases > 30_000, "{cases} cases");
    assert!(host.endpoint.is_empty());
}
