//! One packet of each kind to the last bit, and docs/WIRE.md shows the same ones.

use super::samples::one_of_each;

const SPECIFICATION: &str = include_str!("../../../docs/WIRE.md");

/// Name, length of the datagram, and its bytes up to the padding.
const GOLDEN: [(&str, usize, &str); 10] = [
    (
        "SYN",
        256,
        "11000000838039030000000000000000000003e8110005c0c11e000000000001\
         00040000010203040000000000000000030400001f40070811223344556677882a000000",
    ),
    (
        "SYNACK",
        68,
        "120000005e8dcb76c11e000000000001000007d0110005c05e17000000000002\
         00040000010203040000000000000000811030313233343536373839616263646566\
         0000",
    ),
    (
        "DATA",
        85,
        "132e0005ebd175a35e17000000000002000003e8140000000000000000000000\
         000007cf00320000000000000000000000040000000000000000000081103031\
         3233343536373839616263646566000068656c6c6f",
    ),
    (
        "ACK",
        88,
        "1402000091fa0ddc5e170000000000020000041a160000000000000000000011\
         0000083300320201000000000001117000040000000005780000000900000008\
         00000000000000000000004f0000005a0000000000000002",
    ),
    (
        "DGRAM",
        34,
        "150000021963fb1cc11e00000000000100000834080000000000000000000003cafe",
    ),
    (
        "RST",
        32,
        "16000000cf101cb9c11e00000000000100000835080000020000000000011170",
    ),
    (
        "PROBE",
        48,
        "170400005741529e5e170000000000020000041b080000010000000000000000",
    ),
    (
        "PATH",
        32,
        "180000008b4fc5b25e170000000000020000041c08000001deadbeef0badcafe",
    ),
    (
        "UNKNOWN",
        32,
        "19000000626650b85e170000000000020000041d080000000000000000000000",
    ),
    (
        "VERSIONS",
        33,
        "2f00000183c8c1a9c11e000000000001000003e808000000000000000000000001",
    ),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn one_packet_of_each_kind_is_written_to_the_last_bit() {
    for ((name, len, golden), (sample, datagram)) in GOLDEN.iter().zip(one_of_each()) {
        assert_eq!((*name, *len), (sample, datagram.len()));
        let (contents, padding) = datagram.split_at(golden.len() / 2);
        assert_eq!(hex(contents), *golden, "{name}");
        assert!(padding.iter().all(|byte| *byte == 0), "{name}");
    }
}

/// The example below the heading `### Example: {name}`: hexadecimal up to a `|`, spaces ignored.
fn example(name: &str) -> String {
    let heading = format!("### Example: {name}\n");
    let (_, section) = SPECIFICATION.split_once(&heading).expect("an example");
    let block = section.split("```").nth(1).expect("a block");
    let lines = block.lines().skip(1);
    let columns = lines.map(|line| line.split('|').next().unwrap_or_default());
    columns
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect()
}

#[test]
fn the_specification_shows_the_same_packets() {
    for (name, _, golden) in GOLDEN {
        assert_eq!(example(name), golden, "{name}");
    }
}
