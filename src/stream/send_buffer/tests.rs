use super::SendBuffer;
use crate::wire::Offset;

#[test]
fn a_late_acknowledgement_clears_the_lost_mark() {
    let mut buffer = SendBuffer::new(100);
    buffer.write(b"0123456789");
    let range = buffer.take_new(10, Offset::MAX).expect("bytes are waiting");
    buffer.on_lost(range.clone());
    assert!(buffer.has_lost());
    assert_eq!(buffer.on_acked(range), 10);
    assert!(!buffer.has_lost());
}
