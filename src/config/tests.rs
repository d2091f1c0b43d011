//! Ranges, defaults, and what the errors say.

use super::*;

#[test]
fn defaults_are_valid() {
    assert_eq!(Config::new().validate(), Ok(()));
    assert_eq!(EndpointConfig::new().validate(), Ok(()));
}

#[test]
fn each_value_is_checked_at_both_ends_of_its_range() {
    let ms = Duration::from_millis;
    let keepalive = |count| {
        Some(Keepalive {
            count,
            ..Keepalive::default()
        })
    };
    let cases = [
        (
            "connect_timeout",
            Config::new().with_connect_timeout(ms(0)),
            Config::new().with_connect_timeout(ms(1)),
        ),
        (
            "connect_timeout",
            Config::new().with_connect_timeout(Duration::MAX),
            Config::new().with_connect_timeout(TIMEOUT_MAX),
        ),
        (
            "user_timeout",
            Config::new().with_user_timeout(Some(ms(0))),
            Config::new().with_user_timeout(None),
        ),
        (
            "idle_timeout",
            Config::new().with_idle_timeout(Some(ms(0x1_0000_0000))),
            Config::new().with_idle_timeout(Some(ms(0xffff_ffff))),
        ),
        (
            "idle_timeout",
            Config::new().with_idle_timeout(Some(ms(0))),
            Config::new().with_idle_timeout(None),
        ),
        (
            "keepalive",
            Config::new().with_keepalive(keepalive(0)),
            Config::new().with_keepalive(keepalive(1)),
        ),
        (
            "max_ack_delay",
            Config::new().with_max_ack_delay(ms(500)),
            Config::new().with_max_ack_delay(ms(0)),
        ),
        (
            "max_burst_segments",
            Config::new().with_max_burst_segments(1),
            Config::new().with_max_burst_segments(2),
        ),
        (
            "max_burst_segments",
            Config::new().with_max_burst_segments(45),
            Config::new().with_max_burst_segments(44),
        ),
        (
            "max_datagram",
            Config::new().with_max_datagram(1_199),
            Config::new().with_max_datagram(1_200),
        ),
        (
            "datagram_max",
            Config::new().with_datagram_max(65_476),
            Config::new().with_datagram_max(65_475),
        ),
        (
            "max_datagram",
            Config::new().with_max_datagram(65_508),
            Config::new().with_max_datagram(65_507),
        ),
    ];
    check_all(&cases);
}

#[test]
fn each_buffer_is_checked_at_both_ends_of_its_range() {
    let cases = [
        (
            "send_buffer",
            Config::new().with_send_buffer(2_399),
            Config::new().with_send_buffer(2_400),
        ),
        (
            "send_buffer",
            Config::new().with_send_buffer((1 << 30) + 1),
            Config::new().with_send_buffer(1 << 30),
        ),
        (
            "send_buffer_max",
            Config::new().with_send_buffer_max((1 << 20) - 1),
            Config::new().with_send_buffer_max(1 << 20),
        ),
        (
            "send_buffer_max",
            Config::new().with_send_buffer_max((1 << 30) + 1),
            Config::new().with_send_buffer_max(1 << 30),
        ),
        (
            "receive_window_max",
            Config::new().with_receive_window_max((256 << 10) - 1),
            Config::new().with_receive_window_max(256 << 10),
        ),
        (
            "receive_window_max",
            Config::new().with_receive_window_max((1 << 30) + 1),
            Config::new().with_receive_window_max(1 << 30),
        ),
        (
            "receive_window",
            Config::new().with_receive_window(2_399),
            Config::new().with_receive_window(2_400),
        ),
    ];
    check_all(&cases);
}

fn check_all(cases: &[(&str, Config, Config)]) {
    for (name, bad, good) in cases {
        assert_eq!(bad.validate().map_err(|error| error.name()), Err(*name));
        assert_eq!(good.validate(), Ok(()), "{name}");
    }
}

#[test]
fn values_of_an_endpoint_are_checked() {
    let name = |config: EndpointConfig| config.validate().map_err(|error| error.name());
    assert_eq!(name(EndpointConfig::new().with_backlog(0)), Err("backlog"));
    assert_eq!(name(EndpointConfig::new().with_backlog(1)), Ok(()));
    assert_eq!(
        name(EndpointConfig::new().with_time_wait(Duration::from_secs(3_601))),
        Err("time_wait")
    );
    assert_eq!(
        name(EndpointConfig::new().with_time_wait(Duration::ZERO)),
        Ok(())
    );
    assert_eq!(
        name(EndpointConfig::new().with_socket_buffer(0)),
        Err("socket_buffer")
    );
    assert_eq!(
        name(EndpointConfig::new().with_memory((1 << 20) - 1)),
        Err("memory")
    );
    assert_eq!(name(EndpointConfig::new().with_memory(1 << 20)), Ok(()));
}

#[test]
fn every_setter_is_seen_by_its_getter() {
    let ms = Duration::from_millis;
    let keepalive = Keepalive {
        idle: ms(1),
        interval: ms(2),
        count: 3,
    };
    let config = Config::new()
        .with_connect_timeout(ms(1))
        .with_user_timeout(Some(ms(2)))
        .with_idle_timeout(Some(ms(3)))
        .with_keepalive(Some(keepalive))
        .with_send_buffer(4_000)
        .with_receive_window(5_000)
        .with_max_ack_delay(ms(6))
        .with_max_datagram(7_000)
        .with_datagram_max(900)
        .with_nodelay(true)
        .with_abort_on_unread(true);
    assert_eq!(config.connect_timeout(), ms(1));
    assert_eq!(config.user_timeout(), Some(ms(2)));
    assert_eq!(config.idle_timeout(), Some(ms(3)));
    assert_eq!(config.keepalive(), Some(keepalive));
    assert_eq!(config.send_buffer(), 4_000);
    assert_eq!(config.receive_window(), 5_000);
    // A value that is set is the whole range; the most is set after it.
    assert_eq!(config.send_buffer_max(), 4_000);
    assert_eq!(config.receive_window_max(), 5_000);
    let tuned = config
        .clone()
        .with_send_buffer_max(8_000)
        .with_receive_window_max(9_000);
    assert_eq!(
        (tuned.send_buffer(), tuned.send_buffer_max()),
        (4_000, 8_000)
    );
    let window = (tuned.receive_window(), tuned.receive_window_max());
    assert_eq!(window, (5_000, 9_000));
    assert_eq!(config.max_ack_delay(), ms(6));
    assert_eq!(config.max_datagram(), 7_000);
    assert_eq!(config.datagram_max(), 900);
    assert!(config.nodelay() && config.abort_on_unread());
    let config = EndpointConfig::new()
        .with_backlog(1)
        .with_time_wait(ms(2))
        .with_socket_buffer(3_000)
        .with_memory(4 << 20);
    assert_eq!(
        (config.backlog(), config.time_wait(), config.socket_buffer()),
        (1, ms(2), 3_000)
    );
    assert_eq!(config.memory(), 4 << 20);
}
