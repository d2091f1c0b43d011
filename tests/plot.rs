//! The example `plot` as its users meet it: a trace in, a picture or a clear error out.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::sim::{Link, Loss, Sim, apps};
use aqueduct::trace::Traces;
use example_program::Output;

#[allow(dead_code, reason = "this test needs only a part")]
mod example_program;

/// The trace of a simulated upload with a few losses, in this directory.
fn trace(dir: &Path) -> String {
    let mut sim = Sim::new(4);
    let (client, server) = (sim.add_host("client"), sim.add_host("server"));
    let link = Link::new().rate_bits(20_000_000).queue_bytes(60_000);
    let link = link.delay(Duration::from_millis(10));
    sim.link(client, server, link.loss(Loss::random(0.01)));
    sim.listen(server, Config::default(), apps::Transfer::sink);
    let config = Config::default().with_traces(Traces::in_dir(dir));
    let key = sim.connect(client, server, config, apps::Transfer::send(2_000_000));
    assert!(sim.run_until(Duration::from_secs(60), |sim| sim.is_closed(key)));
    drop(sim);
    let mut files = fs::read_dir(dir).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "one end is traced");
    file.to_str().unwrap().to_owned()
}

fn plot(arguments: &[&str]) -> Output {
    let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
    example_program::start("plot", &arguments).finish()
}

/// Every element that is opened is closed, in order.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("each tag has its end");
        let name = |tag: &str| tag.split([' ', '\n']).next().unwrap().to_owned();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed));
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
            open.push(name(tag));
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(svg.starts_with("<svg") && svg.matches("<svg").count() == 1);
}

#[test]
fn a_trace_becomes_a_picture_of_four_panels() {
    let dir = tempfile::tempdir().unwrap();
    let trace = trace(&dir.path().join("traces"));
    let picture = dir.path().join("out.svg");
    let output = plot(&[&trace, "-o", picture.to_str().unwrap()]);
    output.expect(0);
    let svg = fs::read_to_string(&picture).unwrap();
    println!("{} bytes of SVG: {}", svg.len(), output.stdout);
    assert_well_formed(&svg);
    let labels = [
        "stream offset",
        "window",
        "round trip",
        "rate",
        "seconds",
        "sent",
        "retransmitted",
        "acknowledged",
        "window edge",
        "cwnd",
        "in flight",
        "latest",
        "smoothed",
        "minimum",
        "delivery",
        "pacing",
    ];
    for label in labels {
        let stands = svg.lines().any(|line| line.trim() == label);
        assert!(stands, "no label {label}");
    }
    assert!(svg.len() < 400_000, "{}", svg.len());

    // A part of it is another picture.
    let part = dir.path().join("part.svg");
    let zoomed = ["--from", "0.1", "--to", "0.3", "--title", "the beginning"];
    let arguments = [&[trace.as_str(), "-o", part.to_str().unwrap()][..], &zoomed].concat();
    plot(&arguments).expect(0);
    let part = fs::read_to_string(part).unwrap();
    assert_well_formed(&part);
    assert!(part != svg && part.contains("the beginning"));
}

#[test]
fn what_is_no_trace_is_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(trace(&dir.path().join("traces"))).unwrap();
    let out = dir.path().join("out.svg");
    let out = out.to_str().unwrap();
    let refused = |name: &str, content: &[u8], more: &[&str], expected: &str| {
        let file = dir.path().join(name);
        fs::write(&file, content).unwrap();
        let arguments = [&[file.to_str().unwrap(), "-o", out][..], more].concat();
        let output = plot(&arguments);
        output.expect(1);
        assert!(
            output.stderr.contains(expected),
            "{name}: {}",
            output.stderr
        );
        assert!(!Path::new(out).exists(), "{name}: no picture");
    };
    refused("empty", b"", &[], "is empty");
    refused("text", b"not a trace at all", &[], "is no trace");
    refused("json", b"{\"a\": 1}", &[], "is no trace");
    let header = &whole[..=whole.iter().position(|byte| *byte == b'\n').unwrap()];
    refused("header", header, &[], "holds no events");
    let old = String::from_utf8(header.to_vec())
        .unwrap()
        .replace("\"0.3\"", "\"0.1\"");
    refused("old", old.as_bytes(), &[], "is qlog 0.1");
    let mut broken = whole.clone();
    broken[5_000..5_400].fill(b'x');
    refused("broken", &broken, &[], "record");
    refused("late", &whole, &["--from", "1e6"], "nothing happens");
    refused(
        "turned",
        &whole,
        &["--from", "2", "--to", "1"],
        "nothing happens",
    );

    let missing = plot(&["/no/such/trace", "-o", out]);
    missing.expect(1);
    assert!(
        missing.stderr.contains("cannot be read"),
        "{}",
        missing.stderr
    );
    let file = dir.path().join("good");
    fs::write(&file, &whole).unwrap();
    let nowhere = plot(&[file.to_str().unwrap(), "-o", "/no/such/dir/out.svg"]);
    nowhere.expect(1);
    assert!(
        nowhere.stderr.contains("cannot be written"),
        "{}",
        nowhere.stderr
    );

    // Who was stopped while he wrote leaves half a record: what stands before it is drawn.
    let cut = dir.path().join("cut");
    fs::write(&cut, &whole[..whole.len() - 17]).unwrap();
    plot(&[cut.to_str().unwrap(), "-o", out]).expect(0);
}
