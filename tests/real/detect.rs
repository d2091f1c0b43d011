//! Failure detection over real processes: killed, stopped, continued. The child is this test binary, run again.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use aqueduct::detect::{HeartbeatsConfig, Monitor, PeerEvent, Verdict};
use aqueduct::{Listener, Stream};

use crate::alone;
use crate::support::wait::each_ip;

/// Set for the child: where it is to listen.
const LISTEN: &str = "AQUEDUCT_TEST_BEATS_AT";
const SECOND: Duration = Duration::from_secs(1);

/// Not a test by itself: the life of the child process.
#[test]
fn child() {
    let Ok(addr) = env::var(LISTEN) else { return };
    let addr: SocketAddr = addr.parse().expect("an address");
    let listener = Listener::bind(addr).expect("a free port");
    println!("listening {}", listener.local_addr().expect("bound"));
    let monitor = Monitor::start(HeartbeatsConfig::default(), |_| {}).expect("a thread");
    let mut streams = Vec::new();
    for (number, stream) in listener.incoming().enumerate() {
        let stream = stream.expect("a connection");
        monitor.attach(number, &stream).expect("datagrams");
        streams.push(stream);
    }
}

/// A process that beats each 100 ms, and one that watches it: this one.
struct Watched {
    child: Child,
    events: Receiver<PeerEvent<&'static str>>,
    _monitor: Monitor<&'static str>,
    _stream: Stream,
}

impl Watched {
    fn start(addr: SocketAddr) -> Self {
        let mut child = Command::new(env::current_exe().expect("this binary"))
            .args([
                "--exact",
                "detect::child",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(LISTEN, addr.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary runs");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        let to = said
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("listening ")?.1.trim().to_owned()))
            .expect("the child says where it listens");
        let stream = Stream::connect(to).expect("the child listens");
        let (say, events) = mpsc::channel();
        let monitor = Monitor::start(HeartbeatsConfig::default(), move |event| {
            drop(say.send(event))
        });
        let monitor = monitor.expect("a thread");
        monitor
            .attach("child", &stream)
            .expect("the child takes datagrams");
        let watched = Watched {
            child,
            events,
            _monitor: monitor,
            _stream: stream,
        };
        assert_eq!(
            watched.events.recv_timeout(10 * SECOND),
            Ok(PeerEvent::Up("child"))
        );
        // Long enough for the detector to know the usual intervals.
        assert_eq!(watched.next_alarm(2 * SECOND), None);
        watched
    }

    /// The next event that is no mere suspicion, within this time.
    fn next_alarm(&self, within: Duration) -> Option<PeerEvent<&'static str>> {
        loop {
            match self.events.recv_timeout(within) {
                Ok(PeerEvent::Suspect(..)) => {}
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => panic!("the monitor has ended"),
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args([name, &pid])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill {name}");
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn d1_a_killed_process_is_down_within_a_second() {
    let _alone = alone();
    each_ip(|addr| {
        let mut watched = Watched::start(addr);
        watched.child.kill().expect("SIGKILL");
        watched.child.wait().expect("it is gone");
        let event = watched.next_alarm(SECOND);
        assert_eq!(event, Some(PeerEvent::Down("child", Verdict::ProcessDead)));
    });
}

#[cfg(unix)]
#[test]
fn d2_a_stopped_process_is_down_and_a_continued_one_is_up() {
    let _alone = alone();
    each_ip(|addr| {
        let watched = Watched::start(addr);
        watched.signal("-STOP");
        let event = watched.next_alarm(2 * SECOND);
        assert_eq!(event, Some(PeerEvent::Down("child", Verdict::PathDead)));
        assert_eq!(
            watched.next_alarm(2 * SECOND),
            None,
            "it stays stopped for three seconds"
        );
        watched.signal("-CONT");
        assert_eq!(
            watched.next_alarm(10 * SECOND),
            Some(PeerEvent::Up("child"))
        );
        assert_eq!(watched.next_alarm(2 * SECOND), None);
    });
}
