//! The stream is cut at every byte: what the caller is told of his call is never wrong.

use super::*;

/// What happened to one call whose stream carried so many bytes each way and no more.
struct Cut {
    executed: bool,
    answered: bool,
    error: Option<RpcError>,
}

fn with_limits(body: &Bytes, up_max: usize, down_max: usize) -> (Cut, usize, usize) {
    let mut pair = Pair::new();
    let id = pair.call(body.clone());
    let (mut up_len, mut down_len) = (0, 0);
    let (mut executed, mut answered, mut error) = (false, false, None);
    loop {
        let (up, down) = (output(&mut pair.client), output(&mut pair.server));
        let up_part = &up[..up.len().min(up_max - up_len)];
        let down_part = &down[..down.len().min(down_max - down_len)];
        (up_len, down_len) = (up_len + up_part.len(), down_len + down_part.len());
        pair.server.handle_bytes(pair.now, up_part);
        pair.client.handle_bytes(pair.now, down_part);
        while let Some(event) = pair.server.poll_event() {
            match event {
                Event::Request(request) if !request.more => executed = true,
                Event::Chunk { data, .. } => pair.server.consumed(id, data.len()),
                Event::End { .. } => executed = true,
                _ => continue,
            }
            if executed {
                pair.server.respond(id, Ext::default(), body.clone());
            }
        }
        while let Some(event) = pair.client.poll_event() {
            match event {
                Event::Response { more: false, .. } | Event::End { .. } => answered = true,
                Event::Chunk { data, .. } => pair.client.consumed(id, data.len()),
                Event::Failed { error: why, .. } => error = Some(why),
                _ => {}
            }
        }
        if up_part.is_empty() && down_part.is_empty() {
            break;
        }
    }
    pair.client.handle_lost("cut");
    while let Some(event) = pair.client.poll_event() {
        if let Event::Failed { error: why, .. } = event {
            error = Some(why);
        }
    }
    (
        Cut {
            executed,
            answered,
            error,
        },
        up_len,
        down_len,
    )
}

impl Cut {
    fn check(&self, place: &str) {
        match &self.error {
            None => assert!(
                self.answered && self.executed,
                "{place}: no answer and no error"
            ),
            Some(error) => {
                assert!(!self.answered, "{place}: answered, and {error}");
                assert!(
                    !self.executed || error.maybe_executed(),
                    "{place}: executed, but {error}"
                );
            }
        }
    }
}

#[test]
fn m4_a_cut_at_every_byte_never_makes_the_verdict_wrong() {
    for body in [
        Bytes::new(),
        pattern(1, 90),
        pattern(2, INLINE_BYTES_MAX + 100),
    ] {
        let (whole, up, down) = with_limits(&body, usize::MAX, usize::MAX);
        assert!(whole.answered && whole.error.is_none());
        // In the middle of a long body one byte is as the next.
        let every = if body.len() > 1_000 { 311 } else { 1 };
        let (mut certain, mut unknown) = (0, 0);
        for cut in (0..up).step_by(every) {
            let (seen, ..) = with_limits(&body, cut, usize::MAX);
            seen.check(&format!("cut after {cut} of {up} bytes up"));
            let maybe = seen.error.expect("it was cut").maybe_executed();
            if maybe { unknown += 1 } else { certain += 1 }
        }
        for cut in (0..down).step_by(every) {
            let (seen, ..) = with_limits(&body, usize::MAX, cut);
            seen.check(&format!("cut after {cut} of {down} bytes down"));
            let maybe = seen.error.expect("it was cut").maybe_executed();
            if maybe { unknown += 1 } else { certain += 1 }
        }
        println!(
            "{} bytes: of {up} and {down} cuts {certain} certainly not executed, {unknown} unknown",
            body.len()
        );
        assert!(certain > 0 && unknown > 0);
    }
}
