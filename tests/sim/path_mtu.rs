//! The size of datagrams on paths that carry more, less, or another size than before.

use aqueduct::sim::{Link, Loss, apps};

use crate::{Pair, ms, secs};

/// A link of 20 Mbit/s and 20 ms of round trip that carries datagrams of `mtu` bytes.
fn link(mtu: usize) -> Link {
    let link = Link::new().rate_bits(20_000_000).queue_bytes(200_000);
    link.delay(ms(10)).mtu(mtu)
}

/// P01: what a long upload finds, on interfaces that take everything.
#[test]
fn every_path_mtu_is_found() {
    for mtu in [1_200, 1_280, 1_400, 1_472, 2_000, 4_352, 8_972] {
        let mut pair = Pair::new(21, link(mtu));
        let (client, server) = (pair.client, pair.server);
        pair.sim.set_interface_mtu(client, usize::MAX);
        pair.listen(apps::Transfer::sink);
        let key = pair.connect(apps::Transfer::send(20_000_000));
        let is_far = pair
            .sim
            .run_until(secs(60), |sim| sim.bytes_delivered() > 18_000_000);
        assert!(is_far);
        let lost = pair.sim.link_stats(client, server).too_large;
        let info = pair.sim.info(key).expect("it is open");
        let found = usize::from(info.path_mtu);
        println!("{mtu}: {found} found, {lost} probes lost");
        assert!((mtu - 15..=mtu).contains(&found), "{mtu}: {found}");
        assert!(lost <= 14, "{mtu}: {lost} probes were lost");
    }
}

/// Nobody says so, and the reader waits for at most three probe timeouts.
#[test]
fn a_path_that_gets_narrow_in_mid_transfer_is_a_short_stall() {
    for mtu in [1_200, 1_280, 1_400] {
        let mut pair = Pair::new(22, link(1_472));
        let (client, server) = (pair.client, pair.server);
        pair.listen(apps::Transfer::sink);
        let key = pair.connect(apps::Transfer::send(20_000_000));
        let is_far = pair
            .sim
            .run_until(secs(10), |sim| sim.bytes_delivered() > 2_000_000);
        assert!(is_far);
        let info = pair.sim.info(key).expect("it is open");
        let srtt = info.srtt.expect("measured");
        let timeout = srtt + (info.rttvar * 4).max(ms(1)) + ms(8);
        pair.sim.link(client, server, link(mtu));
        let (mut gap, mut last, mut seen) = (ms(0), pair.sim.now(), pair.sim.bytes_delivered());
        while pair.sim.now() < last + secs(1) && seen < 19_000_000 {
            pair.sim.run_for(ms(1));
            let now = pair.sim.now();
            if pair.sim.bytes_delivered() > seen {
                gap = gap.max(now - last);
                (last, seen) = (now, pair.sim.bytes_delivered());
            }
        }
        let info = pair.sim.info(key).expect("it is open");
        println!(
            "{mtu}: timeout {timeout:?}, gap {gap:?}, size {}",
            info.path_mtu
        );
        assert!(gap <= timeout * 3, "{gap:?}, timeout {timeout:?}");
        assert_eq!((info.path_mtu, info.black_holes), (1_200, 1));
        pair.run_to_close(key, secs(60));
        assert!(pair.sim.is_delivered(key));
    }
}

#[test]
fn random_loss_is_no_black_hole() {
    for seed in 0..40 {
        let percent = seed % 31;
        let mut pair = Pair::new(seed, link(1_472).loss(Loss::random(percent as f64 / 100.0)));
        pair.listen(apps::Transfer::sink);
        let key = pair.connect(apps::Transfer::send(400_000));
        let mut holes = 0;
        for _ in 0..600 {
            pair.sim.run_for(ms(100));
            holes = pair.sim.info(key).map_or(holes, |info| info.black_holes);
        }
        assert_eq!(holes, 0, "seed {seed}, {percent} %");
    }
}

/// A blackout loses datagrams of all sizes: the size stays.
#[test]
fn a_blackout_is_no_black_hole() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed, link(1_472));
        let (client, server) = (pair.client, pair.server);
        pair.listen(apps::Transfer::sink);
        let key = pair.connect(apps::Transfer::send(40_000_000));
        pair.sim.run_for(secs(1));
        pair.sim
            .link(client, server, link(1_472).loss(Loss::random(1.0)));
        pair.sim.run_for(secs(5) + ms(37 * seed));
        pair.sim.link(client, server, link(1_472));
        pair.sim.run_for(secs(8));
        let info = pair.sim.info(key).expect("it is open or just closed");
        assert_eq!((info.path_mtu, info.black_holes), (1_472, 0), "seed {seed}");
    }
}
