//! Ends of connections: every order of FIN, half close, drop, linger, reset.

use std::io::ErrorKind;

use aqueduct::config::Config;
use aqueduct::connection::{Linger, ReadError, WriteError};
use aqueduct::error::{CloseReason, ResetCode};
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{Fate, Io, Link};

use crate::{Pair, ms, secs};

fn path() -> Link {
    Link::new()
        .rate_bits(50_000_000)
        .queue_bytes(200_000)
        .delay(ms(20))
}

/// C03: both finish at the same time, with data in flight both ways.
#[test]
fn simultaneous_close_delivers_everything() {
    let mut pair = Pair::new(1, path());
    pair.listen(|| Transfer::send(100_000).label(1).expecting(2));
    let key = pair.connect(Transfer::send(100_000).label(2).expecting(1));
    pair.run_to_close(key, secs(20));
    assert_eq!(pair.sim.report(key).read, 100_000);
    assert_eq!(pair.sim.report(pair.peer(key)).read, 100_000);
}

/// C04: half close; the other direction goes on for a megabyte.
#[test]
fn after_a_half_close_the_other_half_goes_on() {
    let mut pair = Pair::new(2, path());
    pair.listen(|| Transfer::send(1 << 20).label(1).ending(Ending::AfterPeer));
    let key = pair.connect(Transfer::send(10).label(2).expecting(1));
    pair.run_to_close(key, secs(20));
    assert_eq!(pair.sim.report(key).read, 1 << 20);
    assert!(pair.sim.report(key).end_at.is_some());
}

/// C14: dropped with a megabyte unsent.
#[test]
fn a_dropped_stream_delivers_what_was_written() {
    let mut pair = Pair::new(3, path());
    pair.listen(|| Transfer::sink().expecting(4));
    let key = pair.connect(Transfer::send(1 << 20).label(4).ending(Ending::Drop));
    pair.run_to_close(key, secs(30));
    assert_eq!(pair.sim.report(pair.peer(key)).read, 1 << 20);
    assert!(pair.sim.is_delivered(key));
}

/// C13: linger 0 resets; linger n delivers if there is time for it.
#[test]
fn linger_delivers_or_resets_in_time() {
    for (linger, delivered) in [(ms(0), false), (ms(50), false), (secs(10), true)] {
        let mut pair = Pair::new(4, path());
        pair.listen(Transfer::sink);
        let key = pair.connect(|_: &mut Io<'_>| {});
        pair.sim.run_for(ms(100));
        pair.sim.with(key, |io| io.write(&vec![1; 1 << 20]));
        let written = pair.sim.report(key).written;
        pair.sim.with(key, |io| io.release(Linger::For(linger)));
        pair.run_to_close(key, secs(60));
        let report = pair.sim.report(pair.peer(key)).clone();
        assert_eq!(report.read == written, delivered, "{linger:?}: {report:?}");
        let reset = report.failure == Some(CloseReason::Reset(ResetCode::ABORTED));
        assert_eq!(reset, !delivered, "{linger:?}: {report:?}");
    }
}

/// Semantics 3, 5, 22: left with unread data; the peer's bytes count, then it is reset.
#[test]
fn leaving_data_unread_resets_after_our_own_bytes() {
    let mut pair = Pair::new(5, path());
    let mut is_done = false;
    pair.listen(move || {
        move |io: &mut Io<'_>| {
            if !is_done && io.connection().is_readable() {
                is_done = true;
                assert_eq!(io.write(&[7; 5_000]), Ok(5_000));
                io.close();
            }
        }
    });
    let key = pair.connect(Transfer::send(2_000).ending(Ending::Stay));
    assert!(
        pair.sim
            .run_until(secs(5), |sim| sim.report(key).failure.is_some())
    );
    let report = pair.sim.report(key);
    assert_eq!(
        report.read, 5_000,
        "what was sent before the reset is readable"
    );
    assert_eq!(report.failure, Some(CloseReason::Reset(ResetCode::UNREAD)));
}

/// R01, semantics 5: what was received before a reset stays readable; then the error, once; then the end.
#[test]
fn a_reset_is_reported_once_after_what_was_received() {
    let mut pair = Pair::new(6, path());
    pair.listen(|| |_: &mut Io<'_>| {});
    let key = pair.connect(|_: &mut Io<'_>| {});
    pair.sim.run_for(ms(200));
    assert_eq!(pair.sim.with(key, |io| io.write(&[9; 300])), Some(Ok(300)));
    pair.sim.run_for(ms(200));
    pair.sim
        .with(key, |io| io.abort(ResetCode::from_application(300)));
    pair.sim.run_for(ms(200));
    let peer = pair.peer(key);
    let reset = CloseReason::Reset(ResetCode::new(300));
    pair.sim.with(peer, |io| {
        let mut buffer = [0; 1_000];
        assert_eq!(io.read(&mut buffer), Ok(300));
        assert_eq!(io.read(&mut buffer), Err(ReadError::Failed(reset.clone())));
        assert_eq!(io.read(&mut buffer), Ok(0));
        assert_eq!(io.write(b"x"), Err(WriteError::Closed));
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    });
}

/// C15: shutting down twice is as once, writing after it is an error.
#[test]
fn writing_after_shutdown_is_an_error() {
    let mut pair = Pair::new(7, path());
    pair.listen(Transfer::sink);
    let key = pair.connect(|_: &mut Io<'_>| {});
    pair.sim.run_for(ms(200));
    pair.sim.with(key, |io| {
        io.shutdown_write();
        io.shutdown_write();
        assert_eq!(io.write(b"x"), Err(WriteError::Closed));
    });
    pair.sim.run_for(secs(1));
    assert!(pair.sim.report(pair.peer(key)).end_at.is_some());
}

/// C16: the FIN overtakes data; the end comes after every byte.
#[test]
fn a_fin_that_overtakes_data_does_not_cut_it_off() {
    let mut pair = Pair::new(8, path());
    pair.sim.filter(pair.client, pair.server, |passing| {
        match passing
            .packet()
            .filter(|packet| packet.kind() == aqueduct::wire::Kind::Data)
        {
            Some(packet) if !packet.flags.fin => Fate::Delay(ms(passing.index * 7 % 40)),
            _ => Fate::Pass,
        }
    });
    pair.upload(100_000, secs(20));
}

/// C17: the last acknowledgement of the passive closer's FIN is lost: TIME_WAIT answers the repetition.
#[test]
fn a_lost_last_acknowledgement_is_repeated_from_time_wait() {
    for lost in 1..6 {
        let mut pair = Pair::new(9, path());
        let (mut fin_at, mut left) = (false, lost);
        let (client, server) = (pair.client, pair.server);
        let seen = std::rc::Rc::new(std::cell::Cell::new(false));
        let passive_fin = std::rc::Rc::clone(&seen);
        pair.sim.filter(server, client, move |passing| {
            fin_at |= passing.packet().is_some_and(|packet| packet.flags.fin);
            passive_fin.set(fin_at);
            Fate::Pass
        });
        pair.sim.filter(client, server, move |_| {
            if seen.get() && left > 0 {
                left -= 1;
                return Fate::Drop;
            }
            Fate::Pass
        });
        pair.listen(Transfer::sink);
        let key = pair.connect(Transfer::send(1_000));
        pair.run_to_close(key, secs(120));
        assert_eq!(pair.sim.report(pair.peer(key)).failure, None);
    }
}

/// C12: FIN_WAIT_2 without an owner ends after a minute.
#[test]
fn an_orphan_in_fin_wait_2_is_freed() {
    let mut pair = Pair::new(10, path());
    pair.listen(|| Transfer::sink().ending(Ending::Stay));
    let key = pair.connect(Transfer::send(100).ending(Ending::Drop));
    assert!(
        pair.sim
            .run_until(secs(5), |sim| sim.bytes_delivered() == 100)
    );
    let begin = pair.sim.now();
    assert!(pair.sim.run_until(secs(100), |sim| sim.is_closed(key)));
    let took = pair.sim.now() - begin;
    assert!((secs(59)..secs(62)).contains(&took), "{took:?}");
}

/// C11: data for a stream whose owner left is answered with a reset.
#[test]
fn data_after_the_peer_left_is_reset() {
    let mut pair = Pair::new(11, path());
    pair.listen(|| Transfer::send(0).ending(Ending::Drop));
    let key = pair.connect(|_: &mut Io<'_>| {});
    pair.sim.run_for(secs(1));
    pair.sim
        .with(key, |io| assert_eq!(io.read(&mut [0; 10]), Ok(0)));
    assert_eq!(
        pair.sim.with(key, |io| io.write(b"anyone?")),
        Some(Ok(7)),
        "the first write may pass"
    );
    pair.sim.run_for(secs(1));
    let second = pair
        .sim
        .with(key, |io| io.write(b"anyone?"))
        .expect("still there");
    assert!(second.is_err(), "{second:?}");
}

/// A FIN needs no window.
#[test]
fn a_fin_passes_a_closed_window() {
    let mut pair = Pair::new(12, path());
    let small = Config::default().with_receive_window(8_192);
    pair.sim.listen(pair.server, small, || {
        Transfer::sink().reads_after(secs(20))
    });
    let key = pair.connect(Transfer::send(8_192).ending(Ending::Shutdown));
    pair.sim.run_for(secs(10));
    let state = pair.sim.info(key).expect("open").state;
    assert_eq!(
        state,
        aqueduct::connection::TcpState::FinWait2,
        "acknowledged before it was read"
    );
    pair.run_to_close(key, secs(60));
    assert!(pair.sim.is_delivered(key));
}

/// I15: after both sides closed, and TIME_WAIT ran out, nothing is left to happen.
#[test]
fn closed_connections_leave_nothing_behind() {
    let mut pair = Pair::new(13, path());
    pair.listen(Transfer::sink);
    for _ in 0..20 {
        let key = pair.connect(Transfer::send(1_000));
        pair.run_to_close(key, secs(10));
    }
    assert!(
        pair.sim.run_to_end(secs(300)),
        "some timer never ends: {:?}",
        pair.sim
    );
}

#[test]
fn linger_for_zero_resets_at_once() {
    let mut pair = Pair::new(14, path());
    pair.listen(|| |_: &mut Io<'_>| {});
    let key = pair.connect(|_: &mut Io<'_>| {});
    pair.sim.run_for(ms(200));
    let peer = pair.peer(key);
    pair.sim.with(key, |io| io.release(Linger::For(ms(0))));
    pair.sim.run_for(ms(30));
    let error = pair
        .sim
        .with(peer, |io| io.take_error())
        .expect("still there");
    assert_eq!(error, Some(CloseReason::Reset(ResetCode::ABORTED)));
}
