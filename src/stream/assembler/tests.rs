use super::{Assembler, AssemblerError};
use crate::wire::Offset;

#[test]
fn a_segment_beyond_the_limit_is_refused_whole() {
    let mut assembler = Assembler::new();
    let limit = Offset::new(4);
    let refused = assembler.insert(Offset::ZERO, b"12345", limit);
    assert_eq!(refused, Err(AssemblerError::BeyondWindow));
    assert_eq!(assembler.highest(), Offset::ZERO);
    assert_eq!(assembler.memory(), 0);
}
