//! State x event: each kind of segment, at each position, with each acknowledgement, in each state. The oracle is
//! a table from RFC 9293 s3.10.7, RFC 5961 and RFC 1337, in the words of this protocol.

use aqueduct::sim::script;

/// The states, each with the script that leads there. The peer's numbers 0 to 2 are used, its stream is at 100,
/// ours at 100, of which the peer has acknowledged 50.
const STATES: [(&str, &str); 11] = [
    ("LISTEN", "listen\n"),
    ("SYN_SENT", "connect\n0.0 > S\n"),
    ("SYN_RCVD", "connect\n0.0 > S\n0.1 < SA\n> P cookie\n"),
    ("ESTABLISHED", "BOTH\n"),
    ("FIN_WAIT_1", "BOTH\nshutdown\n"),
    ("FIN_WAIT_2", "BOTH\nshutdown\n0.3 < A ack 0-2 up 101\n"),
    ("CLOSE_WAIT", "BOTH\n0.3 < D 100:100 F pn 3\n"),
    ("CLOSING", "BOTH\nshutdown\n0.3 < D 100:100 F pn 3\n"),
    ("LAST_ACK", "BOTH\n0.3 < D 100:100 F pn 3\nshutdown\n"),
    (
        "TIME_WAIT",
        "BOTH\nshutdown\n0.3 < A ack 0-2 up 101\n0.31 < D 100:100 F pn 3\n",
    ),
    ("CLOSED", "BOTH\n0.3 < R pn 9\n"),
];

/// Everything before the state itself: opened, 100 bytes each way, half of ours acknowledged.
const BOTH: &str = "listen\nignore A\nignore D\nignore P\n0.0 < S maxdg 1200\n> SA\n0.1 < P cookie\n\
    write 50\nwrite 50\n0.2 < D 0:100 pn 1 ack 0 up 50\nread 100\n";

/// The segments, as a script writes them; POS is where, ACK what is acknowledged.
const SEGMENTS: [&str; 8] = ["D POS", "D POS F", "A", "R", "P", "PC", "U", "S"];

/// Positions of data: left of the window, at its left edge, inside, at its right edge, right of it; the last
/// with a number that is out of reach.
const POSITIONS: [(&str, &str); 5] = [
    ("0:50", "pn 1"),
    ("100:150", "pn 20"),
    ("5000:5050", "pn 21"),
    ("262200:262300", "pn 22"),
    ("900000:900050", "pn 30000000"),
];

/// What is acknowledged: nothing new, all data that was sent, more than was sent, and our FIN, where it was sent.
const ACKS: [&str; 4] = [
    "ack 0 up 50",
    "ack 0-1 up 100",
    "ack 0-90 up 90000",
    "ack 0-2 up 101",
];
const OF_OUR_FIN: usize = 3;

/// The numbers that an UNKNOWN names: acknowledged, in flight, our FIN's, and two that were never sent.
const UNKNOWN: [&str; 5] = ["U pn 0", "U pn 1", "U pn 2", "U pn 40", "U pn 160"];

/// Whether a segment ends the connection by right.
fn may_end(state: &str, segment: &str, position: usize, ack: usize) -> bool {
    let numbered = segment.starts_with('D') || segment == "P" || segment == "PC";
    let synchronized = !matches!(state, "LISTEN" | "SYN_SENT");
    match segment {
        // A RST with a new and plausible number; one that echoes a SYN.
        "R" if state == "SYN_RCVD" => position < 4,
        "R" => (1..4).contains(&position) && synchronized || state == "SYN_SENT",
        // The number of a packet of ours in flight.
        "U" => position < 3,
        // The acknowledgement of everything completes LAST_ACK.
        _ if state == "LAST_ACK" && ack == OF_OUR_FIN => true,
        // A final size that contradicts what came before, or data behind it.
        _ if numbered => {
            segment.starts_with('D') && matches!(state, "CLOSE_WAIT" | "CLOSING" | "LAST_ACK")
        }
        _ => false,
    }
}

/// States that a state may become by one segment from the peer (RFC 9293 figure 5).
fn successors(state: &str) -> &'static [&'static str] {
    match state {
        "SYN_SENT" => &["SYN_RCVD", "ESTABLISHED", "CLOSE_WAIT"],
        "SYN_RCVD" => &["ESTABLISHED", "CLOSE_WAIT"],
        "ESTABLISHED" => &["CLOSE_WAIT"],
        "FIN_WAIT_1" => &["FIN_WAIT_2", "CLOSING", "TIME_WAIT"],
        "FIN_WAIT_2" => &["TIME_WAIT"],
        "CLOSING" => &["TIME_WAIT"],
        _ => &[],
    }
}

/// The one right answer, where there is one: the state, and the reply that is owed at once. A core that ignored
/// every segment would give none of them.
fn must_become(
    state: &'static str,
    segment: &str,
    position: usize,
    ack: usize,
) -> Option<(&'static str, &'static str)> {
    let is_connected = !matches!(
        state,
        "LISTEN" | "SYN_SENT" | "SYN_RCVD" | "TIME_WAIT" | "CLOSED"
    );
    let is_data = segment.starts_with('D');
    let is_numbered = is_data || segment == "P" || segment == "PC";
    let fin_is_acked =
        ack == OF_OUR_FIN && (segment == "A" || is_numbered && (1..4).contains(&position));
    let sent_fin = matches!(state, "FIN_WAIT_1" | "FIN_WAIT_2" | "CLOSING" | "LAST_ACK");
    let has_peer_fin = matches!(state, "CLOSE_WAIT" | "CLOSING" | "LAST_ACK");
    let is_valid_ack = ack < 2 || ack == OF_OUR_FIN && sent_fin;
    let answer = if segment == "PC" { "PR" } else { "A" };
    match (state, segment) {
        ("SYN_SENT", "R") => Some(("CLOSED", "")),
        ("SYN_RCVD", "R") if position < 4 => Some(("CLOSED", "")),
        _ if !is_connected => None,
        // RFC 5961 s3: a number just ahead ends the connection, any other changes nothing.
        (_, "R") if (1..4).contains(&position) => Some(("CLOSED", "")),
        (_, "R") => Some((state, "")),
        // The peer has forgotten us: it quotes what is in flight.
        (_, "U") if position == 2 && sent_fin && state != "FIN_WAIT_2" => Some(("CLOSED", "")),
        (_, "U") if position == 1 && state != "FIN_WAIT_2" => Some(("CLOSED", "")),
        (_, "U") => Some((state, "")),
        // What came before is not taken again, and is acknowledged again.
        _ if is_numbered && position == 0 => Some((state, "A")),
        // More than 2^24 numbers ahead: no honest sender is, and nothing of it is taken.
        _ if is_numbered && position == 4 => Some((state, "")),
        // An acknowledgement of what was never sent changes nothing.
        _ if !is_valid_ack && segment != "S" => Some((state, "")),
        // Data behind the end of the stream.
        _ if is_data && has_peer_fin => Some(("CLOSED", "R")),
        ("LAST_ACK", _) if fin_is_acked => Some(("CLOSED", if is_numbered { answer } else { "" })),
        ("CLOSING", _) if fin_is_acked => Some(("TIME_WAIT", "")),
        // The FIN at the left edge, all data before it received.
        ("ESTABLISHED", "D POS F") if position == 1 => Some(("CLOSE_WAIT", "A")),
        ("FIN_WAIT_1", "D POS F") if position == 1 && fin_is_acked => Some(("TIME_WAIT", "A")),
        ("FIN_WAIT_1", "D POS F") if position == 1 => Some(("CLOSING", "A")),
        ("FIN_WAIT_2", "D POS F") if position == 1 => Some(("TIME_WAIT", "A")),
        ("FIN_WAIT_1", _) if fin_is_acked && is_numbered => Some(("FIN_WAIT_2", answer)),
        ("FIN_WAIT_1", _) if fin_is_acked => Some(("FIN_WAIT_2", "")),
        // Out of order, beyond the window, or a question: the answer must not wait.
        _ if is_numbered => Some((state, answer)),
        _ => Some((state, "")),
    }
}

/// The state that a script ends in, found by asking for it.
fn state_after(text: &str, candidates: &[&'static str]) -> Result<&'static str, String> {
    let mut last = String::new();
    for candidate in candidates {
        match script::run(&format!("{text}state {candidate}\n")) {
            Ok(_) => return Ok(candidate),
            Err(failure) if failure.what.starts_with("state is") => last = failure.what,
            Err(failure) => return Err(failure.to_string()),
        }
    }
    Err(last)
}

#[test]
fn every_segment_in_every_state_does_what_the_table_says() {
    let mut cases = 0;
    for (state, prefix) in STATES {
        let prefix = prefix.replace("BOTH\n", BOTH);
        for segment in SEGMENTS {
            for (position, (range, number)) in POSITIONS.iter().enumerate() {
                for (ack, acknowledged) in ACKS.iter().enumerate() {
                    one(
                        state,
                        &prefix,
                        segment,
                        position,
                        (range, number),
                        (ack, acknowledged),
                    );
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} cases of state x event");
    assert_eq!(cases, 1_760);
}

fn one(
    state: &'static str,
    prefix: &str,
    segment: &str,
    position: usize,
    (range, number): (&str, &str),
    (ack, acknowledged): (usize, &str),
) {
    let packet = match segment {
        "S" => "S conn 2".to_owned(),
        "U" => UNKNOWN[position].to_owned(),
        "R" if state == "SYN_SENT" => "R pn echo".to_owned(),
        "R" => format!("R {number}"),
        _ => format!("{} {number} {acknowledged}", segment.replace("POS", range)),
    };
    // Without an id of ours the peer can only make one up.
    let packet = match (state, segment) {
        ("LISTEN", "S") => packet,
        ("LISTEN", "R") => "R cid wrong".to_owned(),
        ("LISTEN", "U") => "raw 19".to_owned(),
        ("LISTEN", "A") => "zeros 60".to_owned(),
        ("LISTEN", _) => format!("{} cid wrong {number}", segment.replace("POS", range)),
        ("SYN_SENT", "A") => "zeros 60".to_owned(),
        _ => packet,
    };
    let ignore = ["A", "D", "P", "R", "PR", "PM", "SA", "U"]
        .map(|kind| format!("ignore {kind}\n"))
        .concat();
    let text = format!("{prefix}{ignore}0.4 < {packet}\n");
    if state == "LISTEN" {
        let alive = format!("{text}accepted 0\n");
        return script::run(&alive)
            .map(|_| ())
            .unwrap_or_else(|failure| panic!("{failure}\n{text}"));
    }
    let mut candidates = vec![state];
    candidates.extend(successors(state));
    if may_end(state, segment, position, ack) {
        candidates.push("CLOSED");
    }
    let after = state_after(&text, &candidates);
    let after = after.unwrap_or_else(|what| panic!("{state}, {segment}: {what}\n{text}"));
    if let Some((right, reply)) = must_become(state, segment, position, ack) {
        let expected = if reply.is_empty() {
            String::new()
        } else {
            format!("heed\n> {reply}\n")
        };
        let script = format!("{prefix}{ignore}0.4 < {packet}\n{expected}{ignore}state {right}\n");
        script::run(&script)
            .map(|_| ())
            .unwrap_or_else(|failure| panic!("{state}, {segment}: {failure}\n{script}"));
    }
    // What is no data with a FIN never ends the peer's half.
    let has_fin = segment.ends_with('F');
    if !has_fin {
        let closed = ["CLOSE_WAIT", "CLOSING", "TIME_WAIT"];
        let was = closed.contains(&state);
        assert!(
            was || !closed.contains(&after),
            "{state} became {after} by {packet}"
        );
    }
}
