//! Heartbeats for tasks.

use std::time::Duration;

use aqueduct::detect::tokio::Monitor;
use aqueduct::detect::{HeartbeatsConfig, PeerEvent, Verdict};
use aqueduct::tokio::{Listener, Stream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::streams::in_a_runtime;

type Events = UnboundedReceiver<PeerEvent<u32>>;

fn monitor() -> (Monitor<u32>, Events) {
    let config = HeartbeatsConfig::for_interval(Duration::from_millis(20));
    let (said, events) = unbounded_channel();
    let monitor = Monitor::start(config, move |event| drop(said.send(event)));
    (monitor.unwrap(), events)
}

async fn pair(listener: &Listener) -> (Stream, Stream) {
    let client = Stream::connect(listener.local_addr().unwrap()).await;
    (client.unwrap(), listener.accept().await.unwrap().0)
}

/// The next event of the wanted kind; a busy machine may show others before.
async fn heard(events: &mut Events, is_it: impl Fn(&PeerEvent<u32>) -> bool) -> PeerEvent<u32> {
    loop {
        let event = events.recv().await.unwrap();
        println!("{event:?}");
        if is_it(&event) {
            return event;
        }
    }
}

#[test]
fn a_node_goes_up_stalls_restarts_and_goes_down() {
    in_a_runtime(async || {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let (ours, theirs) = pair(&listener).await;
        let (here, mut events) = monitor();
        here.attach(7, &ours).unwrap();
        let (there, _events) = monitor();
        there.attach(1, &theirs).unwrap();
        heard(&mut events, |event| *event == PeerEvent::Up(7)).await;
        assert!(here.level(&7).is_some() && here.level(&8).is_none());

        // Its transport answers, and nothing beats any more.
        drop(there);
        heard(&mut events, |event| *event == PeerEvent::Stalled(7)).await;
        // Another life of it, over another connection.
        let (again_ours, again_theirs) = pair(&listener).await;
        here.attach(7, &again_ours).unwrap();
        let (there, _events) = monitor();
        there.attach(1, &again_theirs).unwrap();
        heard(&mut events, |event| *event == PeerEvent::Restarted(7)).await;

        drop((there, again_theirs));
        let down = PeerEvent::Down(7, Verdict::ProcessDead);
        heard(&mut events, |event| *event == down).await;
        here.detach(&7);
        assert_eq!(here.level(&7), None);
    });
}

#[test]
fn a_monitor_that_is_dropped_keeps_no_stream_open() {
    in_a_runtime(async || {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let (ours, theirs) = pair(&listener).await;
        let (here, _events) = monitor();
        here.attach(7, &ours).unwrap();
        drop(ours);
        let mut buf = [0; 64];
        assert!(
            theirs.recv_datagram(&mut buf).await.unwrap() > 0,
            "a heartbeat"
        );
        drop(here);
        while theirs.recv_datagram(&mut buf).await.is_ok() {}
    });
}
