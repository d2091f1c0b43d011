//! What the types are, apart from what they do.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::{TcpListener, TcpStream, pair};
use crate::support::wait::each_ip;

fn is_thread_safe<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Debug + 'static>() {}
fn reads_and_writes<T: Read + Write>() {}

#[test]
fn the_types_may_go_everywhere() {
    is_thread_safe::<TcpStream>();
    is_thread_safe::<TcpListener>();
    reads_and_writes::<TcpStream>();
    reads_and_writes::<&TcpStream>();
}

#[test]
fn a_stream_serves_as_a_trait_object() {
    each_ip(|addr| {
        let (ours, peer) = pair(addr);
        let mut writer: Box<dyn Write + Send> = Box::new(ours);
        let mut reader: Box<dyn Read + Send> = Box::new(peer);
        writer.write_all(b"boxed").expect("open");
        let mut got = [0; 5];
        reader.read_exact(&mut got).expect("open");
        assert_eq!(&got, b"boxed");
    });
}

#[test]
fn debug_names_both_ends() {
    each_ip(|addr| {
        let (ours, peer) = pair(addr);
        let text = format!("{ours:?}");
        assert!(
            text.contains(&ours.local_addr().expect("open").to_string()),
            "{text}"
        );
        assert!(
            text.contains(&peer.local_addr().expect("open").to_string()),
            "{text}"
        );
        let listener = TcpListener::bind(addr).expect("a free port");
        let text = format!("{listener:?}");
        assert!(
            text.contains(&listener.local_addr().expect("bound").to_string()),
            "{text}"
        );
    });
}
