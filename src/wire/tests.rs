//! The format as a whole: what is written is read, what is damaged is dropped.

mod round_trip;
